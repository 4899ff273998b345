"""The web workbench: pages over the services that the REST API has, too. They hold no rules of their own."""
