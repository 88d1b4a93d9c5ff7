"""The checks ``metric[NAME]`` and ``metric[NAME-FORMAT]`` in whole sessions, by real engines."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import keras
import pytest

from pytest_kito.checks.metric import out_of_bounds
from pytest_kito.config.metrics import MetricSpec

Repository = Callable[[str], pytest.Pytester]

pytestmark = pytest.mark.backends("tensorflow")  # it writes ONNX and LiteRT
if keras.backend.backend() == "tensorflow":  # an inner run could not import it twice
    importlib.import_module("ai_edge_litert.interpreter")

METRICS = """
import numpy as np


def data():
    rng = np.random.default_rng(1)
    image = rng.uniform(size=(40, 8, 8, 3)).astype("float32")
    return {"image": image, "label": rng.integers(0, 3, 40)}


def mean(predict, data):
    with open("evaluated.txt", "a") as file:
        file.write("once ")
    return np.mean(predict(data["image"]))


def random(predict, data):
    return np.mean(predict(data["image"])) + np.random.default_rng().uniform()
"""


def run(folder: pytest.Pytester, *args: str) -> pytest.RunResult:
    folder.makepyfile(measured=METRICS)
    return folder.runpytest_inprocess(
        "--kito-check", "-p", "no:cacheprovider", "--kito-report=report.json", *args
    )


def report(folder: pytest.Pytester) -> Any:
    """The one model of the JSON report, which is valid."""
    read = json.loads((folder.path / "report.json").read_text())
    schema = json.loads(files("pytest_kito").joinpath("reports/report.schema.json").read_text())
    jsonschema.validate(read, schema)
    [model] = read["models"]
    return model


def test_a_metric_is_checked_on_the_reduced_model_and_on_each_file(repository: Repository) -> None:
    folder = repository(
        """
        version: 1
        models:
          small:
            source: nets:net
            artifacts: [onnx, litert]
            metrics:
              mean: {source: "measured:mean", data: "measured:data", max_drop: 1.0e-4}
              accuracy:
                source: keras.metrics.SparseCategoricalAccuracy
                data: measured:data
        """
    )
    result = run(folder, "-v", "--kito-artifacts=out", "--junit-xml=junit.xml")
    result.assert_outcomes(passed=2 + 2 + 2 * 3)
    found = [x.split()[0].rpartition("::")[2] for x in result.stdout.lines if " PASSED" in x]
    assert found[-6:] == [
        *("metric[mean]", "metric[accuracy]"),
        *("metric[mean-onnx]", "metric[accuracy-onnx]"),
        *("metric[mean-litert]", "metric[accuracy-litert]"),
    ]
    # Twice on the original, and once on each of the others.
    assert (folder.path / "evaluated.txt").read_text().split() == ["once"] * (2 + 3)
    model = report(folder)
    entries = {(x["name"], x["format"]): x for x in model["metrics"]}
    assert [(x["engine"], x["format"]) for x in model["metrics"][::2]] == [
        *(("keras", None), ("onnx", "onnx"), ("litert", "litert"))
    ]
    for artifact_format in (None, "onnx", "litert"):
        mean = entries["mean", artifact_format]
        assert mean["value"] == pytest.approx(mean["original"], abs=1e-4)
        assert (mean["passed"], mean["max_drop"], mean["min"]) == (True, 1e-4, None)
        accuracy = entries["accuracy", artifact_format]
        assert (accuracy["passed"], accuracy["skipped"]) == (None, None)
        assert accuracy["value"] == accuracy["original"] > 0
    # Each engine rounds in a way of its own: these are not the values of one and the same model.
    assert len({entries["mean", x]["value"] for x in (None, "onnx", "litert")}) > 1
    assert model["seconds"]["metric"] > 0
    result.stdout.fnmatch_lines(["small: accuracy: original 0.*; reduced, onnx, litert 0.*"])
    manifest = json.loads((folder.path / "out" / "kito-manifest.json").read_text())
    assert [x["checks"]["metrics"] for x in manifest["files"]] == [model["metrics"]] * 2
    cases = {x.attrib["name"]: x for x in ET.parse(folder.path / "junit.xml").iter("testcase")}
    properties = {
        x.attrib["name"]: x.attrib["value"] for x in cases["metric[mean-onnx]"].iter("property")
    }
    assert float(properties["kito_value"]) == entries["mean", "onnx"]["value"]
    assert properties["kito_passed"] == "True"


def test_a_model_out_of_bounds_is_not_published(repository: Repository) -> None:
    folder = repository(
        """
        version: 1
        models:
          small:
            source: nets:net
            metrics:
              low: {source: "measured:mean", data: "measured:data", min: 1.0e+6}
              random: {source: "measured:random", data: "measured:data"}
        """
    )
    result = run(folder, "--kito-artifacts=out")
    result.assert_outcomes(passed=3, failed=4)
    result.stdout.fnmatch_lines(
        [
            "kito.yaml:3: small: metric[[]low]: * on the reduced model, * on the original; "
            "declared: min: 1e+06",
            "the original is out of bounds, too: change the bounds in kito.yaml, or the model",
            "kito.yaml:3: small: metric[[]low-keras]: * on 'small.keras', run by Keras, *",
            "kito.yaml:3: small: metric[[]random-keras]: metric 'measured:random' depends on more*",
            "small: low: original *; reduced, keras * (failed)",
            "small: random: reduced, keras unknown (failed)",
            "small.keras is not published: metric[[]low], metric[[]random], *",
        ],
        consecutive=False,
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    assert not (folder.path / "out" / "small.keras").exists()
    low, unknown = report(folder)["metrics"][:2]
    assert (low["passed"], unknown["passed"], unknown["value"]) == (False, False, None)


@pytest.mark.parametrize(
    "tolerance, args, outcomes",
    [
        ("{}", ("-k", "metric"), {"passed": 1, "skipped": 1, "deselected": 3}),
        ("{rtol: 0.0}", (), {"passed": 2, "failed": 2, "skipped": 1}),
    ],
    ids=["not made", "not passed"],
)
def test_a_file_that_did_not_pass_is_not_evaluated(
    repository: Repository, tolerance: str, args: tuple[str, ...], outcomes: dict[str, int]
) -> None:
    folder = repository(
        f"""
        version: 1
        models:
          small:
            source: nets:net
            tolerance: {tolerance}
            metrics: {{mean: {{source: "measured:mean", data: "measured:data", max_drop: 1}}}}
        """
    )
    result = run(folder, "-rs", *args)
    result.assert_outcomes(**outcomes)
    reason = "artifact[keras] did not pass in this session, so there is no file to run"
    assert reason in result.stdout.str()
    reduced, file = report(folder)["metrics"]
    assert (reduced["passed"], reduced["skipped"]) == (True, None)
    assert (file["passed"], file["value"], file["skipped"]) == (None, None, reason)


@pytest.mark.parametrize(
    "bounds, value, problems",
    [
        ({}, -100.0, []),
        ({"min": 0.9}, 0.9, []),
        ({"min": 0.9}, 0.89, ["min: 0.9"]),
        ({"max": 0.9}, 0.9, []),
        ({"max": 0.9}, 0.91, ["max: 0.9"]),
        # 0.98 - 0.979 is 0.0010000000000000009.
        ({"max_drop": 0.001}, 0.979, []),
        ({"max_drop": 0.001}, 0.978, ["max_drop: 0.001, it is 0.002 worse than the original"]),
        ({"max_drop": 0.001}, 1.5, []),
        ({"max_drop": 0}, 0.98, []),
        ({"max_drop": 0}, 0.98 - 1e-9, ["max_drop: 0, it is 1e-09 worse than the original"]),
        ({"max_drop": 0, "higher_is_better": False}, 0.97, []),
        (
            {"max_drop": 0.01, "higher_is_better": False},
            1.0,
            ["max_drop: 0.01, it is 0.02 worse than the original"],
        ),
        (
            {"min": 0.9, "max_drop": 0.1},
            0.5,
            ["min: 0.9", "max_drop: 0.1, it is 0.48 worse than the original"],
        ),
    ],
)
def test_bounds(bounds: dict[str, Any], value: float, problems: list[str]) -> None:
    spec = MetricSpec.model_validate({"source": "a:b", **bounds})
    assert out_of_bounds(spec, value, original=0.98) == problems
