"""Compares the artifacts of shards with what their merged report says was proved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kito.errors import KitoError, counted
from kito.export.manifest import MANIFEST, read_manifest
from pytest_kito.reports.read import read_report

_NAMED = 3
"""How many files a message names."""


def require_proved(report: Path, folders: Sequence[Path]) -> bool:
    """Check that the manifests of the folders list exactly the artifacts that a report proves.

    A model is proved if it passed and all of its declared checks were run. The artifacts of other
    models were made, but not published to a folder.

    Args:
        report: a JSON report of the models.
        folders: folders of artifacts; one without a manifest holds none.

    Returns:
        Whether there are any artifacts.

    Raises:
        KitoError: an artifact is missing, is not listed by the report, or has another digest; the
            report or a manifest is invalid.
    """
    proved = _artifacts(read_report(report)["models"])
    entries = [
        x for folder in folders if (folder / MANIFEST).exists() for x in read_manifest(folder)
    ]
    there = {(x["file"], x["model"], x["sha256"]) for x in entries}
    if missing := sorted(proved - there):
        raise KitoError(
            f"{_files(missing)} in {report} as proved, but not in the directories of artifacts; "
            "was every shard uploaded and downloaded?"
        )
    if unknown := sorted(there - proved):
        raise KitoError(
            f"{_files(unknown)} in the directories of artifacts, but not in {report} as proved; "
            "merge the reports and the artifacts of one run"
        )
    return bool(proved)


def _artifacts(models: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """The file, the model and the digest of each artifact of a proved model."""
    return {
        (artifact["file"], model["name"], artifact["sha256"])
        for model in models
        # A report of an older version does not tell which checks were not run.
        if model.get("passed") is True and model.get("not_run") == []
        for artifact in model.get("artifacts", ())
    }


def _files(found: Sequence[tuple[str, str, str]]) -> str:
    """The first files by name, escaped on one line, with a verb."""
    names = [ascii(file)[1:-1] for file, *_ in found]
    more = [counted(len(names) - _NAMED, "other")] if len(names) > _NAMED else []
    return f"{', '.join([*names[:_NAMED], *more])} {'is' if len(names) == 1 else 'are'}"
