"""The pass ``move_upsampling``: a convolution reads the small tensor, not the up-sampled one."""
