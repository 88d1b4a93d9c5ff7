"""The passes: one rewrite over the whole graph each, exact by construction."""
