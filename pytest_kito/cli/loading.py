"""Models from their sources, and their reductions, for the commands that load models."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kito.errors import KitoError
from kito.rewrite.passes.names import PASSES

if TYPE_CHECKING:
    from kito.rewrite.reduction import Reduction
    from kito.rewrite.torch.reduce import TorchReduction
    from pytest_kito.cli.progress import Working

FRAMEWORKS = ("keras", "torch")
Framework = Annotated[
    str, typer.Option(help="keras; or torch, for a callable that returns a torch.nn.Module.")
]


@dataclass(frozen=True)
class Reduced:
    """A reduction, and both models as what compares and writes models takes them.

    Attributes:
        reduction: what was done.
        original: a Keras model, or a wrapped PyTorch module.
        model: the same, reduced.
    """

    reduction: Reduction | TorchReduction
    original: Any
    model: Any


def known_framework(name: str) -> str:
    """Return the name if it is that of a framework.

    Raises:
        KitoError: it is not.
    """
    if name not in FRAMEWORKS:
        raise KitoError(f"--framework {name!r} is none of {', '.join(FRAMEWORKS)}")
    return name


def load(source: str, framework: str, shown: Working) -> Any:
    """The Keras model, or the PyTorch module, of a source.

    Raises:
        KitoError: there is none, or there is no such framework.
    """
    from kito.runtime.load import load_model
    from kito.runtime.torch_source import load_module

    known_framework(framework)
    shown.on(f"loading {source}")
    # Standard output is for the answer only, not for what the user's code prints.
    with redirect_stdout(sys.stderr):
        if framework == "torch":
            return load_module(source, base=Path.cwd())
        return load_model(source, base=Path.cwd())


def reduced_model(model: Any, data: Path | None) -> Any:
    """The reduced Keras model, or module, of one that was loaded.

    Raises:
        KitoError: it cannot be reduced.
    """
    from kito.graph.torch_model import is_torch_module
    from kito.rewrite.reduce import reduce

    if is_torch_module(model):
        return _reduce_module(model, data, None).module
    return reduce(model).model


def reduce_source(
    source: str,
    framework: str,
    shown: Working,
    passes: str,
    target: str = "any",
    strict: bool = False,
    data: Path | None = None,
) -> Reduced:
    """Load a model and reduce it.

    Args:
        source: a file or an import path.
        framework: ``keras`` or ``torch``.
        shown: what the terminal shows meanwhile.
        passes: names, separated by commas.
        target: of a Keras model.
        strict: of a Keras model.
        data: an ``.npz`` file of inputs, on which a module is traced; None for images.

    Raises:
        KitoError: it cannot be loaded or reduced.
    """
    from kito.rewrite.reduce import reduce

    names = [name.strip() for name in passes.split(",") if name.strip()]
    model = load(source, framework, shown)
    shown.on(f"reducing {source}")
    if framework == "keras":
        reduction = reduce(model, passes=names, target=target, strict=strict)
        return Reduced(reduction, reduction.original, reduction.model)
    from kito.runtime.torch_pair import named_arrays, wrap_module

    done = _reduce_module(model, data, names)
    arrays = None if data is None else named_arrays(model, data)
    original = wrap_module(model, arrays)
    return Reduced(done, original, wrap_module(done.module, original.examples))


def _reduce_module(module: Any, data: Path | None, passes: list[str] | None) -> TorchReduction:
    """Reduce a module by those of the passes that PyTorch modules get; None for all of them."""
    from kito.rewrite.torch.reduce import TORCH_PASSES, reduce_torch
    from kito.runtime.torch_pair import named_arrays, wrap_module

    unknown = [name for name in passes or () if name not in PASSES]
    if unknown:
        raise KitoError(f"unknown passes {unknown}; there are: {', '.join(PASSES)}")
    examples = None
    if data is not None:
        arrays = {name: x[:2] for name, x in named_arrays(module, data).items()}
        examples = wrap_module(module, arrays).tensors(list(arrays.values()))
    return reduce_torch(
        module, examples, [x for x in TORCH_PASSES if passes is None or x in passes]
    )
