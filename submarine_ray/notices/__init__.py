"""Tells users what has become of their things: written with the event that it tells of, read under the bell."""
