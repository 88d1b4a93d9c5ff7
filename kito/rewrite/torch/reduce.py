"""``reduce_torch_module()``: the same exact rewrites for a PyTorch module.

A copy of the module is traced, read as a :class:`~kito.graph.ir.Graph`, rewritten by the passes for
Keras models, and written as an ``fx.GraphModule``. What cannot be traced whole stays a module of
its own, and the modules in it that can be are reduced. At the end, the outputs are compared with
the original's: a module that differs is never returned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kito.errors import KitoError
from kito.graph.ir import Graph
from kito.rewrite.outcome import Kept, Outcome, Rewrite, size_rows
from kito.rewrite.passes import collapse_linear, drop_identity
from kito.rewrite.passes.fold_affine import fold as fold_affine
from kito.rewrite.torch.sizes import merge_branches

if TYPE_CHECKING:
    from torch import nn

_RUN: dict[str, Callable[[Graph], Outcome]] = {
    "drop_identity": drop_identity.run,
    "fold_affine": fold_affine.run,
    "merge_branches": merge_branches,
    "collapse_linear": collapse_linear.run,
}
TORCH_PASSES = tuple(_RUN)
"""The passes that PyTorch modules get, in order."""


@dataclass(frozen=True, repr=False, eq=False)
class TorchReduction:
    """A module, its reduced module, and a report of the differences.

    Attributes:
        original: the module as it was given; it was not changed.
        module: the reduced module, in eval mode.
        rewrites: what was done, in order.
        kept: the normalizations that are still there, and the modules that stayed as they are, each
            with the reason.
        parts: the paths of modules that were reduced apart, because what is around them cannot be
            traced.
        seconds: how long the reduction took.
        layers: number of modules that hold no other, (before, after).
        parameters: number of elements of all parameters, (before, after).
        batchnorms: number of batch normalizations, (before, after).
        precomputed: how many batch normalizations could not be folded and became
            ``x * scale + shift`` with two buffers.
    """

    original: nn.Module
    module: nn.Module
    rewrites: tuple[Rewrite, ...]
    kept: tuple[Kept, ...]
    parts: tuple[str, ...]
    seconds: float
    layers: tuple[int, int]
    parameters: tuple[int, int]
    batchnorms: tuple[int, int]
    precomputed: int = 0

    @property
    def model(self) -> nn.Module:
        """The reduced module, by the name that it has in :class:`kito.Reduction`."""
        return self.module

    def __repr__(self) -> str:
        before, after = self.batchnorms
        name = type(self.original).__name__
        return f"<TorchReduction of {name}: batch normalizations {before} -> {after}>"

    def sizes(self) -> list[tuple[str, str, str]]:
        """The rows of a table for people, headings first: what there is, before and after."""
        return size_rows(self)

    def to_dict(self) -> dict[str, Any]:
        """The section ``reduction`` of the JSON report, as plain data."""
        return {
            "layers": list(self.layers),
            "parameters": list(self.parameters),
            "batchnorms": list(self.batchnorms),
            "precomputed": self.precomputed,
            "opened": list(self.parts),
            "shared": [],
            "seconds": self.seconds,
            "rewrites": [
                {"pass_name": x.pass_name, "layers": list(x.layers), "into": x.into}
                for x in self.rewrites
            ],
            "kept": [asdict(x) for x in self.kept],
        }

    def summary(self) -> str:
        """A table for people: sizes before and after, rewrites by pass, and what was kept."""
        lines = [f"{type(self.original).__name__}: reduced in {self.seconds:.2f} s"]
        lines += [f"  {name:<12}{before:>14}{after:>14}" for name, before, after in self.sizes()]
        for name in TORCH_PASSES:
            count = sum(x.pass_name == name for x in self.rewrites)
            lines += [f"  {name}: {count}"] if count else []
        lines += [f"  reduced apart: {path}" for path in self.parts]
        lines += [f"  kept {x.layer}: {x.reason}" for x in self.kept]
        return "\n".join(lines)


def reduce_torch_module(module: nn.Module, example_inputs: Any = None) -> nn.Module:
    """A module with fewer layers that computes the same outputs in inference.

    Args:
        module: any ``torch.nn.Module``, in training mode or not. It is not changed.
        example_inputs: a tensor, or a tuple of the positional arguments of ``forward``, as in
            inference: the module is run on them, and what it takes later must have as many axes.
            None for a module that takes images, signals or volumes and begins with a convolution:
            random ones are made.

    Returns:
        An ``fx.GraphModule`` in eval mode, or a copy of the module with such ones in it. Layers
        keep their paths, and so their names in ``state_dict``.

    Raises:
        UnsupportedModelError: the module cannot be copied, run or traced.
        KitoError: an argument is wrong, or inputs cannot be guessed.
    """
    return reduce_torch(module, example_inputs).module


def reduce_torch(
    module: nn.Module, example_inputs: Any = None, passes: Sequence[str] = TORCH_PASSES
) -> TorchReduction:
    """Reduce a PyTorch module as :func:`reduce_torch_module` does, and report what was done.

    Args:
        module: as there.
        example_inputs: as there.
        passes: names from :data:`TORCH_PASSES`, run in this order.

    Raises:
        UnsupportedModelError: the module cannot be copied, run or traced.
        KitoError: an argument is wrong, or inputs cannot be guessed.
    """
    try:
        import torch
    except ImportError as error:
        raise KitoError(
            "reduce_torch_module() needs PyTorch: pip install 'pytest-kito[torch]'"
        ) from error
    from kito.graph.torch.given import check_module, copy_module
    from kito.rewrite.torch.work import Work, count

    start = time.perf_counter()
    check_module(module)
    if not set(passes) <= set(TORCH_PASSES):
        raise KitoError(f"passes: {passes!r} are not names out of {', '.join(TORCH_PASSES)}")
    run = [(name, _RUN[name]) for name in passes]
    with torch.inference_mode(False):  # parameters must be no tensors of inference
        work = Work(module, copy_module(module), example_inputs, run)
        reduced = work.reduce()
    before, after = count(module), count(reduced)
    return TorchReduction(
        original=module,
        module=reduced,
        rewrites=tuple(work.notes.rewrites),
        kept=tuple(work.notes.kept),
        parts=tuple(work.notes.parts),
        seconds=time.perf_counter() - start,
        layers=(before[0], after[0]),
        parameters=(before[1], after[1]),
        batchnorms=(before[2], after[2]),
        precomputed=work.notes.precomputed,
    )
