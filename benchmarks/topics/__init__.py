"""One module for each topic; :mod:`benchmarks.topic` says what is in it."""
