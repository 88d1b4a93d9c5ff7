"""kito.yaml -> which models go to which job of a CI run.

Nothing is built for it, and no Keras imported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kito.errors import KitoError, nearest
from pytest_kito.config.load import load_config
from pytest_kito.config.names import NAME_PATTERN
from pytest_kito.shards.costs import costs
from pytest_kito.shards.partition import shard

MOST_SHARDS = 256
"""As many jobs as GitHub Actions takes in one matrix."""


@dataclass(frozen=True)
class Part:
    """What one job checks."""

    shard: int
    """From 1."""
    models: tuple[str, ...]
    """Names, in the order of kito.yaml; at least one."""


def plan(
    config: Path, shards: int = 1, only: Sequence[str] = (), timings: Path | None = None
) -> list[Part]:
    """Split the declared models into parts of costs as even as they get.

    Args:
        config: the kito.yaml.
        shards: how many parts, at most; there are never more than models.
        only: names of the models to plan for; empty for all that are declared.
        timings: an earlier JSON report, whose seconds balance the parts; None to estimate them.

    Raises:
        ConfigError: the file is not valid.
        KitoError: the number of shards is none, a model is not declared, or ``timings`` is no
            report.
    """
    if not 1 <= shards <= MOST_SHARDS:
        raise KitoError(f"--shards {shards}: allowed are 1 to {MOST_SHARDS}")
    file = load_config(config)
    declared = {spec.name: spec for spec in file.models}
    for name in only:
        if name not in declared:
            raise KitoError(_undeclared(name, list(declared), config))
    specs = [spec for name, spec in declared.items() if not only or name in only]
    count = min(shards, len(specs))
    seconds = costs(specs, file.base, timings)
    parts = [shard(specs, (index, count), seconds) for index in range(1, count + 1)]
    taken = [tuple(spec.name for spec in part) for part in parts if part]
    return [Part(index, names) for index, names in enumerate(taken, 1)]


def _undeclared(name: str, declared: list[str], config: Path) -> str:
    # What is no name at all is shown as data, on one line.
    shown = name if re.fullmatch(NAME_PATTERN, name) else ascii(name[:100])
    return (
        f"model {shown} is not declared in {config}; {nearest(name, declared)}"
        f"allowed: {', '.join(declared[:20])}{', ...' if len(declared) > 20 else ''}"
    )
