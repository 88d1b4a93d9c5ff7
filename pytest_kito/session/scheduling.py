"""Which worker of pytest-xdist runs which check.

All checks of the models whose speed is measured run on one worker, one after the other: their
timings do not disturb each other, and each model is built once. The checks of any other model stay
together. Every other test goes where the chosen distribution sends it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_kito.config.load import Config

TIMED = "kito-timed"
"""The scope of the checks of models whose speed is measured."""


def scheduler(config: pytest.Config, log: Any, declared: Config) -> object | None:
    """The scheduler for this session; None where xdist's own is as good.

    That is with ``--dist=each``, where every worker runs everything, ``--dist=loadfile``, where all
    checks are on one worker anyway, and with one worker.

    Args:
        config: of the session.
        log: of xdist, handed through.
        declared: the kito.yaml whose checks these are.
    """
    from xdist.scheduler import LoadGroupScheduling, LoadScopeScheduling
    from xdist.workermanage import parse_tx_spec_config

    kind = config.getvalue("dist")
    bases: dict[str, type[LoadScopeScheduling]] = {
        "load": LoadScopeScheduling,
        "worksteal": LoadScopeScheduling,
        "loadscope": LoadScopeScheduling,
        "loadgroup": LoadGroupScheduling,
    }
    if kind not in bases or len(parse_tx_spec_config(config)) < 2:
        return None
    base = bases[kind]
    root = config.rootpath

    class GateScheduling(base):  # type: ignore[valid-type,misc]
        """As the distribution that was chosen, but for the checks."""

        def _split_scope(self, nodeid: str) -> str:
            scope = scope_of(nodeid, root, declared)
            if scope is not None:
                return scope
            # These two have no scopes: each test is one of its own.
            alone = kind in ("load", "worksteal")
            return nodeid if alone else str(super()._split_scope(nodeid))

    return GateScheduling(config, log)


def scope_of(nodeid: str, root: Path, declared: Config) -> str | None:
    """What a check must stay together with; None for any other test.

    Args:
        nodeid: ``FILE::MODEL::CHECK`` for a check, FILE relative to the root directory.
        root: the root directory.
        declared: the kito.yaml whose checks these are.
    """
    file, *rest = nodeid.split("::")
    if len(rest) != 2 or Path(file).name != declared.path.name:
        return None
    if (root / file).resolve() != declared.path.resolve():
        return None
    spec = next((spec for spec in declared.models if spec.name == rest[0]), None)
    if spec is None:
        return None
    return TIMED if spec.speedup is not None else f"{file}::{spec.name}"
