"""Artifacts: files written, run by their engine, compared, and listed in a manifest."""
