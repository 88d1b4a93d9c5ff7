"""The formats by name: what their files are called, who runs them, and what must be installed.

This list is the only place that names a format; the module that writes and loads it has the same
name. Importing the list imports neither Keras nor an engine, so that a configuration can be checked
with it before anything is built.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from kito.errors import KitoError
from kito.export.formats.chosen_backend import chosen_backend

if TYPE_CHECKING:
    from kito.export.formats.base import Format


@dataclass(frozen=True)
class FormatInfo:
    """What is known of a format without importing any of its packages.

    Attributes:
        name: as in kito.yaml; also the module of this package that implements the format, and the
            extra of pytest-kito that installs ``modules``.
        suffix: how its files' names end.
        engine: what runs its files.
        modules: what must be importable besides Keras and its backend, to write and to run it.
        backends: the backends of Keras on which it can be written.
        deterministic: whether the same model and versions give the same bytes.
    """

    name: str
    suffix: str
    engine: str
    modules: tuple[str, ...] = ()
    deterministic: bool = True
    backends: tuple[str, ...] = ("tensorflow",)

    @property
    def unwritable(self) -> str | None:
        """Why the chosen backend of Keras cannot write it, and what to do; None if it can."""
        backend = chosen_backend()
        if backend in self.backends:
            return None
        others = [name for name, info in FORMAT_NAMES.items() if backend in info.backends]
        return (
            f"cannot be written by Keras on '{backend}', which writes {', '.join(others)}; set "
            f"KERAS_BACKEND={self.backends[0]}, or leave it out"
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """The ``modules`` that are not installed."""
        return tuple(name for name in self.modules if not _is_installed(name))

    @property
    def advice(self) -> str:
        """What to do where a module is missing."""
        return (
            "needs packages that are not installed; install them with: "
            f"pip install 'pytest-kito[{self.name}]'"
        )

    def implementation(self) -> Format:
        """The module that writes and loads files of this format; importing it imports Keras."""
        return cast("Format", importlib.import_module(f"kito.export.formats.{self.name}"))


def _is_installed(module: str) -> bool:
    spec = importlib.util.find_spec(module)
    # A folder of that name in the working directory is a package, too, but one without a file.
    return spec is not None and spec.origin is not None


FORMAT_NAMES: dict[str, FormatInfo] = {
    info.name: info
    for info in (
        FormatInfo("keras", ".keras", "Keras", backends=("tensorflow", "jax", "torch")),
        FormatInfo("saved_model", ".saved_model.tar.gz", "TensorFlow", deterministic=False),
        FormatInfo("onnx", ".onnx", "ONNX Runtime", ("onnx", "onnxruntime", "tf2onnx")),
        FormatInfo("openvino", ".openvino.tar.gz", "OpenVINO", ("openvino", "scipy")),
        FormatInfo("litert", ".tflite", "LiteRT", ("ai_edge_litert",)),
    )
}
FORMATS: tuple[str, ...] = tuple(FORMAT_NAMES)
"""The names of the formats that this version writes."""
ENGINES: tuple[str, ...] = tuple(name for name in FORMATS if name != "keras")
"""The formats whose files another engine than Keras runs: modules of :mod:`kito.export.engines`."""


def available_format(name: str) -> FormatInfo:
    """The format of a name.

    Raises:
        KitoError: there is no such format, the backend of Keras cannot write it, or its packages
            are not installed.
    """
    if name not in FORMAT_NAMES:
        raise KitoError(f"no artifact format {name!r}; there are: {', '.join(FORMATS)}")
    info = FORMAT_NAMES[name]
    if info.unwritable is not None:
        raise KitoError(f"'{info.name}' {info.unwritable}")
    if info.missing:
        raise KitoError(f"'{info.name}' {info.advice}")
    return info


def split_file_name(file: str) -> tuple[str, str] | None:
    """Split a file's name into (name, format); None where no format has its suffix."""
    for info in FORMAT_NAMES.values():
        if file.endswith(info.suffix) and file != info.suffix:
            return file.removesuffix(info.suffix), info.name
    return None
