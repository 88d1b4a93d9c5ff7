"""The command line ``kito``."""
