"""Memory of inference, and size on disk, of the original and the reduced model. Linux only.

25 s a cell, 4 minutes in all on two cores.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import memory, networks
from benchmarks.topic import Rows, markdown, measured

TITLE = "Memory and size on disk"
ABOUT = """\
Each model is saved as `.keras`, loaded in a fresh process, and called as one `tf.function` on 8
images five times. Memory is the peak of the resident set in these calls, less that before the model
was loaded: weights and activations."""
NETWORKS = (
    "MobileNetV2",
    "NASNetMobile",
    "EfficientNetB0",
    "ConvNeXtTiny",
    "RepVGG",
    "ResNet50",
    "ResNet50V2",
    "DenseNet121",
    "InceptionV3",
    "zf_unet_224",
)
FORMS = ("original", "reduced")
BATCH = 8
CALLS = 5


def cells() -> tuple[str, ...]:
    return NETWORKS


def measure(cell: str) -> dict[str, Any]:
    import kito

    reduction = kito.reduce(networks.build_random(cell))
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for form, model in zip(FORMS, (reduction.original, reduction.model), strict=True):
            path = Path(name) / f"{form}.keras"
            model.save(path)
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                peak = pool.submit(_peak, path).result()
            result[form] = {"memory_mb": peak / 1e6, "file_mb": path.stat().st_size / 1e6}
    return result


def table(rows: Rows) -> str:
    lines = []
    for network, row in measured(rows).items():
        line = [network]
        for what in ("memory_mb", "file_mb"):
            before, after = (row[form][what] for form in FORMS)
            line += [f"{before:.1f}", f"{after:.1f}", f"{after / before:.2f}"]
        lines.append(line)
    header = (
        "network | memory, original, MB: | reduced: | ratio: "
        "| file, original, MB: | reduced: | ratio:"
    )
    return markdown(header, lines)


def _peak(path: Path) -> int:
    """Bytes that loading and calling a model take, in this process, which did nothing before."""
    import keras
    import tensorflow as tf

    chain = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
    tf.function(chain)(tf.zeros((1, 8, 8, 3)))  # what TensorFlow sets up is not the model's memory
    gc.collect()
    before = memory.start()
    model = keras.models.load_model(path)
    (images,) = networks.images(model, BATCH).values()
    gc.collect()
    # What loading left free in the heap would hide the activations.
    ctypes.CDLL(None).malloc_trim(0)
    memory.start()
    function = tf.function(lambda x: model(x, training=False))
    for _ in range(CALLS):
        function(images)
    return memory.peak() - before
