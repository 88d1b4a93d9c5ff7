"""The reusable workflow, run by act on this machine."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from action.acting import REF, WORKFLOW, Run

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="act runs jobs on the host on Linux"
)

FILES = {"small.keras", "medium.keras", "large.keras", "kito-manifest.json", "SHA256SUMS"}
ONE_UPLOADS = """
version: 1
models:
  small: {source: "nets:net", artifacts: []}
  medium: {source: "nets:net", kwargs: {width: 5}}
  large: {source: "nets:net", kwargs: {width: 6}, artifacts: []}
"""
FAILS_FOR_MEDIUM = """
def test_user(request):
    assert not any("medium" in argument for argument in request.config.args)
"""


def caller(**inputs: str) -> str:
    """A workflow that calls the reusable one with three shards, and prints its outputs."""
    given = {
        "shards": 3,
        "install": "pytest-kito",
        "publish": "release",
        "source-repository": "kito-org/pytest-kito",
        "source-ref": REF,
        **inputs,
    }
    shown = ("passed", "shards")
    lines = "\n".join(f"echo '{x}=${{{{ needs.models.outputs.{x} }}}}'" for x in shown)
    after = {
        "needs": "models",
        "if": "always()",
        "runs-on": "ubuntu-latest",
        "steps": [{"run": lines}],
    }
    jobs = {"models": {"uses": WORKFLOW, "with": given}, "after": after}
    return json.dumps({"on": "push", "jobs": jobs})


def merged_report(run: Run) -> Any:
    path = run.state / "artifacts/kito-artifacts-report/kito-report.json"
    return json.loads(path.read_text())


@pytest.mark.slow
def test_three_shards_are_one_gate(
    act: Callable[..., Run], model_repository: Path, passing: Run
) -> None:
    run = act(model_repository, caller())
    assert run.passed, run.log
    assert run.echoed("passed") == ["true"]
    assert run.echoed("shards") == ["3"]
    assert run.uploaded["kito-artifacts"] == FILES
    for shard in range(1, 4):
        assert run.uploaded[f"kito-artifacts-shard-{shard}"] == {f"kito-artifacts-shard-{shard}"}
    whole = json.loads((passing.state / "kito-report.json").read_text())
    assert comparable(merged_report(run)) == comparable(whole)
    reports = {"kito-report.json", "kito-report.html"}
    assert run.uploaded["kito-artifacts-report"] == reports
    # Published once, with the files of all shards.
    assert [asked[1] for asked in run.asked].count("create") == 1
    release = run.release()
    assert release is not None
    assert not release["isDraft"]
    assert release["files"].keys() == FILES


@pytest.mark.nightly
def test_the_artifacts_of_the_only_shard_that_makes_some_are_published(
    act: Callable[..., Run], model_repository: Path
) -> None:
    (model_repository / "kito.yaml").write_text(ONE_UPLOADS)
    run = act(model_repository, caller())
    assert run.passed, run.log
    assert len([name for name in run.uploaded if "-shard-" in name]) == 1
    release = run.release()
    assert release is not None
    assert release["files"].keys() == FILES - {"small.keras", "large.keras"}


@pytest.mark.nightly
@pytest.mark.parametrize(
    "arguments, checked",
    [
        ("-x test_user.py", {"small": True, "medium": False, "large": True}),
        ("test_user.py", {"small": True, "medium": True, "large": True}),
    ],
    ids=["before its models were checked", "although its models passed"],
)
def test_a_shard_whose_job_fails_publishes_nothing(
    act: Callable[..., Run], model_repository: Path, arguments: str, checked: dict[str, bool]
) -> None:
    (model_repository / "test_user.py").write_text(FAILS_FOR_MEDIUM)
    run = act(model_repository, caller(**{"pytest-args": arguments}))
    assert not run.passed
    assert re.findall(r"/merge +\].*::set-output:: passed=(\w+)", run.log)[-1] == "false", run.log
    assert {model["name"]: model["passed"] for model in merged_report(run)["models"]} == checked
    assert "the jobs of the shards ended as failure" in run.log
    assert "kito-artifacts" not in run.uploaded
    assert run.asked == []


def comparable(report: Any) -> Any:
    """A report without what differs between any two sessions: times, commit, bytes of files.

    And the drawings' data, in which Keras numbers the names of layers by session.
    """
    if isinstance(report, dict):
        varying = {"created", "origin", "seconds", "bytes", "sha256", "network"}
        return {key: comparable(value) for key, value in report.items() if key not in varying}
    return [comparable(x) for x in report] if isinstance(report, list) else report
