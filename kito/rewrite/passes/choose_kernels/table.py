"""The same function through another stock layer whose kernel is faster.

What is exact is in :mod:`kito.faster`; here is the choice. An entry is taken for the backends and
targets for which it was measured to be faster, or is known to do no harm; ``benchmarks/layers.py``
measures. All of it was measured on CPUs, with TensorFlow and JAX; nothing on a GPU, nor with
PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras

from kito.graph.ir import Graph, Node
from kito.rewrite.outcome import Outcome, Rewrite
from kito.rewrite.passes.choose_kernels.grouped import as_depthwise, as_plain_ones
from kito.rewrite.passes.choose_kernels.normalization import without_affine
from kito.rewrite.passes.choose_kernels.resizing import as_resizing
from kito.rewrite.passes.choose_kernels.subsampling import as_one_depthwise

_ANY = ("any", "cpu", "gpu")


@dataclass(frozen=True)
class Entry:
    """One choice.

    Attributes:
        rewrite: rewrites a call; None where it did nothing.
        backends: where it is done.
        targets: for which ``target`` of ``reduce()``.
    """

    rewrite: Callable[[Node], Rewrite | None]
    backends: tuple[str, ...]
    targets: tuple[str, ...]


TABLE = (
    # Fewer operations everywhere; but JAX fuses them, and PyTorch has one kernel for it all, so
    # only TensorFlow is faster.
    Entry(without_affine, ("tensorflow", "jax", "torch"), _ANY),
    # Keras on TensorFlow runs a grouped convolution through XLA, on every device; on the other two,
    # both layers call the same kernel.
    Entry(as_depthwise, ("tensorflow",), _ANY),
    # XLA, which both use for it, is slow at groups on CPUs; on a GPU, each would be a launch.
    Entry(as_plain_ones, ("tensorflow", "jax"), ("cpu",)),
    # One reading of the tensor for up to three copies of it.
    Entry(as_one_depthwise, ("tensorflow",), _ANY),
    # One kernel for two repetitions, each of which copies.
    Entry(as_resizing, ("tensorflow",), _ANY),
)
"""In the order in which they are tried."""


def run(graph: Graph, target: str) -> Outcome:
    """Choose for every call of ``graph``, and of the models nested in it, by backend and target."""
    outcome = Outcome()
    backend = keras.config.backend()
    for entry in TABLE:
        if backend not in entry.backends or target not in entry.targets:
            continue
        for inner in graph.graphs():
            for node in list(inner.nodes):
                if node not in inner.nodes:  # gone with another
                    continue
                rewrite = entry.rewrite(node)
                if rewrite is not None:
                    outcome.rewrites.append(rewrite)
    return outcome
