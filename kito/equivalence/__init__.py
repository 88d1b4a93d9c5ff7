"""``compare()``: whether two models give the same outputs."""
