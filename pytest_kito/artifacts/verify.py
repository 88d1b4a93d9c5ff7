"""Verifies artifacts by running them in their engines and comparing them with the originals.

kito.yaml declares how to build and feed each original and what difference is allowed. Only these
declarations are used, not the figures that the manifest recorded when the files were written.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from kito.errors import KitoError, shown
from kito.export.manifest import file_problems, read_manifest, verify
from kito.export.proof import prove
from pytest_kito.checks.model_run import ModelRun
from pytest_kito.config.load import Config, load_config
from pytest_kito.config.problems import ConfigError


def verify_by_running(folder: Path, config: Path) -> list[str]:
    """Verify a folder against its manifest, then run each file and compare its outputs.

    Nothing is written. A file whose size or SHA-256 differs from the manifest is not opened.

    Args:
        folder: a folder of artifacts with a manifest.
        config: a kito.yaml that declares their models.

    Returns:
        One line per problem; empty if all files match the manifest and their originals.

    Raises:
        KitoError: the manifest or kito.yaml is missing or invalid.
    """
    problems = verify(folder)
    try:
        declared = load_config(config)
    except ConfigError as error:
        raise KitoError("; ".join(error.errors)) from error
    entries = [entry for entry in read_manifest(folder) if not file_problems(folder, entry)]
    entries.sort(key=lambda entry: str(entry["model"]))
    for name, of_model in groupby(entries, key=lambda entry: str(entry["model"])):
        problems += _run(folder, list(of_model), name, declared)
    return problems


def _run(folder: Path, entries: list[dict[str, Any]], name: str, config: Config) -> list[str]:
    spec = next((spec for spec in config.models if spec.name == name), None)
    if spec is None:
        return [
            f"{entry['file']}: was not run, because {config.shown} declares no model "
            f"'{shown(name)}'"
            for entry in entries
        ]
    run = ModelRun(spec, config.base)
    problems = []
    for entry in entries:
        try:
            proof = prove(folder / entry["file"], entry["format"], run.baseline())
        except KitoError as error:
            problems.append(f"{entry['file']}: could not be run: {_line(str(error))}")
            continue
        if not proof.comparison.passed:
            difference = _line(proof.comparison.message())
            problems.append(f"{entry['file']}: differs when run again: {difference}")
    return problems


def _line(text: str) -> str:
    return " ".join(text.split())
