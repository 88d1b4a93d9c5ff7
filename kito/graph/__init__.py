"""The editable graph, and its way from Keras and back to Keras.

The only package that touches Keras' private attributes. It never decides what to rewrite.
"""
