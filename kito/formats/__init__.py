"""The formats of artifacts: how a model is written in each, and opened by the engine that runs it.

Importing this package, or :mod:`kito.formats.names`, imports no Keras and no engine.
"""
