"""Reduce the functional and Sequential models in a subclassed model that cannot be opened.

What its ``call`` does with them stays as it is: the reduced model is a copy of the live object,
which holds the reduced models in their place. The copy must do the same as the original twice: with
copies of the models in it, exactly; with the reduced ones, apart from rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kito.errors import UnsupportedModelError
from kito.graph.build import build_model, copy_compilation
from kito.graph.calls import join_calls
from kito.graph.copy_layer import Trial
from kito.graph.ir import Op
from kito.graph.keras_internals import all_layers
from kito.graph.limits import attempt
from kito.graph.live_copy import NotCopied, copy_live
from kito.graph.read import is_readable, read_graph
from kito.rewrite.inline.reasons import CannotOpen
from kito.rewrite.outcome import Kept
from kito.rewrite.patterns import join
from kito.rewrite.reduction import Reduction

_ROUNDING = 1e-3
"""How far the reduced model may be from the original, relative to the largest output."""


def reduce_parts(closed: CannotOpen, reduce_part: Callable[[Any], Reduction]) -> Reduction:
    """The reduction of a subclassed model whose functional parts are reduced.

    Args:
        closed: why the model cannot be opened.
        reduce_part: reduces one functional or Sequential model.

    Raises:
        UnsupportedModelError: there is no such part, or the model cannot be copied.
    """
    op = closed.op
    original = op.layer
    parts = {id(x): reduce_part(x) for x in _outermost_models(original)}
    if not any(x.rewrites for x in parts.values()):
        raise closed
    _check_copy(op, closed)
    reduced = _copy(op, closed, lambda x: parts[id(x)].model if id(x) in parts else _copy_part(x))
    problem = Trial(op).find_difference(reduced, _ROUNDING)
    if problem is not None:
        raise UnsupportedModelError(f"{closed}, and {problem} once the models in it are reduced")
    copy_compilation(original, reduced)
    stays = Kept(original.name, f"it stays closed, the models in it are reduced: {op.closed}")
    every = list(parts.values())
    return Reduction(
        original=original,
        model=reduced,
        rewrites=tuple(x for part in every for x in part.rewrites),
        kept=(stays, *(x for part in every for x in part.kept)),
        seconds=0.0,
        precomputed=sum(part.precomputed for part in every),
        opened=tuple(x for part in every for x in part.opened),
        shared=tuple(x for part in every for x in part.shared),
        patterns=join(x for part in every for x in part.patterns),
        calls=join_calls(part.calls for part in every),
    )


def _outermost_models(model: Any) -> Iterator[Any]:
    """The functional and Sequential models in ``model`` that are in no other one of these."""
    inner = {id(x) for part in all_layers(model) if is_readable(part) for x in all_layers(part)}
    yield from (x for x in all_layers(model) if is_readable(x) and id(x) not in inner)


def _check_copy(op: Op, closed: CannotOpen) -> None:
    """Raise UnsupportedModelError unless a copy of the model does exactly the same."""
    trial = Trial(op)
    problem = trial.failure or trial.find_problem(_copy(op, closed, _copy_part))
    if problem:
        raise UnsupportedModelError(f"{closed}; nor can it be copied: {problem}")


def _copy(op: Op, closed: CannotOpen, copy_part: Callable[[Any], Any]) -> Any:
    """A copy of the live model, with ``copy_part(part)`` for each model in it."""
    try:
        return copy_live(op.layer, op.layer.name, lambda x: {id(x): (x, copy_part(x))})
    except NotCopied as error:
        raise UnsupportedModelError(f"{closed}; nor can it be copied: {error}") from error


def _copy_part(model: Any) -> Any:
    return attempt(lambda limits: build_model(read_graph(model), limits=limits)[0])
