"""A Ray cluster that runs already, reached through its dashboard."""
