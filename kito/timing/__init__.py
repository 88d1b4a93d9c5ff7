"""``measure_speedup()``: how much faster one model is than another."""
