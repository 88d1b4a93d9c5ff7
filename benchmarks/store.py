"""Results as JSON, with the environment that they were measured in.

``FOLDER/MACHINE/TOPIC.json``::

    {"environments": [{"cpu": ..., "keras": ..., ...}],
     "cells": {"MobileNetV2/8": {"environment": 0, "date": "2026-01-31", "seconds": 12.3,
                                 "load": 0.1, "result": {...}}}}

A cell that failed has ``error``, a text, instead of ``result``. ``seconds`` is the wall time of
the cell's process, ``load`` the machine's load average before it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import platform, python_version
from typing import Any

from benchmarks.topic import Rows
from kito.runtime.processor import cpu_name, processors

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "ai-edge-litert",
    "jax",
    "keras",
    "keras-hub",
    "numpy",
    "onnxruntime",
    "openvino",
    "pytest-kito",
    "tensorflow",
    "tf2onnx",
    "torch",
)
"""Those of them that are installed are part of the environment."""

Record = dict[str, Any]
"""What the file holds of one cell, with the environment itself under ``environment``."""


class Store:
    """The results of one machine.

    Args:
        machine: its name; a folder below ``folder``.
        folder: the results of all machines.
    """

    def __init__(self, machine: str, folder: Path = RESULTS) -> None:
        self.machine = machine
        self._folder = folder / machine

    def records(self, topic: str) -> dict[str, Record]:
        """What is stored of a topic, by cell; empty where nothing is."""
        path = self._path(topic)
        if not path.exists():
            return {}
        data = json.loads(path.read_text(encoding="utf-8"))
        environments = data["environments"]
        return {
            cell: {**record, "environment": environments[record["environment"]]}
            for cell, record in data["cells"].items()
        }

    def rows(self, topic: str, cells: Iterable[str]) -> Rows:
        """The stored results of these cells, in this order; a failed one is ``{"error": text}``."""
        records = self.records(topic)
        return {
            cell: {"error": one["error"]} if "error" in one else one["result"]
            for cell in cells
            if (one := records.get(cell))
        }

    def save(self, topic: str, cell: str, record: Record) -> None:
        """Store one cell at once; an interruption leaves the file as it was, or with the cell."""
        records = {**self.records(topic), cell: record}
        environments: list[Any] = []
        for one in records.values():
            if one["environment"] not in environments:
                environments.append(one["environment"])
        cells = {
            key: {**one, "environment": environments.index(one["environment"])}
            for key, one in records.items()
        }
        path = self._path(topic)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}.tmp")
        text = json.dumps({"environments": environments, "cells": cells}, indent=1)
        try:
            scratch.write_text(text + "\n", encoding="utf-8")
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)

    def _path(self, topic: str) -> Path:
        return self._folder / f"{topic}.json"


def machines(topic: str, folder: Path = RESULTS) -> list[str]:
    """The machines that a topic was measured on, in alphabetical order."""
    return sorted(path.parent.name for path in folder.glob(f"*/{topic}.json"))


def machine_name() -> str:
    """This machine: model and number of processors, such as ``amd-epyc-7b13-2-cores``."""
    name = re.sub(r"\(r\)|\(tm\)| processor| cpu|@.*", "", cpu_name().lower())
    name = re.sub(r"\W+", "-", name.split("-core")[0]).strip("-")
    return f"{name}-{processors()}-cores"


def environment() -> dict[str, Any]:
    """What the figures of this process depend on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "cpu": cpu_name(),
        "cores": processors(),
        "memory_gb": _memory_gb(),
        "platform": platform(),
        "python": python_version(),
        "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        "packages": versions,
    }


def today() -> str:
    """The date, in UTC."""
    return datetime.now(UTC).date().isoformat()


def load_average() -> float | None:
    """How many processes ran in the last minute; None where the system does not tell."""
    return None if sys.platform == "win32" else round(os.getloadavg()[0], 2)


def _memory_gb() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
