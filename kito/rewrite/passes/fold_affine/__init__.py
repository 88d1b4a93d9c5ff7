"""The pass ``fold_affine``: per-channel affines go into the layers around them."""
