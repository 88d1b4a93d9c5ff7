"""``keras``: Keras' own file, run by Keras.

It is a zip archive of ``metadata.json``, ``config.json`` and ``model.weights.h5``. Keras puts the
time of saving into it, and the memory addresses of objects that several layers share. So the
archive is written again, with a fixed date and with these objects numbered: the same model gives
the same bytes.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from kito.export.formats.base import LoadedArtifact
from kito.export.formats.interface import Interface
from kito.runtime.load import safe_to_build

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can hold."""
_METADATA, _DATE = "metadata.json", "1980-01-01@00:00:00"
_CONFIG, _SHARED_ID = "config.json", "shared_object_id"


def write(model: Any, path: Path, name: str, interface: Interface, rewrite: bool = True) -> None:
    """See :class:`kito.export.formats.base.Format`."""
    dated = path.with_name(f"dated-{path.name}.keras")
    model.save(dated)
    with zipfile.ZipFile(dated) as old, zipfile.ZipFile(path, "w") as new:
        for entry in sorted(old.infolist(), key=lambda entry: entry.filename):
            undated = zipfile.ZipInfo(entry.filename, _EPOCH)
            undated.compress_type, undated.external_attr = entry.compress_type, entry.external_attr
            undated.create_system = 3
            if entry.filename == _METADATA:
                metadata = {**json.loads(old.read(entry)), "date_saved": _DATE}
                new.writestr(undated, json.dumps(metadata))
            elif entry.filename == _CONFIG:
                config = json.loads(old.read(entry))
                _number_shared(config, {})
                new.writestr(undated, json.dumps(config))
            else:
                undated.file_size = entry.file_size
                with old.open(entry) as source, new.open(undated, "w") as target:
                    shutil.copyfileobj(source, target)
    dated.unlink()


def _number_shared(config: Any, numbers: dict[int, int]) -> None:
    """Number shared objects in place, in order of appearance: Keras compares the ids only."""
    if isinstance(config, dict):
        if "class_name" in config and isinstance(config.get(_SHARED_ID), int):
            config[_SHARED_ID] = numbers.setdefault(config[_SHARED_ID], len(numbers) + 1)
        config = list(config.values())
    for value in config if isinstance(config, list) else ():
        _number_shared(value, numbers)


def native(path: Path, scratch: Path) -> Path:
    """See :class:`kito.export.formats.base.Format`."""
    return path


def load(
    path: Path, scratch: Path, interface: Interface, custom_objects: Mapping[str, Any] | None
) -> LoadedArtifact:
    """See :class:`kito.export.formats.base.Format`."""
    with safe_to_build(path):
        loaded = keras.models.load_model(path, custom_objects=custom_objects, compile=False)
    return LoadedArtifact(loaded, str(keras.__version__))
