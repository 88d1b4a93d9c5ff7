"""PyTorch modules as a :class:`~kito.graph.ir.Graph`, and back.

``torch.fx`` traces a module (:mod:`trace`), a run on inputs tells the shapes of its tensors
(:mod:`record`), and each call becomes a node (:mod:`read`) whose op describes the layer by one of
Keras' own classes or of :mod:`describe`. So the passes and transfers for Keras models apply.
:mod:`write` makes an ``fx.GraphModule`` of the graph. No Keras layer is built or called: Keras'
backend does not matter.

Only this package and :mod:`kito.rewrite.torch` import PyTorch, when they are used.
"""
