"""The formats by name: what their files are called, who runs them, and what must be installed.

Nothing heavy is imported: a configuration is checked with it before anything is built.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class FormatName:
    """What is known of a format without any of its packages.

    Attributes:
        name: as in kito.yaml; also the extra of pytest-kito that installs ``modules``.
        suffix: how its files' names end.
        engine: what runs its files.
        modules: what must be importable besides Keras and TensorFlow, to write and to run it.
        deterministic: whether the same model and versions give the same bytes.
    """

    name: str
    suffix: str
    engine: str
    modules: tuple[str, ...] = ()
    deterministic: bool = True

    @property
    def missing(self) -> tuple[str, ...]:
        """Those of ``modules`` that are not installed."""
        return tuple(name for name in self.modules if not _is_installed(name))

    @property
    def advice(self) -> str:
        """What to do where something is missing."""
        return (
            "needs packages that are not installed; install them with: "
            f"pip install 'pytest-kito[{self.name}]'"
        )


def _is_installed(module: str) -> bool:
    spec = importlib.util.find_spec(module)
    # A folder of that name in the working directory would be a package, too, but one of no file.
    return spec is not None and spec.origin is not None


FORMAT_NAMES: dict[str, FormatName] = {
    each.name: each
    for each in (
        FormatName("keras", ".keras", "Keras"),
        FormatName("saved_model", ".saved_model.tar.gz", "TensorFlow", deterministic=False),
        FormatName("onnx", ".onnx", "ONNX Runtime", ("onnx", "onnxruntime", "tf2onnx")),
        FormatName("openvino", ".openvino.tar.gz", "OpenVINO", ("openvino",)),
        FormatName("litert", ".tflite", "LiteRT", ("ai_edge_litert",)),
    )
}
FORMATS: tuple[str, ...] = tuple(FORMAT_NAMES)
"""The formats that this version writes."""


def split_file_name(file: str) -> tuple[str, str] | None:
    """(name, format) of a file's name; None where it ends as no format's files do."""
    for each in FORMAT_NAMES.values():
        if file.endswith(each.suffix) and file != each.suffix:
            return file.removesuffix(each.suffix), each.name
    return None
