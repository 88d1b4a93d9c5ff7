"""The checks of a declared model: which there are, and how each is made."""
