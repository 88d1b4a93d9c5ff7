"""Plans a CI run: which models of kito.yaml go to which job.

Planning builds no model and does not import Keras.
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
"""The most jobs that GitHub Actions allows in one matrix."""


@dataclass(frozen=True)
class Shard:
    """The models that one job checks."""

    shard: int
    """The number of the shard, from 1."""
    models: tuple[str, ...]
    """The names of its models, in the order of kito.yaml; at least one."""


def plan(
    config: Path, shards: int = 1, only: Sequence[str] = (), timings: Path | None = None
) -> list[Shard]:
    """Split the declared models into shards of about equal cost.

    Args:
        config: the kito.yaml.
        shards: the largest number of shards; there are never more shards than models.
        only: names of the models to plan for; empty for all declared models.
        timings: an earlier JSON report, whose seconds are the costs; None to estimate the costs.

    Raises:
        ConfigError: the file is invalid.
        KitoError: the number of shards is out of range, a model is not declared, or ``timings`` is
            not a valid report.
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
    assigned = [shard(specs, (index, count), seconds) for index in range(1, count + 1)]
    filled = [tuple(spec.name for spec in group) for group in assigned if group]
    return [Shard(index, names) for index, names in enumerate(filled, 1)]


def _undeclared(name: str, declared: list[str], config: Path) -> str:
    # Text that cannot be a name is shown escaped, on one line.
    shown = name if re.fullmatch(NAME_PATTERN, name) else ascii(name[:100])
    return (
        f"model {shown} is not declared in {config}; {nearest(name, declared)}"
        f"allowed: {', '.join(declared[:20])}{', ...' if len(declared) > 20 else ''}"
    )
