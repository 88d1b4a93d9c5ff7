"""Exact rewrites of a graph, and ``reduce()``, which runs them."""
