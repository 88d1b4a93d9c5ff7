"""The stages of a model that is a PyTorch module: build, and reduction.

The module is wrapped as a Keras model, which all other stages take as one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kito.graph.torch_model import TorchModel
    from kito.rewrite.torch.reduce import TorchReduction
    from kito.runtime.batch import Inputs
    from pytest_kito.config.load import ModelSpec


def build_module(
    spec: ModelSpec, base: Path, data: Any, resolve: Callable[[Any], Inputs]
) -> TorchModel:
    """The declared module, with its weights.

    Args:
        spec: the declaration.
        base: the directory of kito.yaml.
        data: the declared inputs; None for random ones.
        resolve: returns the inputs of a wrapped module.

    Raises:
        KitoError: the module cannot be built or run, or the inputs or weights do not fit.
    """
    from kito.runtime.torch_pair import in_order, named_arrays, shaped_arrays, wrap_module
    from kito.runtime.torch_source import apply_module_weights, load_module

    module = load_module(spec.source, base=base, kwargs=spec.kwargs)
    arrays = None
    if data is not None:
        arrays = named_arrays(module, data)
    elif spec.inputs.shape:
        arrays = in_order(module, shaped_arrays(spec.inputs.shape))
    model = wrap_module(module, arrays, spec.name)
    if spec.weights == "as-built":
        return model
    seed = spec.inputs.seed
    apply_module_weights(module, spec.weights, base=base, inputs=resolve(model), seed=seed)
    return wrap_module(module, model.examples, spec.name)


def reduce_module(model: TorchModel, inputs: Inputs, passes: Sequence[str]) -> TorchReduction:
    """The module reduced by those of the passes that PyTorch modules get.

    Raises:
        KitoError: it cannot be reduced.
    """
    from kito.rewrite.torch.reduce import TORCH_PASSES, reduce_torch
    from kito.runtime.batch import call_arguments

    few = {name: values[:2] for name, values in inputs.items()}
    examples = model.tensors(call_arguments(model, few))
    return reduce_torch(model.module, examples, [x for x in TORCH_PASSES if x in passes])
