"""The formats of artifacts: how a model is written in each, and run by its engine.

Importing this package, or :mod:`kito.export.formats.names`, imports no Keras and no engine.
"""
