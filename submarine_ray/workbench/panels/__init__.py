"""Boards of panels over many runs: drawn here, for the page of charts and for reports."""
