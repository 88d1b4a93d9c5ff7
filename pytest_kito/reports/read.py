"""Reads a JSON report, which may come from anywhere, and checks all that is read of it.

Only the keys that ``kito merge``, ``kito summary`` and ``--kito-timings`` use are checked: reports
of other versions may have more, and an older one may have fewer. What is there has its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kito.errors import KitoError, shown
from kito.runtime.bounded import read_file, read_json


class _Part(BaseModel):
    """A mapping of a report: the types of the keys that are read; any other key may be there."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Pair = Annotated[tuple[_Count, _Count], Field(strict=False)]
_Seconds = Mapping[str, Annotated[float, Field(ge=0)]] | None


class _Reduction(_Part):
    layers: _Pair = (0, 0)
    batchnorms: _Pair = (0, 0)
    parameters: _Pair = (0, 0)
    precomputed: _Count = 0


class _Output(_Part):
    max_abs: float | None = None
    scale: float | None = None


class _Equivalence(_Part):
    outputs: Mapping[str, _Output] = Field(default_factory=dict)


class _Speedup(_Part):
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    batch_size: _Count = 0


class _Check(_Part):
    check: str = ""
    outcome: str = ""


class _Metric(_Part):
    name: str
    format: str | None
    original: float | None
    value: float | None
    passed: bool | None
    skipped: str | None


class _Artifact(_Part):
    file: str
    sha256: str


class _Model(_Part):
    name: str
    passed: bool = False
    seconds: _Seconds = None
    reduction: _Reduction | None = None
    equivalence: _Equivalence | None = None
    speedup: list[_Speedup] = Field(default_factory=list)
    artifacts: list[_Artifact] = Field(default_factory=list)
    metrics: list[_Metric] = Field(default_factory=list)
    checks: list[_Check] = Field(default_factory=list)
    not_run: list[str] = Field(default_factory=list)


class _Report(_Part):
    schema_version: Literal[1]
    created: str
    environment: dict[str, Any] | None
    environments: list[dict[str, Any] | None] | None = None
    passed: bool
    interrupted: bool = False
    missing: list[str] = Field(default_factory=list)
    seconds: _Seconds = None
    models: list[_Model]


def read_report(path: Path) -> dict[str, Any]:
    """Read a JSON report.

    Returns:
        The report as it is in the file.

    Raises:
        KitoError: the file cannot be read, or is not a report of schema version 1.
    """
    try:
        report = read_json(read_file(path))
        _Report.model_validate(report)
    except FileNotFoundError:
        raise KitoError(f"there is no file {path}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = shown(".".join(map(str, first["loc"])) or "the whole", 100)
        raise KitoError(
            f"{path} is not a report of schema_version 1, as pytest --kito-report writes it: "
            f"{where}: {first['msg']}"
        ) from error
    except (OSError, ValueError) as error:
        raise KitoError(
            f"{path} is not a report of pytest --kito-report: {shown(error)}"
        ) from error
    return dict(report)
