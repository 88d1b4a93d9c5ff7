"""Reports, one module each. They are written from the results alone and measure nothing."""
