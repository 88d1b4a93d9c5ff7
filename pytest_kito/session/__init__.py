"""One pytest session: the gate's state, its hooks, items, fixtures and options."""
