"""The rewrites for PyTorch modules: the same passes, run on a graph that was read from one."""
