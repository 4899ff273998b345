"""What may be sent to the service: how much, how deep, how slowly. One policy, before every route and mounted app."""
