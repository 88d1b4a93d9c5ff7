"""Which backend Keras uses, or will use once it is imported."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

DEFAULT = "tensorflow"


def chosen_backend() -> str:
    """The name of the backend, without importing Keras.

    As Keras itself does it: the variable ``KERAS_BACKEND``, else ``keras.json`` in ``KERAS_HOME``
    or ``~/.keras``, else TensorFlow.
    """
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "backend"):
        return str(keras.backend.backend())
    return os.environ.get("KERAS_BACKEND") or _configured() or DEFAULT


def _configured() -> str | None:
    home = os.environ.get("KERAS_HOME")
    folder = Path(home) if home else Path.home() / ".keras"
    try:
        settings = json.loads((folder / "keras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        return None  # Keras ignores a file that it cannot read
    backend = settings.get("backend") if isinstance(settings, dict) else None
    return backend if isinstance(backend, str) else None
