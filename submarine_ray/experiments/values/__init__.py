"""Parameters and last metrics of experiments, by which tables are filtered and sorted."""
