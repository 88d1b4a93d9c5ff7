"""The reports of real sessions, read back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import keras
import pytest

from pytest_kito.reports.merge import merge_reports

Repository = Callable[[str], pytest.Pytester]

FIVE = """
    version: 1
    models:
      small:
        source: nets:net
        speedup: {device: cpu, batch_size: [2, 1], budget_s: 0.5}
        artifacts: [keras]
        metrics: {mean: {source: "nets:mean", max_drop: 0.01}}
      far: {source: "nets:net", speedup: {min: 1.1}}
      lost: {source: "nets:broken"}
      strict: {source: "nets:net", tolerance: {rtol: 0.0}}
      slow:
        source: nets:net
        speedup: {min: 1000, device: cpu, batch_size: 1, budget_s: 1}
"""


def schema() -> Any:
    return json.loads(files("pytest_kito").joinpath("reports/report.schema.json").read_text())


def read(path: Path) -> Any:
    """A JSON report, which is valid."""
    report = json.loads(path.read_text())
    jsonschema.validate(report, schema(), format_checker=jsonschema.FormatChecker())
    return report


def unmeasured(report: Any) -> Any:
    """The report without what another run cannot measure the same: times and ratios."""
    measured = {"created", "seconds", "sha256", "bytes", "environment", "ratio", "low", "high"}
    measured |= {"noise_floor", "original_ms", "reduced_ms", "pairs", "verdict", "message"}
    measured |= {"explanation", "warnings", "under_load", "transfer_ms", "predict_ms"}
    measured |= {"original_quantiles_ms", "reduced_quantiles_ms"}
    if isinstance(report, dict):
        return {key: unmeasured(x) for key, x in report.items() if key not in measured}
    return [unmeasured(x) for x in report] if isinstance(report, list) else report


def properties(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    """The properties of each test case of a JUnit XML file, by model and check."""
    found = {}
    for case in ET.parse(path).getroot().iter("testcase"):
        each = {x.attrib["name"]: x.attrib["value"] for x in case.iter("property")}
        found[each["kito_model"], case.attrib["name"]] = each
    return found


def commands(result: pytest.RunResult) -> list[str]:
    return [line for line in result.stdout.lines if line.startswith("::")]


@pytest.fixture
def in_actions(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> Path:
    """The environment of a job of GitHub Actions; the file of the step's summary."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path.parent))
    return pytester.path / "summary.md"


@pytest.mark.slow
def test_plain_and_distributed_sessions_report_the_same(
    repository: Repository, in_actions: Path
) -> None:
    folder = repository(FIVE)
    found = []
    for run in ([], ["-n", "0"], ["-n", "2"]):
        out = folder.path / f"out{len(found)}"
        args = ["--kito-check", f"--kito-report={out}/report.json", f"--kito-artifacts={out}"]
        args += [f"--junit-xml={out}/junit.xml", *run]
        # With -n 0 xdist starts no process: this one, which has imported Keras, is faster.
        in_process = run == ["-n", "0"]
        start = folder.runpytest_inprocess if in_process else folder.runpytest_subprocess
        result = start(*args)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["*slow.keras is not published: speedup[[]1] failed*"])
        report = read(out / "report.json")
        assert report["passed"] is report["interrupted"] is False
        passed = {model["name"]: model["passed"] for model in report["models"]}
        expected = {"small": True, "far": True, "lost": False, "strict": False, "slow": False}
        assert passed == expected
        assert list(passed) == list(expected)
        assert [x["batch_size"] for x in report["models"][0]["speedup"]] == [2, 1]
        assert [x["passed"] for x in report["models"][0]["metrics"]] == [True, True]
        assert not any(model["not_run"] for model in report["models"])
        names = {path.name for path in out.iterdir()}
        assert names == {
            *("report.json", "junit.xml", "kito-manifest.json", "SHA256SUMS"),
            *("small.keras", "far.keras"),
        }
        seconds = report["seconds"]
        assert seconds["total"] == pytest.approx(
            sum(value for name, value in seconds.items() if name != "total"), abs=0.01
        )
        assert min(seconds[name] for name in ("build", "reduce", "compare", "time")) > 0
        assert in_process or seconds["import"] > 0
        figures = {
            case: {name for name in each if not name.startswith("kito_seconds_")}
            for case, each in properties(out / "junit.xml").items()
        }
        annotations = sorted(commands(result))
        # Timings while another worker runs have a warning.
        under_load = [x for x in annotations if x.startswith("::warning") and "under load" in x]
        assert bool(under_load) == (run == ["-n", "2"])
        found.append((unmeasured(report), figures, [x for x in annotations if x not in under_load]))
        assert len(found[-1][2]) == 3 + 2 + 1
        summary = in_actions.read_text(encoding="utf-8")
        assert summary.count("| small |") == len(found)
    assert found[0][:2] == found[1][:2] == found[2][:2]
    assert [line.partition("::")[2][:60] for line in found[0][2]] == [
        line.partition("::")[2][:60] for line in found[2][2]
    ]
    place = f"file={folder.path.name}/kito.yaml,line=9,title=lost%3A equivalence"
    assert any(line.startswith(f"::error {place}::source") for line in found[2][2])


