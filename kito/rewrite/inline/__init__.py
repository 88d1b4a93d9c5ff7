"""Inlining: the calls inside of composite layers and subclassed models become calls of the graph.

A composite layer is a custom layer that holds other layers. Where its ``call`` is written with
layers and ``keras.ops``, it can be called with symbolic tensors. What it calls is recorded, and
takes the place of its own call; users read that the layer was *opened*. A layer is opened only
where nothing can be lost:

- the recorded calls give the same outputs on random inputs as the layer itself;
- every weight of the layer belongs to a layer that is called, or to a stock layer that takes the
  place of the operation that used it;
- no call of it is made in training mode, with a mask, or changes the layer;
- a pass could rewrite something in it.

Otherwise the layer *stays closed*, and :attr:`kito.graph.ir.Op.closed` says why.
"""
