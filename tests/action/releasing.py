"""Runs release.sh alone, with the real ``gh``, on the artifacts of two models."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from action.acting import BIN, ROOT, STAND_INS, Run
from action.github_api import serving
from kito.export.publishing import update_manifest

Release = Callable[..., Run]
NAMES = {"a.keras", "b.keras", "kito-manifest.json", "SHA256SUMS"}
COMMIT, OTHER = "c0" * 20, "d1" * 20


def make(
    folder: Path, content: str = "", formats: Sequence[str] = ("keras",), varying: str = ""
) -> Path:
    """Artifacts of two models, with the report of their run beside them.

    Args:
        folder: where they go.
        content: what their bytes contain.
        formats: keras, saved_model.
        varying: what the bytes of a saved_model contain, too: they differ from run to run.
    """
    suffixes = {"keras": ".keras", "saved_model": ".saved_model.tar.gz"}
    folder.mkdir(exist_ok=True)
    entries, models = [], []
    for name in "ab":
        artifacts = []
        for kind in formats:
            data = f"{name}{content}{varying if kind == 'saved_model' else ''}".encode()
            path = folder / f"{name}{suffixes[kind]}"
            path.write_bytes(data)
            digest = sha256(data).hexdigest()
            artifacts.append(
                {"format": kind, "file": path.name, "bytes": len(data), "sha256": digest}
            )
        for artifact in artifacts:
            entry = {"reproducible": artifact["format"] != "saved_model", "versions": {"kito": "1"}}
            entries.append({"model": name, **artifact, **entry})
        models.append({"name": name, "artifacts": artifacts})
    update_manifest(folder, entries)
    change_manifest(folder, repository="me/models", ref="v1", commit=COMMIT, modified=False)
    report = folder.with_name("report.json")
    report.write_text(json.dumps({"passed": True, "models": models}))
    return folder


def change_manifest(folder: Path, **values: Any) -> None:
    """Set values of the manifest; ... removes one."""
    path = folder / "kito-manifest.json"
    manifest = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({k: v for k, v in manifest.items() if v is not ...}))


def put_tags(state: Path, **points_to: Sequence[str]) -> None:
    """What the tags of the repository, and its tag objects, point to: a type and a SHA."""
    (state / "tags.json").write_text(json.dumps(points_to))


def put_release(
    state: Path,
    *,
    draft: bool,
    body: str = "",
    files: Mapping[str, bytes] | None = None,
    **values: Any,
) -> None:
    """A release of the tag v1 that is there already."""
    folder = state / "releases" / "v1"
    folder.mkdir(parents=True)
    for name, data in (files or {}).items():
        (folder / name).write_bytes(data)
    release = {"isDraft": draft, "body": body, **values}
    (state / "releases.json").write_text(json.dumps({"v1": release}))


TABLE = "What is new.\n\n<!-- kito: begin -->\n\n| the table |\n\n<!-- kito: end -->\n"


def put_complete(state: Path, folder: Path, **values: Any) -> dict[str, Any]:
    """A published release with all files and notes of an earlier run."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    put_release(state, draft=False, body=TABLE, files=files, **values)
    return {"isDraft": False, "body": TABLE, "files": files, **values}


def run_release(folder: Path, state: Path, **env: str) -> Run:
    """Run release.sh for the artifacts in a folder."""
    beside = folder.parent
    given = {
        **os.environ,
        "PATH": f"{STAND_INS}:{BIN}:{os.environ['PATH']}",
        "STAND_IN_STATE": str(state),
        "KITO_RETRY_SECONDS": "0",
        "KITO_PASSED": "true",
        "KITO_ARTIFACTS_DIR": str(folder),
        "KITO_REPORT": str(beside / "report.json"),
        "KITO_SUMMARY": str(beside / "summary.md"),
        "INPUT_RELEASE_TAG": "",
        "GITHUB_REF_NAME": "v1",
        "GITHUB_REPOSITORY": "me/models",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_RUN_ID": "7",
        "GH_TOKEN": "none",
        "RUNNER_TEMP": str(beside),
        **env,
    }
    with serving(state):
        done = subprocess.run(
            ["bash", str(ROOT / "action" / "release.sh")],
            env=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    return Run(done.returncode == 0, done.stdout, state)


def found(run: Run, tag: str = "v1") -> dict[str, Any]:
    """The release of a tag after a run."""
    release = run.release(tag)
    assert release is not None, run.log
    return release


def verbs(run: Run) -> list[str]:
    """What was asked of gh: the verbs of `gh release`, and 'api'."""
    return [asked[1] if asked[0] == "release" else asked[0] for asked in run.asked]
