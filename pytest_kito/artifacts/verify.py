"""Files of a manifest, run again by their engines and compared with the declared originals.

What it takes to build an original, to feed it and to judge the difference stands in kito.yaml, so
the files are held against that: nothing that was noted when they were made is believed.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from kito.errors import KitoError
from kito.export.manifest import file_problems, read_manifest, verify
from kito.export.proof import prove
from pytest_kito.checks.model_run import ModelRun
from pytest_kito.config.load import Config, load_config
from pytest_kito.config.problems import ConfigError


def verify_by_running(folder: Path, config: Path) -> list[str]:
    """:func:`kito.export.manifest.verify`, and the comparison of each file; nothing is written.

    A file that is not what was proved is not opened.

    Args:
        folder: of artifacts.
        config: a kito.yaml that declares their models.

    Returns:
        What is wrong, one line each; empty where all is as it was proved, and proved again.

    Raises:
        KitoError: there is no manifest or no valid kito.yaml.
    """
    problems = verify(folder)
    try:
        declared = load_config(config)
    except ConfigError as error:
        raise KitoError("; ".join(error.errors)) from error
    entries = [x for x in read_manifest(folder) if not file_problems(folder, x)]
    entries.sort(key=lambda entry: str(entry["model"]))
    for name, of_model in groupby(entries, key=lambda entry: str(entry["model"])):
        problems += _run(folder, list(of_model), name, declared)
    return problems


def _run(folder: Path, entries: list[dict[str, Any]], name: str, config: Config) -> list[str]:
    spec = next((spec for spec in config.models if spec.name == name), None)
    if spec is None:
        return [
            f"{entry['file']}: was not run, {config.shown} declares no model '{name}'"
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
            found = _line(proof.comparison.message())
            problems.append(f"{entry['file']}: run again, differs: {found}")
    return problems


def _line(text: str) -> str:
    return " ".join(text.split())
