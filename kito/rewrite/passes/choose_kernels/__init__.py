"""The pass ``choose_kernels``: the same function through a stock layer whose kernel is faster."""
