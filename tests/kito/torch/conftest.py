"""Left out where PyTorch is not installed; each test draws the same weights in every run."""

from torch_conftest import collect_ignore_glob, seeded

__all__ = ["collect_ignore_glob", "seeded"]
