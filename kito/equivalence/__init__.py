"""Whether two models give the same outputs: ``compare()``, and where and why they differ."""