def test_collecting_only_reports_nothing(repository: Repository, in_actions: Path) -> None:
    folder = repository(FIVE)
    args = ("--kito-check", "--collect-only", "--kito-report=r.json", "--kito-artifacts=out")
    result = folder.runpytest_inprocess(*args)
    assert result.ret == 0
    assert commands(result) == []
    assert not in_actions.exists()
    assert not (folder.path / "r.json").exists()


def test_junit_has_the_figures_of_each_check(repository: Repository) -> None:
    folder = repository(
        """
        version: 1
        models:
          small:
            source: nets:net
            speedup: {min: 0.001, device: cpu, batch_size: 1, budget_s: 2}
          far: {source: "nets:net", speedup: {min: 1.1}}
        """
    )
    folder.runpytest_inprocess("--kito-check", "--junit-xml=junit.xml", "--kito-report=r.json")
    found = properties(folder.path / "junit.xml")
    assert not any(value == "None" for each in found.values() for value in each.values())
    model = read(folder.path / "r.json")["models"][0]

    speedup = found["small", "speedup[1]"]
    for name in ("ratio", "low", "high", "noise_floor"):
        assert float(speedup[f"kito_{name}"]) == model["speedup"][0][name]
    assert speedup["kito_verdict"] == "pass"
    assert float(speedup["kito_original_ms_p90"]) == model["speedup"][0]["original_ms"][1]
    assert "kito_ratio" not in found["far", "speedup[32]"]
    assert found["far", "speedup[32]"]["kito_outcome"] == "skipped"

    equivalence, outputs = found["small", "equivalence"], model["equivalence"]["outputs"]
    assert float(equivalence["kito_max_abs"]) == outputs["scores"]["max_abs"]
    assert equivalence["kito_max_abs[scores]"] == equivalence["kito_max_abs"]

    reduction = found["small", "reduction"]
    assert reduction["kito_batchnorms_original"] == "1"
    assert reduction["kito_batchnorms_reduced"] == "0"
    assert reduction["kito_rewrites"] == "2"
    assert float(reduction["kito_seconds_build"]) > 0


@pytest.mark.backends("tensorflow")
def test_the_artifacts_are_what_was_tested(repository: Repository) -> None:
    folder = repository(
        "{version: 1, models: {small: {source: 'nets:net', artifacts: [keras, onnx]}}}"
    )
    folder.runpytest_inprocess("--kito-check", "--kito-artifacts=out", "--kito-report=r.json")
    out = folder.path / "out"
    [model] = read(folder.path / "r.json")["models"]
    entries = json.loads((out / "kito-manifest.json").read_text())["files"]
    engines = {entry["file"]: entry["engine"] for entry in entries}
    assert engines == {"small.keras": "Keras", "small.onnx": "ONNX Runtime"}
    sums = (out / "SHA256SUMS").read_text().splitlines()
    for artifact, entry, line in zip(model["artifacts"], entries, sums, strict=True):
        digest = hashlib.sha256((out / entry["file"]).read_bytes()).hexdigest()
        assert digest == artifact["sha256"] == entry["sha256"]
        assert line == f"{digest}  {entry['file']}"
        assert entry["precision"] == artifact["precision"] == "f32"
        assert entry["versions"]["keras"] == keras.__version__
    loaded = keras.models.load_model(out / "small.keras")
    assert not any(isinstance(x, keras.layers.BatchNormalization) for x in loaded.layers)


def test_without_a_folder_the_artifact_is_checked_and_discarded(repository: Repository) -> None:
    folder = repository("{version: 1, models: {small: {source: 'nets:net'}}}")
    before = set(folder.path.iterdir())
    folder.runpytest_inprocess("--kito-check", "-k", "artifact", "-p", "no:cacheprovider")
    after = {path for path in folder.path.iterdir() if path.name != "__pycache__"}
    assert after == before


def test_merged_shards_equal_one_session(repository: Repository) -> None:
    folder = repository(
        """
        version: 1
        models:
          zeta: {source: "nets:net", speedup: {device: cpu, batch_size: [2, 1], budget_s: 0.5}}
          alpha: {source: "nets:many"}
          lost: {source: "nets:broken"}
          far: {source: "nets:net", speedup: {min: 1.1}}
        """
    )

    def run(name: str, *args: str) -> Path:
        path = folder.path / name
        folder.runpytest_inprocess("--kito-check", "--kito-report", str(path), *args)
        read(path)
        return path

    whole = run("whole.json")
    parts = [run(f"{i}.json", "--kito-shard", f"{i}/3") for i in (1, 2, 3)]
    sizes = [len(read(path)["models"]) for path in parts]
    assert sum(sizes) == 4
    assert min(sizes) == 1
    merged = merge_reports([parts[2], parts[0], parts[1]])
    jsonschema.validate(merged, schema())
    for part, model in zip(merged["models"], read(whole)["models"], strict=True):
        assert unmeasured(part) == unmeasured(model)
    assert {**unmeasured(merged), "models": []} == {**unmeasured(read(whole)), "models": []}
    assert merged["seconds"]["total"] == pytest.approx(
        sum(read(path)["seconds"]["total"] for path in parts), abs=0.01
    )
    # A merged report also works as the timings of a later session.
    (folder.path / "merged.json").write_text(json.dumps(merged))
    again = run("again.json", "--kito-shard", "1/3", "--kito-timings", "merged.json")
    assert len(read(again)["models"]) >= 1
