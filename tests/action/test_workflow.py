"""The reusable workflow, run by act on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from action.acting import REF, WORKFLOW, Run

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="act runs jobs on the host on Linux"
)

CALLER = f"""
on: push
jobs:
  models:
    uses: {WORKFLOW}
    with:
      shards: 3
      install: pytest-kito
      publish: release
      source-repository: kito-org/pytest-kito
      source-ref: "{REF}"
  after:
    needs: models
    runs-on: ubuntu-latest
    steps:
      - run: |
          echo 'passed=${{{{ needs.models.outputs.passed }}}}'
          echo 'shards=${{{{ needs.models.outputs.shards }}}}'
"""


@pytest.mark.slow
def test_three_shards_are_one_gate(
    act: Callable[..., Run], model_repository: Path, passing: Run
) -> None:
    run = act(model_repository, CALLER)
    assert run.passed, run.log
    assert run.echoed("passed") == ["true"]
    assert run.echoed("shards") == ["3"]
    files = {f"{name}.keras" for name in ("small", "medium", "large")}
    files |= {"kito-manifest.json", "SHA256SUMS"}
    assert run.uploaded["kito-artifacts"] == files
    for shard in range(1, 4):
        assert len(run.uploaded[f"kito-artifacts-shard-{shard}"]) == 3
    merged = json.loads(
        (run.state / "artifacts/kito-artifacts-report/kito-report.json").read_text()
    )
    whole = json.loads((passing.state / "kito-report.json").read_text())
    assert comparable(merged) == comparable(whole)
    # Published once, with the files of all shards.
    assert [asked[1] for asked in run.asked].count("create") == 1
    release = run.release()
    assert release is not None
    assert not release["isDraft"]
    assert release["files"].keys() == files


def comparable(report: Any) -> Any:
    """A report without what differs between any two sessions: times, and bytes of files."""
    if isinstance(report, dict):
        varying = {"created", "seconds", "bytes", "sha256"}
        return {key: comparable(value) for key, value in report.items() if key not in varying}
    return [comparable(x) for x in report] if isinstance(report, list) else report
