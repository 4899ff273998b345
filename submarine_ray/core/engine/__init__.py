"""The engine that brings the observed state to the desired state: docs/engine.md."""
