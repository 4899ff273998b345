"""What the REST API answers, a module a feature. Services build these models, and the workbench reads them."""
