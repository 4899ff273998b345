"""Limits of requests: size, depth and pace. One policy, applied before every route and mounted app."""
