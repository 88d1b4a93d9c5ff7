"""Publishes the staged artifacts of a session: moves those of models that passed to their folder.

A staged file is read once more before it gets its place: a test, or another process, may have
changed it after its proof. Then nothing of its model is published, and the check has failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pytest_kito.reports.results import Finding, ModelResult, Results


@dataclass(frozen=True)
class Published:
    """What became of the artifacts that are not published.

    Attributes:
        withheld: one message for each artifact that was made but is not published.
        faults: one message for each staged file that is not what was proved.
    """

    withheld: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def publish(results: Results, folder: Path, origin: Mapping[str, Any] | None = None) -> Published:
    """Move the artifacts of proved models to ``folder``, and list them in its manifest.

    A model is proved if every check that is declared for it was run in this session and none
    failed; skipped checks count as run, but for metrics. Artifacts of an earlier session are
    removed from the manifest if their model failed in this session, or is published again.

    Args:
        results: what the session found. The check of a file that is not what was proved becomes a
            failed one.
        folder: the folder of the artifacts, ``kito-manifest.json`` and ``SHA256SUMS``.
        origin: where the models come from, as :func:`kito.export.origin.origin` returns it.

    Raises:
        KitoError: the folder's manifest is invalid, or another process does not leave the folder.
        OSError: a file cannot be moved or written.
    """
    proved = [model for model in results.models if model.proved]
    # A model that failed now must not stay listed as proved by an earlier session.
    withdrawn = [model.name for model in results.models if model.proved or model.failed]
    staged = [(model, finding, data) for model in proved for finding, data in _staged(model)]
    problems: dict[str, str] = {}
    if folder.is_dir():
        from kito.export.publishing import update_manifest

        entries = [_entry(model, finding, data, origin or {}) for model, finding, data in staged]
        files = {data["file"]: Path(str(finding.staged)) for _, finding, data in staged}
        problems = update_manifest(folder, entries, withdrawn, files)
    faults = []
    for model, finding, data in staged:
        if data["file"] in problems:
            message = f"{data['file']}: {problems[data['file']]}"
            model.add(Finding(model.name, finding.check, "failed", message))
            faults.append(
                f"nothing of model '{model.name}' is published: {message}; find out what writes "
                f"below {folder} and run again"
            )
    withheld = [
        f"{data['file']} is not published: {_why_not(model)}"
        for model in results.models
        if not model.proved
        for _, data in _staged(model)
        if data["file"] not in problems
    ]
    return Published(tuple(withheld), tuple(faults))


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


def _entry(
    model: ModelResult, finding: Finding, data: dict[str, Any], origin: Mapping[str, Any]
) -> dict[str, Any]:
    """The manifest's entry of a file, with the figures of all checks of its model."""
    sections = ("reduction", "equivalence", "speedup")
    checks = {section: [x.data for x in model.of(section)] for section in sections}
    checks["metrics"] = [x.data for x in model.of("metric")]
    entry = {"model": model.name, **data, "checks": checks}
    machine = finding.environment
    if machine is not None:
        known = {key: machine[key] for key in ("python", "keras", "backend") if key in machine}
        entry["versions"] = {"kito": version("pytest-kito"), **known}
    if origin:
        entry["origin"] = dict(origin)
    return entry
