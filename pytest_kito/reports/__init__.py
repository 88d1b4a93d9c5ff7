"""Reports, one file each, all of them written from the results alone."""
