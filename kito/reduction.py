"""reduce(): read a model, run the passes in order, build the reduced model, say what was done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from kito.building import build_model
from kito.errors import KitoError, UnsupportedModelError
from kito.graph import all_layers
from kito.nodes import Graph, Op
from kito.opening import read_opened
from kito.passes import (
    absorb_padding,
    choose_kernels,
    collapse_linear,
    drop_identity,
    fold_affine,
    merge_branches,
)
from kito.passes.names import DEFAULT_PASSES, PASSES
from kito.rewrites import Kept, Outcome, Rewrite

_Run = Callable[[Graph, str], Outcome]


def _for_any(run: Callable[[Graph], Outcome]) -> _Run:
    """A pass that does the same for every target."""
    return lambda graph, target: run(graph)


_RUN: dict[str, _Run] = {
    "drop_identity": _for_any(drop_identity.run),
    "fold_affine": _for_any(fold_affine.run),
    "absorb_padding": _for_any(absorb_padding.run),
    "merge_branches": _for_any(merge_branches.run),
    "collapse_linear": _for_any(collapse_linear.run),
    "choose_kernels": choose_kernels.run,
    "fold_batchnorm": _for_any(fold_affine.run_batchnorm),
}
_TARGETS = ("any", "cpu", "gpu")


@dataclass(frozen=True, repr=False, eq=False)
class Reduction:
    """A model, its reduced twin, and what lies between them.

    Attributes:
        original: the model as it was given; it was not changed.
        model: the reduced model.
        rewrites: what was done, in order.
        kept: the affines that are still there, each with the reason.
        seconds: how long the reduction took.
        layers: number of layers, nested ones included, (before, after).
        parameters: number of weights' elements, (before, after).
        batchnorms: number of BatchNormalization layers, (before, after).
        precomputed: how many of those that are gone could not be folded: a ``Rescaling`` does the
            work of each, with vectors that are computed once.
        opened: names of the custom layers that hold layers and were opened: what they did is done
            by the layers that they held, called by the model itself.
    """

    original: Any
    model: Any
    rewrites: tuple[Rewrite, ...]
    kept: tuple[Kept, ...]
    seconds: float
    precomputed: int = 0
    opened: tuple[str, ...] = ()
    layers: tuple[int, int] = field(init=False)
    parameters: tuple[int, int] = field(init=False)
    batchnorms: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        before, after = _count(self.original), _count(self.model)
        for i, name in enumerate(("layers", "parameters", "batchnorms")):
            object.__setattr__(self, name, (before[i], after[i]))

    def __repr__(self) -> str:
        return (
            f"<Reduction of '{self.original.name}': layers {self.layers[0]} -> {self.layers[1]}, "
            f"BatchNormalization {self.batchnorms[0]} -> {self.batchnorms[1]}>"
        )

    def summary(self) -> str:
        """The table that people read: sizes before and after, rewrites by pass, what was kept."""
        rows: list[tuple[str, ...]] = [("", "before", "after")]
        for name in ("layers", "parameters", "batchnorms"):
            rows.append((name, *(f"{value:,}" for value in getattr(self, name))))
        lines = [f"{self.original.name}: reduced in {self.seconds:.2f} s"]
        lines += [f"  {name:<12}{before:>14}{after:>14}" for name, before, after in rows]
        if self.opened:
            lines.append(f"  opened: {', '.join(self.opened)}")
        if self.precomputed:
            lines.append(f"  {self.precomputed} of the batchnorms are a Rescaling now")
        names = list(dict.fromkeys(rewrite.pass_name for rewrite in self.rewrites))
        for name in names:
            done = [rewrite for rewrite in self.rewrites if rewrite.pass_name == name]
            lines.append(f"{name}: {len(done)} rewrites")
            for rewrite in done:
                into = f" -> {rewrite.into}" if rewrite.into else ""
                lines.append(f"  {', '.join(rewrite.layers) or 'a bias'}{into}")
        if self.kept:
            lines.append(f"kept: {len(self.kept)}")
            lines += [f"  {kept.layer}: {kept.reason}" for kept in self.kept]
        return "\n".join(lines)


def reduce(
    model: Any,
    passes: Sequence[str] = DEFAULT_PASSES,
    target: str = "any",
    example_inputs: Any = None,
) -> Reduction:
    """Make a model that computes the same outputs in inference with fewer layers.

    Args:
        model: a functional or Sequential ``keras.Model``, with nested models, or a subclassed one
            that was built. It is not changed.
        passes: names from ``kito.PASSES``, run in this order.
        target: the device that the reduced model is for, "any", "cpu" or "gpu"; a rewrite that
            is faster only on one kind of device is done only for that one.
        example_inputs: a batch for a subclassed model that was never called, which builds it; or
            for one of several inputs of different dtypes. A functional model needs none.

    Returns:
        The :class:`Reduction`: the reduced model, every rewrite, and every affine that was kept
        with the reason.

    Raises:
        UnsupportedModelError: the model is not built, is subclassed and cannot be opened, was made
            by ``tf_keras``, or has a layer that cannot be copied.
        KitoError: an argument is wrong.
    """
    start = time.perf_counter()
    check_model(model, "reduce()")
    listed = isinstance(passes, Sequence) and not isinstance(passes, str)
    if not listed or not all(name in PASSES for name in passes):
        wrong = [x for x in passes if x not in PASSES] if listed else passes
        raise KitoError(f"passes: {wrong!r} is not a sequence of names out of {', '.join(PASSES)}")
    if target not in _TARGETS:
        raise KitoError(f"target: {target!r} is not one of {', '.join(_TARGETS)}")
    found = read_opened(model, example_inputs, only_model=set(passes) <= {"fold_batchnorm"})
    graph = found.graph
    rewrites: list[Rewrite] = []
    kept: dict[Any, Kept] = {}
    precomputed: list[Op] = []
    for name in passes:
        outcome = _RUN[name](graph, target)
        rewrites += outcome.rewrites
        precomputed += outcome.precomputed
        kept = kept if outcome.kept is None else outcome.kept
    # What one pass could not do, another may have done after it.
    still = tuple(
        x for key, x in kept.items() if (key[0] if isinstance(key, tuple) else key).sites()
    )
    told = {key[0] for key in kept if isinstance(key, tuple)}
    still += tuple(
        Kept(op.name, f"it stays closed: {op.closed}")
        for op in found.closed
        if op.sites() and op not in told
    )
    left = sum(bool(op.sites()) for op in precomputed)
    reduced = build_model(graph)
    seconds = time.perf_counter() - start
    return Reduction(model, reduced, tuple(rewrites), still, seconds, left, found.names)


def reduce_keras_model(model: Any, verbose: bool = False) -> Any:
    """KITO's own entry: the reduced model of ``model``, with the default passes.

    Args:
        model: see :func:`reduce`.
        verbose: print the summary.

    Raises:
        UnsupportedModelError, KitoError: see :func:`reduce`.
    """
    reduction = reduce(model)
    if verbose:
        print(reduction.summary())  # noqa: T201 (what the argument asks for)
    return reduction.model


def check_model(model: Any, where: str) -> None:
    """Raise a KitoError that says what to do where ``model`` is no Keras 3 model."""
    if isinstance(model, keras.Model):
        return
    if any(base.__module__.split(".")[0] == "tf_keras" for base in type(model).__mro__):
        raise UnsupportedModelError(
            f"{where} got a model made by tf_keras (Keras 2). Save it with model.save('model.h5') "
            "and load it with keras.models.load_model('model.h5') of Keras 3, or rebuild it with "
            "Keras 3 and load its weights"
        )
    hint = " (call it, or pass what it returns)" if callable(model) else ""
    raise KitoError(f"{where} needs a keras.Model; got {type(model).__name__}: {model!r:.60}{hint}")


def _count(model: Any) -> tuple[int, int, int]:
    layers = all_layers(model)
    norms = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in layers)
    return len(layers), model.count_params(), norms
