"""The pass ``fold_affine``: per-channel affines are folded into the layers around them."""
