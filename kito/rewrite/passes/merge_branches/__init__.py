"""The pass ``merge_branches``: one convolution for a sum of parallel linear maps of one input."""
