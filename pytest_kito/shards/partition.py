"""Assigns the declared models to shards so that the costs of the shards are balanced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_kito.config.load import ModelSpec


def shard(
    specs: Sequence[ModelSpec], part: tuple[int, int] | None, costs: Mapping[str, float]
) -> tuple[ModelSpec, ...]:
    """The models of one shard, in their given order.

    The models are assigned by descending cost, each to the shard with the least cost so far
    (Graham's LPT rule). So the costs of two shards differ by at most the cost of one model. Models
    of equal cost keep their given order, so that every process computes the same shards.

    Args:
        specs: all models.
        part: (I, N) for the I-th of N shards, I from 1; None for all models.
        costs: cost by name of the model, in any unit, see :mod:`pytest_kito.shards.costs`.
    """
    if part is None:
        return tuple(specs)
    index, count = part
    loads = [0.0] * count
    chosen: set[str] = set()
    for spec in sorted(specs, key=lambda spec: costs[spec.name], reverse=True):
        lightest = loads.index(min(loads))
        loads[lightest] += costs[spec.name]
        if lightest == index - 1:
            chosen.add(spec.name)
    return tuple(spec for spec in specs if spec.name in chosen)
