"""A digit classifier in each of two frameworks."""
