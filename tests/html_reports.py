"""Reports of imaginary runs as plain data, of any number of models, to test the HTML report."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from kito_results import ENVIRONMENT

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert('2')</script>\u2028\u202egnp\"'&"
"""A name that would be markup, end a script, or show in another order, if it were not text."""
_NETWORKS = ("mobilenet", "resnet50", "efficientnet", "segmenter", "detector", "repvgg", "nasnet")
_REASONS = (
    "'conv_{0}' applies 'relu' before 'bn_{0}'; the scale passes only where it is positive: "
    "{0} of 64 channels are not",
    "the result of 'add_{0}' is used 2 times: 'bn_{0}', 'add_{0}_2'",
    "'pad_{0}' (ZeroPadding2D) lets a shift pass only where it is 0",
)


def report(
    count: int, run: int = 0, name: str | None = None, rewrites: int | None = None
) -> dict[str, Any]:
    """The report of a run; a later one has the same models, a little different.

    Args:
        count: how many models.
        run: which run, from 0, each a week after the one before.
        name: the name of the first model.
        rewrites: how many rewrites each model has; None for some 20 to 120.
    """
    models = [_model(i, run, rewrites) for i in range(count)]
    if name is not None:
        models[0]["name"] = name
    return {
        "schema_version": 1,
        "kito_version": "0.1.0",
        "created": (START + timedelta(weeks=run)).isoformat(timespec="seconds"),
        "config": "kito.yaml",
        "origin": {
            "repository": "vision/models",
            "ref": "refs/heads/main",
            "commit": f"{random.Random(run).getrandbits(160):040x}",
            "modified": False,
        },
        "environment": {**ENVIRONMENT, "device_name": "Imaginary CPU @ 3.1 GHz"},
        "passed": all(model["passed"] for model in models),
        "interrupted": False,
        "seconds": {
            "total": 87.9,
            **{"import": 8.7, "build": 12.4, "reduce": 3.1, "compare": 29.0, "time": 27.2},
            **{"write": 5.9, "metric": 1.2, "own": 0.4},
        },
        "models": models,
    }


def _model(index: int, run: int, rewrites: int | None) -> dict[str, Any]:
    rng = random.Random(f"{index} {run}")
    folds = random.Random(index).randint(20, 120) if rewrites is None else rewrites
    kind = ("passed", "passed", "passed", "failed", "passed", "skipped", "passed")[index % 7]
    kind = "passed" if run < 2 else kind
    engines = ("keras", "keras", *(("onnx", "litert") if index % 2 else ()))
    speedups = [
        _speedup(rng, engine, (1, 32)[i % 2], kind, index) for i, engine in enumerate(engines)
    ]
    metric = {"name": "accuracy", "min": 0.9, "max": None, "max_drop": 0.001, "skipped": None}
    name = f"{_NETWORKS[index % len(_NETWORKS)]}_{index // len(_NETWORKS)}"
    checks = [("reduction", "passed"), ("equivalence", "passed")]
    checks += [
        (
            f"speedup[{'' if x['engine'] == 'keras' else x['engine'] + '-'}{x['batch_size']}]",
            "skipped" if x["skipped"] else "failed" if x["verdict"] == "fail" else "passed",
        )
        for x in speedups
    ]
    messages = {
        "failed": "the speed-up is below the minimum\nmeasured: 1.041x, interval [1.018, 1.067]",
        "skipped": "declared for device: gpu; this run is on the cpu 'Imaginary CPU @ 3.1 GHz'",
    }
    return {
        "name": name,
        "source": f"keras.applications.{name.title()}",
        "line": 3 + index,
        "passed": kind != "failed",
        "reduction": {
            "layers": [154 + folds, 154 - run],
            "parameters": [3_538_984 + 997 * index, 3_504_872 + 996 * index],
            "batchnorms": [folds, index % 4],
            "precomputed": 0,
            "opened": [],
            "seconds": 0.9,
            "rewrites": [
                {
                    "pass_name": "fold_affine" if i % 6 else "absorb_padding",
                    "layers": [f"block_{i}_depthwise_BN"],
                    "into": f"block_{i}_depthwise",
                }
                for i in range(folds)
            ],
            "kept": [
                {"layer": f"bn_{i}", "reason": _REASONS[i % 3].format(i)}
                for i in range(7 * (index % 4))
            ],
            "shared": [],
        },
        "equivalence": _equivalence(rng, index),
        "speedup": speedups,
        "metrics": [
            {**metric, "format": None, "engine": "keras", "original": 0.9266, "value": 0.9266}
            | {"passed": True},
            {**metric, "format": "onnx", "engine": "onnx", "original": 0.9266, "value": 0.9261}
            | {"passed": True},
        ],
        "artifacts": [
            {
                "format": artifact_format,
                "file": f"{name}.{artifact_format}",
                "bytes": 14_213_312 + index,
                "sha256": f"{rng.getrandbits(256):064x}",
                "max_abs": 3.1e-6,
                "engine": engine,
                "engine_version": version,
                "precision": "f32",
            }
            for artifact_format, engine, version in (
                ("keras", "Keras", "3.12.0"),
                ("onnx", "ONNX Runtime", "1.22.0"),
            )
        ],
        "checks": [
            {"check": check, "outcome": outcome, "message": messages.get(outcome, "")}
            for check, outcome in checks
        ],
        "not_run": ["artifact[openvino]"] if index % 7 == 4 else [],
    }


def _equivalence(rng: random.Random, index: int) -> dict[str, Any]:
    scales = {"scores": 8.5} if index % 3 else {"boxes": 310.0, "scores": 8.5, "masks": 1.0}
    outputs = {}
    for name, scale in scales.items():
        error = 10 ** rng.uniform(-7.5, -4.6)
        outputs[name] = {
            "max_abs": error * scale,
            "mean_abs": error * scale * rng.uniform(0.05, 0.3),
            "scale": scale,
            "spread": scale * 0.4,
            "rtol": 1e-4,
            "atol": 0.0,
            "required_rtol": error,
        }
    if index % 7 == 1:
        outputs["scores"] |= {"max_abs": 2e-4 * 8.5, "mean_abs": 3e-5 * 8.5, "required_rtol": 2e-4}
    return {
        "passed": True,
        "insensitive": False,
        "within_rounding": index % 7 == 1,
        "samples": 32,
        "error_vs_float64": [1e-5, 1.1e-5],
        "outputs": outputs,
    }


def _speedup(
    rng: random.Random, engine: str, batch_size: int, kind: str, index: int
) -> dict[str, Any]:
    ratio = rng.uniform(1.0, 1.15) if engine != "keras" else rng.uniform(1.15, 1.8)
    verdict, minimum = "pass", 1.1 if engine == "keras" else None
    if kind == "failed" and engine == "keras":
        ratio, verdict, minimum = 1.041, "fail", 1.2
    if index % 7 == 6 and batch_size == 32:
        ratio, verdict, minimum = 1.12, "inconclusive", 1.1
    half = rng.uniform(0.01, 0.04)
    base = rng.uniform(4, 60) * (1 if batch_size == 1 else 9)
    original = sorted(base * rng.lognormvariate(0, 0.05) for _ in range(400))
    reduced = sorted(base / ratio * rng.lognormvariate(0, 0.06) for _ in range(400))
    original[-1] *= 1.8

    def quantiles(times: list[float]) -> list[float]:
        return [float(f"{times[round(399 * i / 20)]:.4g}") for i in range(21)]

    skipped = "there is no GPU" if kind == "skipped" and engine == "keras" else None
    figures: dict[str, Any] = {
        "ratio": round(ratio, 3),
        "low": round(ratio - half, 3),
        "high": round(ratio + half, 3),
        "noise_floor": round(rng.uniform(0.004, 0.03), 4),
        "verdict": verdict if minimum else None,
        "original_ms": [original[200], original[360]],
        "reduced_ms": [reduced[200], reduced[360]],
    }
    if skipped is not None:
        figures = dict.fromkeys(figures)
    return {
        "engine": engine,
        "against": engine,
        "batch_size": batch_size,
        **figures,
        "minimum": minimum,
        "pairs": 0 if skipped else 240,
        "skipped": skipped,
        "explanation": "the interval holds the minimum: the machine was too noisy to decide"
        if verdict == "inconclusive"
        else None,
        "warnings": [],
        "confidence": 0.95,
        "device_name": "Imaginary CPU @ 3.1 GHz",
        **(
            {}
            if skipped
            else {
                "original_quantiles_ms": quantiles(original),
                "reduced_quantiles_ms": quantiles(reduced),
            }
        ),
    }
