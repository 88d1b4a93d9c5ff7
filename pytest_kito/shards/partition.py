"""Which of the declared models a session, or a test, is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_kito.config.load import ModelSpec


def shard(
    specs: Sequence[ModelSpec], part: tuple[int, int] | None, costs: Mapping[str, float]
) -> tuple[ModelSpec, ...]:
    """The models of one part, in their order.

    The dearest first, each goes to the part that has least so far (Graham's LPT rule), so that the
    fullest part holds at most one model more than it would have to. Equal ones go in the order of
    kito.yaml: every process that asks gets the same parts.

    Args:
        specs: every model.
        part: (I, N), I from 1; None for all of them.
        costs: by name of the model, in any unit, see :mod:`pytest_kito.shards.costs`.
    """
    if part is None:
        return tuple(specs)
    index, count = part
    loads = [0.0] * count
    mine: set[str] = set()
    for spec in sorted(specs, key=lambda spec: costs[spec.name], reverse=True):
        lightest = loads.index(min(loads))
        loads[lightest] += costs[spec.name]
        if lightest == index - 1:
            mine.add(spec.name)
    return tuple(spec for spec in specs if spec.name in mine)
