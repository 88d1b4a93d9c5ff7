"""Hand-made results of checks, to test reports without building a model."""

from __future__ import annotations

from typing import Any

from pytest_kito.checks.declared import DeclaredModel
from pytest_kito.reports.results import Finding, Results, as_data

CHECKS = ("reduction", "equivalence", "speedup[1]", "speedup[32]", "artifact[keras]")
ENVIRONMENT = {
    "python": "3.11.9",
    "keras": "3.12.0",
    "backend": "tensorflow",
    "backend_version": "2.18.0",
    "device": "cpu",
    "device_name": "Processor | 2000",
    "driver": None,
    "cpu": "Processor | 2000",
    "threads": 2,
}


def declared(name: str, line: int = 3, device: str = "cpu") -> DeclaredModel:
    return DeclaredModel(name, "nets:net", line, CHECKS, device)


def reduction(
    kept: dict[str, str] | None = None, shared: dict[str, str] | None = None
) -> dict[str, Any]:
    return {
        "layers": [7, 5],
        "parameters": [143, 127],
        "batchnorms": [2, 1],
        "precomputed": 0,
        "opened": [],
        "seconds": 0.25,
        "rewrites": [{"pass_name": "fold_affine", "layers": ["bn"], "into": "conv"}],
        "kept": [{"layer": layer, "reason": why} for layer, why in (kept or {}).items()],
        "shared": [{"layer": layer, "reason": why} for layer, why in (shared or {}).items()],
    }


def equivalence(**outputs: float) -> dict[str, Any]:
    figures = {
        "mean_abs": 1e-8,
        "scale": 2.0,
        "spread": 1.0,
        "rtol": 1e-4,
        "atol": 0.0,
        "required_rtol": 1e-7,
    }
    return {
        "passed": True,
        "insensitive": False,
        "within_rounding": False,
        "samples": 32,
        "error_vs_float64": [1e-7, 2e-7],
        "outputs": {name: {"max_abs": x, **figures} for name, x in outputs.items()},
    }


def speedup(batch_size: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "batch_size": batch_size,
        "ratio": 1.25,
        "low": 1.2,
        "high": 1.3,
        "noise_floor": 0.02,
        "minimum": 1.1,
        "verdict": "pass",
        "original_ms": [5.0, 6.0],
        "reduced_ms": [4.0, 4.5],
        "pairs": 40,
        "skipped": None,
        **more,
    }


def not_timed(batch_size: int = 1, reason: str = "there is no GPU") -> dict[str, Any]:
    figures = ("ratio", "low", "high", "noise_floor", "verdict", "original_ms", "reduced_ms")
    return speedup(batch_size, **dict.fromkeys(figures), pairs=0, skipped=reason)


def results(*findings: Finding, models: tuple[DeclaredModel, ...] | None = None) -> Results:
    """Results of these findings; by default of the models that they name, in this order."""
    names = dict.fromkeys(finding.model for finding in findings)
    made = Results(models or [declared(name, 3 + i) for i, name in enumerate(names)])
    for finding in findings:
        if finding.environment is None:
            finding.environment = ENVIRONMENT
        made.add(as_data(finding))
    return made


def plain_pass(name: str) -> list[Finding]:
    """The findings of a model that passes all of :data:`CHECKS`."""
    artifact = {
        "format": "keras",
        "file": f"{name}.keras",
        "bytes": 10,
        "sha256": "0" * 64,
        "max_abs": 1e-7,
    }
    return [
        Finding(name, "reduction", data=reduction(), seconds={"build": 1.0, "reduce": 0.5}),
        Finding(name, "equivalence", data=equivalence(scores=1e-7), seconds={"compare": 2.0}),
        Finding(name, "speedup[1]", data=speedup(), seconds={"time": 3.0}),
        Finding(name, "speedup[32]", data=speedup(32), seconds={"time": 4.0}),
        Finding(name, "artifact[keras]", data=artifact, seconds={"write": 0.5}),
    ]
