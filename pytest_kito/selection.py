"""Which of the declared models a session, or a test, is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from pytest_kito.config import ModelSpec


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Give a test that uses a model fixture its models: all, or those of its marker ``kito_model``.

    Raises:
        pytest.UsageError: the marker names a model that is not declared.
    """
    from pytest_kito.session import gate_of

    names = [spec.name for spec in gate_of(metafunc.config).config.models]
    marker = metafunc.definition.get_closest_marker("kito_model")
    if marker is not None:
        unknown = [name for name in marker.args if name not in names]
        if unknown or marker.kwargs or not marker.args:
            raise pytest.UsageError(
                f"{metafunc.definition.nodeid}: kito_model takes names of models declared in "
                f"kito.yaml, not {unknown or marker.kwargs or 'nothing'}; declared: "
                f"{', '.join(names)}"
            )
        names = list(dict.fromkeys(marker.args))
    metafunc.parametrize("kito_model_name", names, indirect=True, scope="session")


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
        costs: by name of the model, in any unit, see :mod:`pytest_kito.costs`.
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
