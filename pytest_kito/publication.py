"""From the staged artifacts of a session to the folder of those that were proved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pytest_kito.results import ModelResult, Results


def publish(results: Results, folder: Path) -> list[str]:
    """Move the artifacts of the models of which every check passed to ``folder``; list them there.

    Args:
        results: what the session found.
        folder: where the artifacts, ``kito-manifest.json`` and ``SHA256SUMS`` go.

    Returns:
        For each artifact that was made and is not published, why not.

    Raises:
        OSError: a file cannot be moved or written.
    """
    from kito.manifest import MANIFEST, update_manifest

    entries: list[dict[str, Any]] = []
    withheld: list[str] = []
    # A model that no longer passes must not look proved by a former run.
    withdrawn = [model.name for model in results.models if model.failed]
    for model in results.models:
        for finding in model.of("artifact"):
            if finding.staged is None or finding.data is None:
                continue
            if not model.passed:
                failed = ", ".join(x.check for x in model.failed)
                withheld.append(f"{finding.data['file']} is not published: {failed} failed")
                continue
            os.replace(finding.staged, folder / finding.data["file"])
            entries.append({"model": model.name, **finding.data, "checks": _figures(model)})
    if entries or (folder / MANIFEST).exists():
        update_manifest(folder, entries, withdrawn)
    return withheld


def _figures(model: ModelResult) -> dict[str, Any]:
    """What the checks of a model found, by section, for the manifest."""
    return {
        section: [finding.data for finding in model.of(section)]
        for section in ("reduction", "equivalence", "speedup")
    }
