"""The first layer, in topological order, at which a reduced model departs from its original.

:mod:`kito.equivalence.matching` says which outputs of the original a layer is compared with, and
:mod:`kito.equivalence.stepwise` compares them. An affine that moved past several layers changes the
outputs between, and the outputs after them agree again. So a layer departs only if its output
differs and no output computed from it agrees. (Outputs that are constant or hold integers may agree
by chance, and say nothing about the layers before them. Where a shift moved from one layer into or
past the wrong one, the layer it came from is named.)

A search by halves is not possible: of two parallel branches, neither says anything about the other.
But one look at each layer is enough, since only whether it agrees has to be remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kito.equivalence.matching import read_calls
from kito.equivalence.stepwise import Seen, StepwiseRun
from kito.graph.keras_internals import input_names
from kito.runtime.batch import Inputs, batch_limit
from kito.runtime.engine import LoadedFile
from kito.runtime.pair import renamed_inputs


@dataclass(frozen=True)
class Departure:
    """The first layer whose output differs from the original's.

    Attributes:
        layer: its name in the reduced model, with the nested models that it is in:
            ``encoder/conv``.
        max_abs: largest absolute difference; NaN where a value is NaN or infinite in one model
            only, infinity where the shapes differ.
        scale: largest absolute value of the original's output there.
        sample: the sample, counted from 0, on which both models were run: the one in which their
            outputs differ most.
    """

    layer: str
    max_abs: float
    scale: float
    sample: int

    def message(self) -> str:
        """The departure for people, a line for each fact."""
        if np.isnan(self.max_abs):
            how = "is NaN or infinite where the original is not, or the other way round"
        elif np.isinf(self.max_abs):
            how = "has another shape than in the original"
        else:
            how = f"differs by {self.max_abs:.3g} at a scale of {self.scale:.3g}"
        return (
            f"the first layer whose output departs is '{self.layer}'\n"
            f"there, in sample {self.sample}, it {how}"
        )


def find_departure(
    original: Any, reduced: Any, inputs: Inputs, sample: int, rtol: float
) -> Departure | None:
    """The first layer of ``reduced`` that departs.

    Args:
        original: the model that is right by definition.
        reduced: the model that differs.
        inputs: samples, by the original's input names.
        sample: the sample to run both models on; a model of a fixed batch size gets the whole batch
            that holds it.
        rtol: difference to disregard, relative to each tensor's largest absolute value.

    Returns:
        None where every layer agrees, or a model cannot be run layer by layer.
    """
    if isinstance(reduced, LoadedFile):
        return None
    size = batch_limit(original, 1)
    start = sample - sample % size
    batch = {name: values[start : start + size] for name, values in inputs.items()}
    try:
        reduced_batch = renamed_inputs(batch, original, reduced)
        sides = (
            (read_calls(original), [batch.get(name) for name in input_names(original)]),
            (read_calls(reduced), [reduced_batch.get(name) for name in input_names(reduced)]),
        )
        seen = StepwiseRun(*sides, rtol).run()
    except Exception:  # of a layer or the backend; the comparison is valid without a departure
        return None
    first_departed = _first(seen)
    if first_departed is None:
        return None
    layer, max_abs, scale = first_departed.layer, first_departed.max_abs, first_departed.scale
    return Departure(layer, max_abs, scale, sample)


def _first(seen: list[Seen]) -> Seen | None:
    """The first tensor that was compared and differs, and that no agreeing tensor depends on."""
    vouched_for = [x.vouches for x in seen]
    for number in reversed(range(len(seen))):
        if vouched_for[number]:
            for parent in seen[number].parents:
                vouched_for[parent] = True
    for x, is_right in zip(seen, vouched_for, strict=True):
        if x.compared and not (x.agrees or is_right):
            return x
    return None
