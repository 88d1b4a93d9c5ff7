"""How fast each way of calling a model in TensorFlow is: eager, graph, ``predict``, XLA.

All ways of the original and of the reduced model are timed in the same rounds. 90 s a cell, 6
minutes in all on two cores.
"""

from __future__ import annotations

from typing import Any

from benchmarks import networks
from benchmarks.rounds import milliseconds, ratio, take_rounds, times
from benchmarks.topic import Rows, markdown, measured

TITLE = "Ways to call a model"
ABOUT = """\
Four ways to call a model on a batch of 8 images: `model(batch)` (eager), one `tf.function` (graph),
`model.predict(batch)`, and one `tf.function` that XLA compiles. The speed-up is the time of the
original over that of the reduced model, called the same way in the same rounds."""
NETWORKS = ("MobileNetV2", "NASNetMobile", "EfficientNetB0", "ResNet50")
FORMS = ("eager", "graph", "predict", "XLA")
BATCH = 8


def cells() -> tuple[str, ...]:
    return NETWORKS


def measure(cell: str) -> dict[str, Any]:
    import tensorflow as tf

    import kito

    model = networks.build_random(cell)
    (images,) = networks.images(model, BATCH).values()
    batch = tf.constant(images)

    def ways(form: Any) -> dict[str, Any]:
        def call(x: Any) -> Any:
            return form(x, training=False)

        graph, xla = tf.function(call), tf.function(call, jit_compile=True)
        return {
            "eager": lambda: call(batch),
            "graph": lambda: graph(batch),
            "predict": lambda: form.predict(images, batch_size=BATCH, verbose=0),
            "XLA": lambda: xla(batch),
        }

    models = {"original": model, "reduced": kito.reduce(model).model}
    calls = {f"{way}/{x}": f for x, form in models.items() for way, f in ways(form).items()}
    seconds = take_rounds(calls)
    return {
        way: {
            "original_ms": milliseconds(seconds[f"{way}/original"]),
            "reduced_ms": milliseconds(seconds[f"{way}/reduced"]),
            "ratio": ratio(seconds[f"{way}/original"], seconds[f"{way}/reduced"]),
        }
        for way in FORMS
    }


def table(rows: Rows) -> str:
    lines = [
        [
            network,
            way,
            f"{row[way]['original_ms']:.1f}",
            f"{row[way]['reduced_ms']:.1f}",
            times(row[way]["ratio"]),
        ]
        for network, row in measured(rows).items()
        for way in FORMS
    ]
    return markdown("network | way | original, ms: | reduced, ms: | speed-up:", lines)
