"""``saved_model``: TensorFlow's SavedModel as one archive, run by TensorFlow.

``serve`` takes and returns what the model does, in the model's own structure; the signature
``serving_default`` does the same by name. TensorFlow adds a random fingerprint and writes variables
in varying order, so the bytes differ from run to run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kito.errors import KitoError
from kito.export.formats import archives
from kito.export.formats.base import LoadedArtifact
from kito.export.formats.exporting import export
from kito.export.formats.interface import Interface
from kito.graph.functional import as_functional
from kito.runtime.engine import LoadedFile


def write(model: Any, path: Path, name: str, interface: Interface) -> None:
    """See :class:`kito.export.formats.base.Format`."""
    folder = path.with_name("exported")
    export(as_functional(model), folder, "tf_saved_model")
    archives.pack(folder, path, name)


def load(path: Path, scratch: Path, interface: Interface, custom_objects: Any) -> LoadedArtifact:
    """See :class:`kito.export.formats.base.Format`."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(archives.unpack(path, scratch)))
    [serve] = loaded.serve.concrete_functions
    (argument,), _ = serve.structured_input_signature
    takes = [spec.name for spec in tf.nest.flatten(argument)]
    if set(takes) != set(interface.inputs):
        interface.check(path.name, takes, interface.outputs)
        raise KitoError(f"'{path.name}' takes {takes} only")

    def run(batch: Mapping[str, np.ndarray]) -> Any:
        fed = tf.nest.map_structure(
            lambda spec: tf.constant(batch[spec.name], spec.dtype), argument
        )
        # `loaded` owns the function's variables, so this closure must keep it alive.
        return loaded.serve(fed)

    return LoadedArtifact(LoadedFile(path.name, run), str(tf.__version__))
