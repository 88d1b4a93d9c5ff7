"""Splits the declared models into shards for parallel jobs, balanced by cost."""
