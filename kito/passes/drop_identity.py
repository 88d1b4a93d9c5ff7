"""Drop what does nothing in inference.

Identity: ``layer(x, training=False) = x``, for

- the Dropout family and the noise layers, which act in training only;
- ``Random*`` augmentation, likewise, except ``RandomCrop``, which crops in inference too;
- ``Activation("linear")``, ``Identity``, ``ActivityRegularization``.

It holds only where the call casts nothing (the dtype of the result is that of the input), leaves
the mask of its input alone, is not made with ``training=True``, and does not name an output of the
model.
"""

from __future__ import annotations

import keras
from keras import layers

from kito.nodes import Graph, Node
from kito.rewrites import Outcome, Rewrite

_NAMES = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "ActivityRegularization",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
)
# Not every Keras 3 has them all.
_IDENTITIES = frozenset(getattr(layers, name) for name in _NAMES if hasattr(layers, name))


def run(graph: Graph) -> Outcome:
    """Drop every identity of ``graph`` and of the models nested in it."""
    outcome = Outcome()
    dropped: dict[str, None] = {}
    for inner in graph.graphs():
        if inner.runs_training:
            continue
        for node in list(inner.nodes):
            if _is_identity(node) and _may_go(inner, node):
                inner.bypass(node)
                dropped[node.op.name] = None
    outcome.rewrites = [Rewrite("drop_identity", (name,)) for name in dropped]
    return outcome


def _is_identity(node: Node) -> bool:
    layer = node.op.innermost.layer
    if type(layer) is layers.Activation:
        return layer.activation is keras.activations.linear
    return type(layer) in _IDENTITIES


def _may_go(graph: Graph, node: Node) -> bool:
    source = node.data
    if source is None or len(node.outputs) != 1 or node.runs_training:
        return False
    result = node.outputs[0]
    if source.dtype != result.dtype or source.shape != result.shape or node.changes_mask:
        return False
    if not graph.is_output(result):
        return True
    if graph.sequential:  # nothing but its Input would be no model
        return len(graph.nodes) > 2
    return graph.holder is not None and not source.node.is_input
