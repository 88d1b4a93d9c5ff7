"""The checks of a declared model: what is declared, and how each check is made."""
