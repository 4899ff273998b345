"""Where others' pages are shown: notebooks, dashboards, TensorBoard and artifacts, on origins of their own."""
