"""Names that are unique in a model, as Keras demands of its layers."""

from __future__ import annotations

import itertools
from collections.abc import Container


def free_name(name: str, taken: Container[str]) -> str:
    """``name``, or the first of ``name_1``, ``name_2``, ... that is not in ``taken``."""
    numbered = (f"{name}_{i}" for i in itertools.count(1))
    return next(x for x in itertools.chain([name], numbered) if x not in taken)


def within(owner: str, name: str) -> str:
    """The name of what was in a composite layer, for a model without that layer.

    Keras takes no slash in a name, PyTorch no dot in that of a layer with weights, and TensorFlow,
    of what is left to separate two names, little else than a hyphen.
    """
    return f"{owner}-{name}"
