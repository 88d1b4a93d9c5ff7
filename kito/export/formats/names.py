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
        backends: the backends of Keras on which Keras models can be written in it.
        torch_modules: what must be importable besides PyTorch, to write and to run a PyTorch
            module; None where modules cannot be written in it.
        deterministic: whether the same model and versions give the same bytes.
    """

    name: str
    suffix: str
    engine: str
    modules: tuple[str, ...] = ()
    deterministic: bool = True
    backends: tuple[str, ...] = ("tensorflow",)
    torch_modules: tuple[str, ...] | None = None

    @property
    def frameworks(self) -> tuple[str, ...]:
        """Whose models it can hold: ``keras``, ``torch`` or both."""
        able = {"keras": bool(self.backends), "torch": self.torch_modules is not None}
        return tuple(name for name, holds in able.items() if holds)

    def obstacle(self, framework: str = "keras") -> str | None:
        """Why a model cannot be written in it here, and what to do; None if it can.

        Args:
            framework: ``keras`` or ``torch``: what the model is of.
        """
        if framework not in self.frameworks:
            what = {"keras": "Keras model", "torch": "PyTorch module"}[framework]
            others = [x.name for x in FORMAT_NAMES.values() if framework in x.frameworks]
            return f"cannot hold a {what}, which {', '.join(others)} can; leave it out"
        unwritable = self.unwritable if framework == "keras" else None
        return unwritable or self.lack(framework)

    def lack(self, framework: str) -> str | None:
        """What to install to write such a model; None if all is there."""
        if framework == "keras":
            return self.advice if self.missing else None
        needed = ("torch", *(self.torch_modules or ()))
        missing = [name for name in needed if not _is_installed(name)]
        extras = ",".join(dict.fromkeys(("torch", self.name)))
        return _advice(extras) if missing else None

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
        return _advice(self.name)

    def implementation(self) -> Format:
        """The module that writes and loads files of this format; importing it imports Keras."""
        return cast("Format", importlib.import_module(f"kito.export.formats.{self.name}"))


def _advice(extras: str) -> str:
    return (
        "needs packages that are not installed; install them with: "
        f"pip install 'pytest-kito[{extras}]'"
    )


def _is_installed(module: str) -> bool:
    spec = importlib.util.find_spec(module)
    # A folder of that name in the working directory is a package, too, but one without a file.
    return spec is not None and spec.origin is not None


FORMAT_NAMES: dict[str, FormatInfo] = {
    info.name: info
    for info in (
        FormatInfo("keras", ".keras", "Keras", backends=("tensorflow", "jax", "torch")),
        FormatInfo("saved_model", ".saved_model.tar.gz", "TensorFlow", deterministic=False),
        FormatInfo(
            "onnx",
            ".onnx",
            "ONNX Runtime",
            ("onnx", "onnxruntime", "tf2onnx"),
            torch_modules=("onnx", "onnxruntime", "onnxscript"),
        ),
        FormatInfo(
            "openvino",
            ".openvino.tar.gz",
            "OpenVINO",
            ("openvino", "scipy"),
            torch_modules=("openvino",),
        ),
        FormatInfo("litert", ".tflite", "LiteRT", ("ai_edge_litert",)),
        FormatInfo("torch", ".pt2", "PyTorch", (), False, (), torch_modules=()),
    )
}
FORMATS: tuple[str, ...] = tuple(FORMAT_NAMES)
"""The names of the formats that this version writes."""
KERAS_FORMATS = tuple(name for name, x in FORMAT_NAMES.items() if "keras" in x.frameworks)
"""The names of those that hold Keras models."""
ENGINES: tuple[str, ...] = tuple(name for name in KERAS_FORMATS if name != "keras")
"""The formats that have a module in :mod:`kito.export.engines`, which runs their files."""


def available_format(name: str, framework: str = "keras") -> FormatInfo:
    """The format of a name.

    Args:
        name: one of :data:`FORMATS`.
        framework: ``keras`` or ``torch``: what the model is of.

    Raises:
        KitoError: there is no such format, such a model cannot be written in it, the backend of
            Keras cannot write it, or its packages are not installed.
    """
    if name not in FORMAT_NAMES:
        raise KitoError(f"no artifact format {name!r}; there are: {', '.join(FORMATS)}")
    info = FORMAT_NAMES[name]
    obstacle = info.obstacle(framework)
    if obstacle is not None:
        raise KitoError(f"'{info.name}' {obstacle}")
    return info


def split_file_name(file: str) -> tuple[str, str] | None:
    """Split a file's name into (name, format); None where no format has its suffix."""
    for info in FORMAT_NAMES.values():
        if file.endswith(info.suffix) and file != info.suffix:
            return file.removesuffix(info.suffix), info.name
    return None
