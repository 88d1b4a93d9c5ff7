"""``reduce()``: read a model, run the passes in order, build the reduced model, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from kito.errors import KitoError, UnsupportedModelError
from kito.graph.build import Shared, build_model
from kito.graph.calls import list_calls
from kito.graph.copy_layer import prepare_copies
from kito.graph.inference import without_gradients
from kito.graph.ir import Graph, Op
from kito.graph.limits import Limits, attempt
from kito.rewrite.cost import take_census
from kito.rewrite.inline.reasons import CannotOpen
from kito.rewrite.inline.sweep import read_inlined
from kito.rewrite.outcome import Kept, KeptAffine, Outcome, Rewrite
from kito.rewrite.parts import reduce_parts
from kito.rewrite.passes import (
    absorb_padding,
    collapse_linear,
    drop_identity,
    fold_batchnorm,
    move_pointwise,
    move_strides,
)
from kito.rewrite.passes.choose_kernels import table as choose_kernels
from kito.rewrite.passes.fold_affine import fold as fold_affine
from kito.rewrite.passes.merge_branches import merge as merge_branches
from kito.rewrite.passes.move_upsampling import move as move_upsampling
from kito.rewrite.passes.names import DEFAULT_PASSES, PASSES
from kito.rewrite.patterns import Pattern, find_patterns
from kito.rewrite.reduction import Reduction

_Run = Callable[[Graph, str], Outcome]


def _for_any(run: Callable[[Graph], Outcome]) -> _Run:
    """A pass that does the same for every target."""
    return lambda graph, target: run(graph)


_RUN: dict[str, _Run] = {
    "drop_identity": _for_any(drop_identity.run),
    "fold_affine": _for_any(fold_affine.run),
    "absorb_padding": _for_any(absorb_padding.run),
    "merge_branches": _for_any(merge_branches.run),
    "move_pointwise": _for_any(move_pointwise.run),
    "move_strides": _for_any(move_strides.run),
    "collapse_linear": _for_any(collapse_linear.run),
    "move_upsampling": move_upsampling.run,
    "choose_kernels": choose_kernels.run,
    "fold_batchnorm": _for_any(fold_batchnorm.run),
}
_TARGETS = ("any", "cpu", "gpu")


def reduce(
    model: Any,
    passes: Sequence[str] = DEFAULT_PASSES,
    target: str = "any",
    example_inputs: Any = None,
    strict: bool = False,
) -> Reduction:
    """Make a model with fewer layers that computes the same outputs in inference.

    Args:
        model: a functional or Sequential ``keras.Model``, with nested models, or a subclassed one
            that was built. It is not changed.
        passes: names from ``kito.PASSES``, run in this order.
        target: the device that the reduced model is for, "any", "cpu" or "gpu"; a rewrite that
            is faster only on one kind of device is done only for that one.
        example_inputs: a batch of inputs for a subclassed model that was never called, which builds
            it, or for one with several inputs of different dtypes. A functional model needs none.
        strict: whether a layer that cannot be copied is an error. Otherwise both models share it,
            and ``Reduction.shared`` names it.

    Returns:
        The :class:`Reduction`: the reduced model, every rewrite, and every affine that was kept,
        with the reason.

    Raises:
        UnsupportedModelError: the model is not built, is subclassed and cannot be opened, was made
            by ``tf_keras``, or, if ``strict``, has a layer that cannot be copied.
        KitoError: an argument is wrong.
    """
    start = time.perf_counter()
    check_model(model, "reduce()")
    _check_arguments(passes, target)

    with without_gradients():
        reduction = _attempt(_Request(model, tuple(passes), target, example_inputs, strict))
    return replace(reduction, seconds=time.perf_counter() - start)


@dataclass(frozen=True)
class _Request:
    """The arguments of :func:`reduce`."""

    model: Any
    passes: tuple[str, ...]
    target: str
    example_inputs: Any
    strict: bool


def _attempt(request: _Request) -> Reduction:
    return attempt(lambda limits: _reduce(request, limits))


def _reduce(request: _Request, limits: Limits) -> Reduction:
    only_model = set(request.passes) <= {"fold_batchnorm"}
    try:
        read = read_inlined(request.model, request.example_inputs, only_model, limits)
    except CannotOpen as closed:
        return reduce_parts(closed, lambda part: _attempt(replace(request, model=part)))
    graph = read.graph
    calls = list_calls(graph)
    prepare_copies(graph)
    rewrites: list[Rewrite] = []
    kept: list[KeptAffine] = []
    precomputed: list[Op] = []
    patterns: list[Pattern] = []
    census = take_census(graph)
    for name in request.passes:
        outcome = _RUN[name](graph, request.target)
        if outcome.rewrites or outcome.precomputed:
            before, census = census, take_census(graph)
            patterns += find_patterns(name, outcome.rewrites, before, census)
        rewrites += outcome.rewrites
        precomputed += outcome.precomputed
        if outcome.kept is not None:
            kept = outcome.kept
    reduced, shared = build_model(graph, limits=limits)
    if request.strict and shared:
        raise UnsupportedModelError(_refusal(request.model, shared))
    return Reduction(
        original=request.model,
        model=reduced,
        rewrites=tuple(rewrites),
        kept=tuple(x.kept for x in kept if x.op.calls()) + _closed(read.closed, kept),
        seconds=0.0,
        # A later pass may have removed an affine that an earlier one kept or precomputed.
        precomputed=sum(bool(op.calls()) for op in precomputed),
        opened=read.names,
        shared=shared,
        patterns=tuple(patterns),
        calls=calls,
    )


def _refusal(model: Any, shared: Sequence[Shared]) -> str:
    layers = "; ".join(f"'{x.layer}' ({x.reason})" for x in shared)
    return (
        f"model '{model.name}' holds layers that cannot be copied: {layers}. Let get_config() "
        "return every argument of __init__, or leave out strict: both models then share them"
    )


def _check_arguments(passes: Any, target: Any) -> None:
    listed = isinstance(passes, Sequence) and not isinstance(passes, str)
    if not listed or not all(name in PASSES for name in passes):
        wrong = [x for x in passes if x not in PASSES] if listed else passes
        raise KitoError(f"passes: {wrong!r} is not a sequence of names out of {', '.join(PASSES)}")
    if target not in _TARGETS:
        raise KitoError(f"target: {target!r} is not one of {', '.join(_TARGETS)}")


def _closed(closed: Sequence[Op], kept: Sequence[KeptAffine]) -> tuple[Kept, ...]:
    """The composite layers that stay closed, without those that hold an affine of ``kept``."""
    reported = {x.op for x in kept if x.inner_layer is not None}
    return tuple(
        Kept(op.name, f"it stays closed: {op.closed}")
        for op in closed
        if op.calls() and op not in reported
    )


def reduce_keras_model(model: Any, verbose: bool = False) -> Any:
    """Return the reduced model of ``model``, by the default passes: the entry point of KITO 1.0.5.

    Args:
        model: a functional or Sequential ``keras.Model``, with nested models, or a subclassed one
            that was built. It is not changed.
        verbose: print a summary of the reduction.

    Raises:
        UnsupportedModelError: the model is not built, is subclassed and cannot be opened, was made
            by ``tf_keras``.
        KitoError: ``model`` is not a Keras model.
    """
    reduction = reduce(model)
    if verbose:
        print(reduction.summary())  # noqa: T201 (what the argument asks for)
    return reduction.model


def check_model(model: Any, where: str) -> None:
    """Raise a KitoError that says what to do where ``model`` is not a Keras 3 model."""
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
