"""From the staged artifacts of a session to the folder of those that were proved.

A session may be killed at any point. So the manifest loses the entries of files that are about to
be replaced first, and gets the others when all are in their places; a file is replaced by a rename.
"""

from __future__ import annotations

import os
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kito.export.files import leftovers
from pytest_kito.reports.results import Finding, ModelResult, Results

STAGING = ".staging-"


def publish(results: Results, folder: Path) -> list[str]:
    """Move the artifacts of the models that are proved to ``folder``, and list them there.

    A model is proved when every check that is declared for it was made in this session and none
    failed; what was skipped has a reason. What an earlier session published of a model that failed
    now, or that is published anew, is no longer listed.

    Args:
        results: what the session found.
        folder: where the artifacts, ``kito-manifest.json`` and ``SHA256SUMS`` go.

    Returns:
        For each artifact that was made and is not published, why not.

    Raises:
        KitoError: the folder's manifest is none.
        OSError: a file cannot be moved or written.
    """
    from kito.export.manifest import MANIFEST, update_manifest, withdraw

    proved = [model for model in results.models if model.proved]
    # A model that no longer passes must not look proved by a former run.
    withdrawn = [model.name for model in results.models if model.proved or model.failed]
    withdraw(folder, withdrawn)
    entries: list[dict[str, Any]] = []
    for model in proved:
        for finding, data in _made(model):
            assert finding.staged is not None
            os.replace(finding.staged, folder / data["file"])
            entries.append(_entry(model, finding, data))
    if entries or (folder / MANIFEST).exists():
        update_manifest(folder, entries)
    return [
        f"{data['file']} is not published: {_why_not(model)}"
        for model in results.models
        if not model.proved
        for _, data in _made(model)
    ]


def staging_folder(folder: Path, run: str) -> Path:
    """Where the artifacts of a session wait.

    Args:
        folder: the folder of artifacts.
        run: the number of the session's process, ``-`` and more.
    """
    return folder / f"{STAGING}{run}"


def remove_staging(folder: Path, run: str) -> None:
    """Remove a session's staging folder, and those of sessions that were killed."""
    for path in [staging_folder(folder, run), *leftovers(folder, STAGING)]:
        shutil.rmtree(path, ignore_errors=True)


def _made(model: ModelResult) -> list[tuple[Finding, dict[str, Any]]]:
    found = model.of("artifact")
    return [(x, x.data) for x in found if x.staged is not None and x.data is not None]


def _why_not(model: ModelResult) -> str:
    failed, missing = [x.check for x in model.failed], model.not_run
    reasons = [f"{', '.join(failed)} failed"] if failed else []
    if missing:
        reasons.append(f"{', '.join(missing)} {'was' if len(missing) == 1 else 'were'} not run")
    return "; ".join(reasons)


def _entry(model: ModelResult, finding: Finding, data: dict[str, Any]) -> dict[str, Any]:
    """A file's entry of the manifest, with the figures of all checks of its model."""
    sections = ("reduction", "equivalence", "speedup")
    entry = {
        "model": model.name,
        **data,
        "checks": {section: [x.data for x in model.of(section)] for section in sections},
    }
    machine = finding.environment
    if machine is not None:
        told = {key: machine[key] for key in ("python", "keras", "backend") if key in machine}
        entry["versions"] = {"kito": version("pytest-kito"), **told}
    return entry
