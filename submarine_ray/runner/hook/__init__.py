"""A directory of every replica's PYTHONPATH: what is done in a script's process before the script begins."""
