"""What to change in kito.yaml where a comparison is insensitive: where it could not have failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_kito.config.load import ModelSpec


def more_varied(spec: ModelSpec, model: Any) -> tuple[str | None, str]:
    """How to make the outputs of ``model`` vary from sample to sample.

    Random weights are suggested only for a model with fresh weights: a trained model would be
    checked, and published, with random weights instead of its own.

    Returns:
        A line of kito.yaml to paste, None where no line helps; and a sentence that explains it.
    """
    from kito.graph.functional import as_functional
    from kito.graph.keras_internals import input_names
    from kito.runtime.weights import is_fresh

    if spec.inputs.data is not None:
        return None, f"give {spec.inputs.data} samples that differ more from each other"
    if spec.weights == "as-built" and is_fresh(model):
        return "weights: random", (
            "these weights are fresh, and fold to nothing; for others that do not, and with which "
            "the outputs vary, write in kito.yaml"
        )
    arrays = ", ".join(f"{name}=..." for name in input_names(as_functional(model)))
    return "inputs: {data: samples.npz}", (
        f'random samples are too alike for this model; save real ones, numpy.savez("samples.npz", '
        f"{arrays}), and write in kito.yaml"
    )
