"""The Ray cluster that `submarine up` starts on this machine."""
