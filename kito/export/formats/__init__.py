"""The formats of artifacts: how a model is written in each, and how its engine runs it.

Importing this package, or :mod:`kito.export.formats.names`, imports neither Keras nor an engine.
"""
