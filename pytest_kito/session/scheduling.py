"""Decides which worker of pytest-xdist runs which check.

All checks of the models whose speed is measured run on one worker, one after the other: their
timings do not disturb each other, and each model is built once. The checks of any other model run
on one worker. The chosen distribution decides about all other tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_kito.config.load import Config

TIMED = "kito-timed"
"""The scope of the checks of models whose speed is measured."""


def scheduler(config: pytest.Config, log: Any, declared: Config) -> object | None:
    """Return the scheduler for this session; None if xdist's own is enough.

    It is enough with ``--dist=each``, where every worker runs everything, with ``--dist=loadfile``,
    where all checks are on one worker anyway, and with one worker.

    Args:
        config: the session's configuration.
        log: the log that xdist hands to its schedulers.
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
        """Schedules all tests but the checks as the chosen distribution does."""

        def _split_scope(self, nodeid: str) -> str:
            scope = scope_of(nodeid, root, declared)
            if scope is not None:
                return scope
            # These two distributions have no scopes: each test is its own scope.
            alone = kind in ("load", "worksteal")
            return nodeid if alone else str(super()._split_scope(nodeid))

    return GateScheduling(config, log)


def scope_of(nodeid: str, root: Path, declared: Config) -> str | None:
    """Return the scope, whose checks run on one worker; None for a test that is not a check.

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
