"""The action that publishes what a gate proved in another job, run by act on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from action.acting import BIN, EAVESDROPPER, ROOT, TOKEN, Run, publishing
from action.releasing import found, put_release, put_tags, verbs

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="act runs jobs on the host on Linux"
)
Act = Callable[..., Run]
RELEASED = {"action": "published", "release": {"tag_name": "v1"}}
ATTEST = {"attest": "true"}
SIGNING = {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://example.com"}


@pytest.fixture
def proved(passing: Run, state: Path) -> Path:
    """The folder of artifacts that the job of the gate uploaded; the tag v1 is its commit."""
    assert passing.passed, passing.log
    shutil.copytree(passing.state / "artifacts", state / "artifacts")
    folder = state / "artifacts" / "kito-artifacts"
    commit = json.loads((folder / "kito-manifest.json").read_text())["commit"]
    put_tags(state, v1=("commit", commit))
    return folder


@pytest.fixture
def publish(act: Act, model_repository: Path) -> Act:
    """Run the job that publishes."""

    def run(
        event: str, inputs: Mapping[str, str] | None = None, env: Mapping[str, str] = {}
    ) -> Run:
        options = {"event": event, "payload": RELEASED, "env": env, "tag": False}
        return act(model_repository, publishing(inputs), **options)

    return run


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_are_added_to_a_release_when_a_person_publishes_it(
    publish: Act, proved: Path, state: Path
) -> None:
    put_release(state, draft=False, body="What is new.", files={"notes.pdf": b"a person's"})
    run = publish("release", ATTEST, SIGNING)
    assert run.passed, run.log
    assert found(run)["files"] == {**read(proved), "notes.pdf": b"a person's"}
    assert found(run)["body"].startswith("What is new.\n\n<!-- kito: begin -->\n\n### kito: passed")
    assert "gh attestation verify" in found(run)["body"]
    signed = {Path(path).name for path in (state / "attested").read_text().split()}
    assert signed == read(proved).keys()
    # What lies in the workspace is not imported.
    assert "pwned" not in run.log.replace('raise SystemExit("pwned")', "")


@pytest.mark.slow
def test_a_release_is_made_once_and_stays_as_it_is(publish: Act, proved: Path, state: Path) -> None:
    run = publish("push")
    assert run.passed, run.log
    first = found(run)
    assert not first["isDraft"]
    assert first["files"] == read(proved)

    # The same again.
    (state / "gh.log").unlink()
    run = publish("release")
    assert run.passed, run.log
    assert "is complete, with these very files" in run.log
    assert found(run) == first
    assert set(verbs(run)) == {"api", "view", "download"}

    # Other bytes under the name of one file.
    (state / "releases" / "v1" / "small.keras").write_bytes(b"other")
    run = publish("release")
    assert not run.passed
    assert "its file 'small.keras' has other bytes than that of this run" in run.log
    assert found(run)["files"] == {**first["files"], "small.keras": b"other"}

    # A tag of another commit.
    put_tags(state, v1=("commit", "d1" * 20))
    (state / "gh.log").unlink()
    run = publish("push")
    assert not run.passed
    assert f"but the tag 'v1' is commit {'d1' * 20}" in run.log
    assert set(verbs(run)) == {"api"}


@pytest.mark.slow
def test_code_of_the_models_never_sees_the_token(
    act: Act, model_repository: Path, state: Path
) -> None:
    conftest = model_repository / "conftest.py"
    conftest.write_text(EAVESDROPPER)
    run = act(model_repository, publishing(gate=True))
    assert run.passed, run.log
    # gh publishes with a token only.
    assert found(run)["files"].keys() == run.uploaded["kito-artifacts"]
    assert not found(run)["isDraft"]
    # The hook ran in the later steps of its own job, those of the two uploads among them.
    seen = (state / "seen").read_text()
    assert seen.count("STEP\n") >= 3
    assert "GITHUB_JOB=gate\n" in seen
    assert "GITHUB_JOB=publish\n" not in seen
    assert TOKEN not in seen
    assert not [name for name in re.findall(r"^(\w+)=", seen, re.MULTILINE) if "TOKEN" in name]


# ---- the scripts of this action alone ---------------------------------------------------------


def script(name: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    given = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "RUNNER_TEMP": str(folder),
        "GITHUB_OUTPUT": str(folder / "output"),
        "INPUT_ARTIFACTS": "kito-artifacts",
        "INPUT_REPORT": "",
        "INPUT_RELEASE_TAG": "",
        "INPUT_ATTEST": "false",
        "INPUT_PYTHON_VERSION": "",
        **env,
    }
    command = ["bash", str(ROOT / "action" / f"{name}.sh")]
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "name, value",
    [
        ("artifacts", ""),
        ("artifacts", "a/b"),
        ("report", "*"),
        ("release-tag", "-v1"),
        ("attest", "yes"),
        ("python-version", ">=3"),
    ],
)
def test_an_invalid_input_is_refused(tmp_path: Path, name: str, value: str) -> None:
    done = script(
        "validate_publish", tmp_path, **{f"INPUT_{name.upper().replace('-', '_')}": value}
    )
    assert done.returncode == 1
    assert done.stdout.startswith(f"::error title=pytest-kito::input '{name}': ")
    assert done.stdout.count("\n") == 1


def test_what_is_downloaded_goes_to_a_new_directory(tmp_path: Path) -> None:
    assert script("validate_publish", tmp_path).returncode == 0
    folder = Path((tmp_path / "output").read_text().splitlines()[1])
    assert folder.parent == tmp_path
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("count", [0, 2])
def test_without_exactly_one_report_nothing_is_published(tmp_path: Path, count: int) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    for number in range(count):
        (reports / f"{number}.json").write_text("{}")
    done = script("summarize", tmp_path, KITO_REPORTS=str(reports))
    assert done.returncode == 1
    assert "does not hold exactly one JSON report" in done.stdout


def test_a_report_of_a_failed_gate_publishes_nothing(tmp_path: Path, passing: Run) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    report = json.loads((passing.state / "kito-report.json").read_text())
    report["passed"] = report["models"][0]["passed"] = False
    (reports / "report.json").write_text(json.dumps(report))
    done = script("summarize", tmp_path, KITO_REPORTS=str(reports))
    assert done.returncode == 1
    assert "nothing is published: the checks did not pass" in done.stdout
    assert not (tmp_path / "output").exists()
