"""Documents that users keep in the service, each of a kind that says what it holds."""
