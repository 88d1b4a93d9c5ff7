"""An exported ONNX graph: its names, and rewrites after which engines run the same function faster.

One module for each family of rewrites. A rewrite matches a node and what computes its inputs, and
changes that node alone; what nothing needs any more is left out of the file
(:func:`kito.export.onnx_graph.names.make_canonical`). It is exact in real numbers, as the passes of
:mod:`kito.rewrite` are, uses standard operators only, and leaves alone what it does not understand.
"""
