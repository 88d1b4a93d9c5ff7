"""The table of kernel choices, and the run over a graph.

Identity: another stock layer computes the same function with a faster kernel. The other modules of
this package hold the rewrites and their formulas; the table says where each is used. An entry is
used for the backends and targets for which it was measured to be faster, or is known to do no harm;
``python -m benchmarks layers`` measures. All measurements were made on CPUs, none on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras

from kito.graph.ir import Graph, Node
from kito.rewrite.outcome import Outcome, Rewrite
from kito.rewrite.passes.choose_kernels.grouped import as_depthwise, as_plain
from kito.rewrite.passes.choose_kernels.normalization import without_affine
from kito.rewrite.passes.choose_kernels.pooling import keeping_axes
from kito.rewrite.passes.choose_kernels.resizing import as_resizing
from kito.rewrite.passes.choose_kernels.subsampling import as_one_depthwise

_ANY = ("any", "cpu", "gpu")


@dataclass(frozen=True)
class Entry:
    """One rewrite, and where it is used.

    Attributes:
        rewrite: rewrites a call; returns None where it did nothing.
        backends: the Keras backends for which it is used.
        targets: the values of the argument ``target`` of ``reduce()`` for which it is used.
    """

    rewrite: Callable[[Node], Rewrite | None]
    backends: tuple[str, ...]
    targets: tuple[str, ...]


TABLE = (
    # Fewer operations. JAX fuses them, so only TensorFlow is faster. PyTorch has one kernel for it
    # all, which is not used without gamma and beta: 0.64x to 0.99x.
    Entry(without_affine, ("tensorflow", "jax"), _ANY),
    # Keras on TensorFlow runs a grouped convolution through XLA, on every device; on the other two,
    # both layers call the same kernel.
    Entry(as_depthwise, ("tensorflow",), _ANY),
    # XLA, which both use for it, is slow at groups on CPUs; on a GPU, each would be a launch.
    Entry(as_plain, ("tensorflow", "jax"), ("cpu",)),
    # One reading of the tensor for up to three copies of it.
    Entry(as_one_depthwise, ("tensorflow",), _ANY),
    # One operation less everywhere, and no calculation of a shape in exported files.
    Entry(keeping_axes, ("tensorflow", "jax", "torch"), _ANY),
    # One kernel for two repetitions, each of which copies. It is faster on PyTorch too, which finds
    # the element to take in float32: nobody has proved that it is the same for all factors.
    Entry(as_resizing, ("tensorflow",), _ANY),
)
"""The entries, in the order in which they are tried."""


def run(graph: Graph, target: str) -> Outcome:
    """Choose for every call of ``graph``, and of the models nested in it, by backend and target."""
    outcome = Outcome()
    backend = keras.config.backend()
    for entry in TABLE:
        if backend not in entry.backends or target not in entry.targets:
            continue
        for inner in graph.graphs():
            for node in list(inner.nodes):
                if node not in inner.nodes:  # removed together with another
                    continue
                rewrite = entry.rewrite(node)
                if rewrite is not None:
                    outcome.rewrites.append(rewrite)
    return outcome
