"""The body of a layer: the calls that it makes, recorded and verified.

A body is a graph of its own. Nothing here changes the graph of the model or the ops in it.
"""

from __future__ import annotations

from typing import Any

from keras import Layer, tree

from kito.graph.ir import Graph, Node
from kito.graph.keras_patches import extended_symbolic_calls
from kito.graph.preserve import StateChanged
from kito.graph.read import Ops
from kito.graph.stock import trains_by_default
from kito.graph.trace import trace
from kito.rewrite.inline.held_weights import hold_weights
from kito.rewrite.inline.reasons import StaysClosed, tracing_failure
from kito.rewrite.inline.verify import Samples, check_same_outputs


def read_body(node: Node, scratch: Ops, samples: Samples) -> Graph:
    """The calls that the layer makes at the call ``node``, which give the same outputs.

    Args:
        node: a call of a composite layer.
        scratch: the ops of the bodies of the same layer that were read before; those of the layers
            inside are added. They are no ops of the model's graph.
        samples: inputs and outputs of calls that were run before.

    Returns:
        A graph whose inputs are a list, one for each tensor that ``node`` takes.

    Raises:
        StaysClosed: the calls cannot be recorded, or could not replace ``node``.
    """
    _check_call(node)
    layer = node.op.layer
    try:
        with extended_symbolic_calls():
            body, unrecorded = trace(layer, node.args, node.kwargs, scratch)
    except StateChanged as error:
        raise StaysClosed(str(error)) from error
    except Exception as error:  # whatever its call() may raise
        raise StaysClosed(tracing_failure(error)) from error
    for call in body.nodes:
        if call.runs_training:
            raise StaysClosed(f"it calls '{call.op.name}' with training=True")
    results = tree.flatten(body.outputs)
    if [x.dtype for x in results] != [x.dtype for x in node.outputs]:
        raise StaysClosed("its results have other dtypes than the calls inside of it return")
    if any(x.mask is not None for x in results):
        raise StaysClosed("it makes a mask")
    _leave_out_defaults(body)
    problem = hold_weights(body, layer, unrecorded)
    if problem:
        raise StaysClosed(problem)
    check_same_outputs(node, body, samples)
    return body


def _leave_out_defaults(body: Graph) -> None:
    """Leave out ``training=False`` where it is what a call does without it.

    The trace sets it for every call, but a model that is built of these calls runs in inference by
    itself, and a custom layer's rule for the shape of its output may not take the argument.
    """
    for node in body.nodes:
        kind: Any = type(node.op.layer)
        is_layer = issubclass(kind, Layer)
        if is_layer and node.kwargs.get("training") is False and not trains_by_default(kind):
            del node.kwargs["training"]


def _check_call(node: Node) -> None:
    """Raise StaysClosed where the call could not be replaced, whatever the layer does."""
    layer = node.op.layer
    if node.runs_training or node.graph.runs_training:
        raise StaysClosed("it is called with training=True")
    if any(x.mask is not None for x in (*node.inputs, *node.outputs)):
        raise StaysClosed("it is called with a mask, or makes one")
    if getattr(layer, "quantization_mode", None):
        raise StaysClosed("it is quantized")
    if type(layer).__call__ is not Layer.__call__:
        raise StaysClosed("it has a __call__ of its own")
