"""Publishes the staged artifacts of a session: moves those of models that passed to their folder.

A session may be killed at any point. So the entries of files that are about to be replaced are
removed from the manifest first, each file is replaced by a rename, and the new entries are added
when all files are in place.
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
    """Move the artifacts of proved models to ``folder``, and list them in its manifest.

    A model is proved if every check that is declared for it was run in this session and none
    failed; skipped checks count as run, but for metrics. Artifacts of an earlier session are
    removed from the manifest if their model failed in this session, or is published again.

    Args:
        results: what the session found.
        folder: the folder of the artifacts, ``kito-manifest.json`` and ``SHA256SUMS``.

    Returns:
        One message for each artifact that was made but is not published, with the reason.

    Raises:
        KitoError: the folder's manifest is invalid.
        OSError: a file cannot be moved or written.
    """
    from kito.export.manifest import MANIFEST, update_manifest, withdraw

    proved = [model for model in results.models if model.proved]
    # A model that failed now must not stay listed as proved by an earlier session.
    withdrawn = [model.name for model in results.models if model.proved or model.failed]
    withdraw(folder, withdrawn)
    entries: list[dict[str, Any]] = []
    for model in proved:
        for finding, data in _staged(model):
            assert finding.staged is not None
            os.replace(finding.staged, folder / data["file"])
            entries.append(_entry(model, finding, data))
    if entries or (folder / MANIFEST).exists():
        update_manifest(folder, entries)
    return [
        f"{data['file']} is not published: {_why_not(model)}"
        for model in results.models
        if not model.proved
        for _, data in _staged(model)
    ]


def staging_folder(folder: Path, run: str) -> Path:
    """The folder that holds the artifacts of a session until they are published.

    Args:
        folder: the folder of artifacts.
        run: an identifier that starts with the id of the session's process and ``-``.
    """
    return folder / f"{STAGING}{run}"


def remove_staging(folder: Path, run: str) -> None:
    """Remove the staging folders of this session and of sessions that were killed."""
    for path in [staging_folder(folder, run), *leftovers(folder, STAGING)]:
        shutil.rmtree(path, ignore_errors=True)


def _staged(model: ModelResult) -> list[tuple[Finding, dict[str, Any]]]:
    """The findings of a model that have a staged file, each with its figures."""
    return [
        (finding, finding.data)
        for finding in model.of("artifact")
        if finding.staged is not None and finding.data is not None
    ]


def _why_not(model: ModelResult) -> str:
    failed, missing = [x.check for x in model.failed], model.not_run
    reasons = [f"{', '.join(failed)} failed"] if failed else []
    if missing:
        reasons.append(f"{', '.join(missing)} {'was' if len(missing) == 1 else 'were'} not run")
    if skipped := model.not_measured:
        reasons.append(f"{', '.join(skipped)} {'was' if len(skipped) == 1 else 'were'} skipped")
    return "; ".join(reasons)


def _entry(model: ModelResult, finding: Finding, data: dict[str, Any]) -> dict[str, Any]:
    """The manifest's entry of a file, with the figures of all checks of its model."""
    sections = ("reduction", "equivalence", "speedup")
    checks = {section: [x.data for x in model.of(section)] for section in sections}
    checks["metrics"] = [x.data for x in model.of("metric")]
    entry = {"model": model.name, **data, "checks": checks}
    machine = finding.environment
    if machine is not None:
        known = {key: machine[key] for key in ("python", "keras", "backend") if key in machine}
        entry["versions"] = {"kito": version("pytest-kito"), **known}
    return entry
