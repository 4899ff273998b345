"""Reports: pages of text with panels in between, listed, read and written."""
