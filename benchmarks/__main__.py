"""``python -m benchmarks``: see :mod:`benchmarks.cli`."""

from benchmarks.cli import main

if __name__ == "__main__":  # a process of a pool imports this module too
    main()
