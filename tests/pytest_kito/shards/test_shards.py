"""The costs of models, estimated without building one, and the shards that follow from them."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kito.errors import KitoError
from pytest_kito.config.load import ModelSpec, load_config
from pytest_kito.shards.costs import FORMAT, METRIC, SETUP, costs
from pytest_kito.shards.partition import shard

Repository = Callable[[str], pytest.Pytester]


def specs(folder: Path, models: dict[str, Any]) -> tuple[ModelSpec, ...]:
    """The specs of a kito.yaml in ``folder`` that declares these models."""
    path = folder / "kito.yaml"
    path.write_text(json.dumps({"version": 1, "models": models}))
    return load_config(path).models


def keras_file(path: Path, parameters: int, inputs: dict[str, list[int | None]]) -> None:
    """What Keras writes, as far as a cost is read from it."""
    layers = [
        {"class_name": "InputLayer", "config": {"name": name, "batch_shape": [None, *shape]}}
        for name, shape in inputs.items()
    ]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": layers}}))
        archive.writestr("model.weights.h5", bytes(4 * parameters))


def test_each_evaluation_of_a_metric_has_its_cost(tmp_path: Path) -> None:
    metrics = {name: {"source": "a:b"} for name in ("first", "second")}
    plain = {"source": "a:b", "artifacts": ["keras", "onnx"]}
    cost = costs(specs(tmp_path, {"plain": plain, "more": {**plain, "metrics": metrics}}), tmp_path)
    assert cost["more"] - cost["plain"] == pytest.approx(METRIC * 2 * (2 + 1 + 2))


@given(
    st.lists(st.floats(0, 1e4) | st.integers(1, 3).map(float), min_size=1, max_size=40),
    st.integers(1, 12),
)
def test_each_model_is_in_one_part_and_the_parts_are_balanced(
    values: list[float], count: int
) -> None:
    given = [ModelSpec.model_construct(name=f"m{i}") for i in range(len(values))]
    cost = {spec.name: value for spec, value in zip(given, values, strict=True)}
    parts = [shard(given, (i, count), cost) for i in range(1, count + 1)]
    names = [[spec.name for spec in part] for part in parts]
    order = [spec.name for spec in given]
    assert sorted(name for part in names for name in part) == sorted(order)
    assert all(part == sorted(part, key=order.index) for part in names)
    loads = [sum(cost[name] for name in part) for part in names]
    assert max(loads) <= (min(loads) + max(values)) * (1 + 1e-9)
    assert names == [[x.name for x in shard(given, (i, count), cost)] for i in range(1, count + 1)]


def test_equal_costs_go_in_declared_order() -> None:
    given = [ModelSpec.model_construct(name=name) for name in "abcd"]
    part = shard(given, (1, 2), dict.fromkeys("abcd", 1.0))
    assert [spec.name for spec in part] == ["a", "c"]


def test_parameters_and_inputs_are_read_from_the_file(tmp_path: Path) -> None:
    keras_file(tmp_path / "small.keras", 1000, {"image": [8, 8, 3]})
    keras_file(tmp_path / "large.keras", 8000, {"image": [8, 8, 3]})
    keras_file(tmp_path / "wide.keras", 8000, {"image": [64, 64, 3], "more": [64, 64, 3]})
    keras_file(tmp_path / "open.keras", 8000, {"image": [None, None, 3]})
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["weights"] = [0.0] * 100_000
        layer = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 64, 64, 3]}}
        file.attrs["model_config"] = json.dumps({"config": {"layers": [layer]}})
    names = ("small", "large", "wide", "open")
    models: dict[str, Any] = {name: {"source": f"{name}.keras"} for name in names}
    models["shaped"] = {"source": "open.keras", "inputs": {"shape": {"image": [8, 8, 3]}}}
    models["old"] = {"source": "old.h5"}
    found = costs(specs(tmp_path, models), tmp_path)
    assert found["small"] < found["large"] < found["wide"] < found["open"]
    assert found["shaped"] == found["large"]
    assert found["wide"] < found["old"]
    work = {name: cost - SETUP - FORMAT for name, cost in found.items()}
    assert work["large"] == pytest.approx(8 * work["small"])
    assert work["wide"] == pytest.approx(2 * 64 * work["large"])


def test_the_cost_of_a_callable_follows_from_its_declaration(tmp_path: Path) -> None:
    (tmp_path / "few.weights.h5").write_bytes(bytes(4000))
    models = {
        "typical": {"source": "nets:net"},
        "tiny": {"source": "nets:net", "kwargs": {"input_shape": [8, 8, 3]}},
        "light": {"source": "nets:net", "weights": "few.weights.h5"},
        "reported": {"source": "nets:net", "speedup": {"budget_s": 60}},
        "judged": {"source": "nets:net", "speedup": {"budget_s": 60, "min": 1.1}},
        "longer": {"source": "nets:net", "speedup": {"budget_s": 90, "min": 1.1}},
        "twice": {"source": "nets:net", "speedup": {"min": 1.1, "batch_size": [1, 32]}},
        "formats": {"source": "nets:net", "artifacts": ["keras", "onnx"]},
        "engine": {
            "source": "nets:net",
            "artifacts": ["keras", "onnx"],
            "speedup": {"min": 1.1, "engines": {"onnx": {"batch_size": [1, 8]}}},
        },
    }
    found = costs(specs(tmp_path, models), tmp_path)
    assert found["tiny"] < found["typical"]
    assert found["light"] < found["typical"] < found["formats"] < found["reported"]
    assert found["judged"] - found["typical"] == pytest.approx(60.0)
    assert found["longer"] - found["typical"] == pytest.approx(90.0)
    # Two timings with the budget auto.
    assert found["twice"] - found["typical"] == pytest.approx(120.0)
    assert found["engine"] - found["formats"] == pytest.approx(60 + 2 * 15)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(18)])
@pytest.mark.parametrize("name", ["broken.keras", "broken.h5"])
def test_planning_ignores_a_broken_file(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert costs(specs(tmp_path, {"broken": {"source": name}}), tmp_path)["broken"] > 0


@pytest.mark.parametrize(
    "config",
    [
        [],
        {},
        {"config": {"layers": 3}},
        {"config": {"layers": [7, {"class_name": "InputLayer", "config": {"batch_shape": 3}}]}},
        {"config": {"layers": [{"class_name": "InputLayer", "config": {"batch_shape": [1, "x"]}}]}},
    ],
)
def test_planning_ignores_an_invalid_model_config(tmp_path: Path, config: Any) -> None:
    with zipfile.ZipFile(tmp_path / "strange.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    assert costs(specs(tmp_path, {"x": {"source": "strange.keras"}}), tmp_path)["x"] > 0


def timings(path: Path, seconds: dict[str, float]) -> Path:
    models = [
        {"name": name, "seconds": {"build": value / 2, "time": value / 2}}
        for name, value in seconds.items()
    ]
    report = {"schema_version": 1, "created": "", "environment": None, "passed": True}
    path.write_text(json.dumps({**report, "models": models}))
    return path


def test_seconds_of_an_earlier_report_are_the_costs(tmp_path: Path) -> None:
    given = specs(tmp_path, {name: {"source": "nets:net"} for name in "abcd"})
    earlier = timings(tmp_path / "r.json", {"a": 10.0, "b": 20.0, "c": 90.0, "gone": 1000.0})
    found = costs(given, tmp_path, earlier)
    assert found == {"a": 10.0, "b": 20.0, "c": 90.0, "d": 20.0}
    unknown = timings(tmp_path / "r.json", {"gone": 1.0})
    assert costs(given, tmp_path, unknown) == costs(given, tmp_path)
    for broken in ("{}", "[]", '{"schema_version": 2}', "no json"):
        (tmp_path / "r.json").write_text(broken)
        with pytest.raises(KitoError, match=r"r\.json is not a report"):
            costs(given, tmp_path, tmp_path / "r.json")


def test_seconds_of_an_earlier_report_move_the_models(repository: Repository) -> None:
    names = "abcd"
    models = ", ".join(f"{name}: {{source: 'nets:net'}}" for name in names)
    folder = repository(f"{{version: 1, models: {{{models}}}}}")
    timings(folder.path / "earlier.json", {"a": 1.0, "b": 1.0, "c": 1.0, "d": 30.0})

    def parts(*args: str) -> list[set[str]]:
        found = []
        for part in ("1/2", "2/2"):
            result = folder.runpytest_inprocess(
                "--kito-check", "--collect-only", "-q", "--kito-shard", part, *args
            )
            found.append({line.split("::")[1] for line in result.stdout.lines if "::" in line})
        return found

    assert parts() == [{"a", "c"}, {"b", "d"}]
    assert parts("--kito-timings", "earlier.json") == [{"d"}, {"a", "b", "c"}]
    assert parts("-o", "kito_timings=earlier.json") == [{"d"}, {"a", "b", "c"}]


@pytest.mark.parametrize("args", [("--kito-shard", "1/2"), ()])
@pytest.mark.parametrize("content", [None, "{}"])
def test_timings_that_are_not_a_report_are_a_usage_error(
    repository: Repository, content: str | None, args: tuple[str, ...]
) -> None:
    folder = repository("{version: 1, models: {small: {source: 'nets:net'}}}")
    if content is not None:
        (folder.path / "none.json").write_text(content)
    result = folder.runpytest_inprocess("--kito-check", "--kito-timings", "none.json", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--kito-timings: *none.json*"])


def test_many_models_are_planned_without_keras(tmp_path: Path) -> None:
    keras_file(tmp_path / "model.keras", 100_000, {"image": [64, 64, 3]})
    models: dict[str, Any] = {f"net_{i}": {"source": "nets:net"} for i in range(250)}
    models |= {f"file_{i}": {"source": "model.keras", "speedup": {"min": 1}} for i in range(250)}
    specs(tmp_path, models)
    code = (
        "import sys, pytest\n"
        "code = pytest.main(['--kito-check', '--collect-only', '-q', '--kito-shard', '2/7'])\n"
        "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)\n"
        "raise SystemExit(code)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 50 < len({x.split("::")[1] for x in done.stdout.splitlines() if "::" in x}) < 100
