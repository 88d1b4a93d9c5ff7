"""Parts of the declared models for parallel jobs, balanced by cost."""
