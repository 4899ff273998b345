"""The one mechanism that brings what is observed to what is desired: docs/engine.md."""
