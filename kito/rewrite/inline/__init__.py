"""Layers that hold layers, and subclassed models, replaced by the calls that they make."""
