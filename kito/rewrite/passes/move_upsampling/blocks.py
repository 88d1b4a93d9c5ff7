"""A convolution of an up-sampled tensor as one of the tensor itself, which returns blocks.

Along one axis, let each of n elements of x be copied s times, and a window of k elements read the
copies with ``padding="same"``, which puts ``lead = (k - 1) // 2`` zeros before them. Output y is
``sum_j W[j] x[(y - lead + j) // s]``, with zeros outside of x, because the copies end where x does.

The s outputs ``s * p - d + r``, ``r = 0 .. s - 1``, are block p. With ``d = -lead mod s`` the first
element that a block reads is the first of its copies, so it reads at most
``T = ceil((s + k - 1) / s)`` elements of x. A convolution with T taps and s times the filters
computes block p at position p. Its kernel holds sums of the taps that read the same element.

For images, that takes ``(k / T)**2`` times fewer multiplications: 2.25 times fewer for 3 x 3 after
any up-sampling by 2 or more.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kito.rewrite.affine import Array


@dataclass(frozen=True)
class Axis:
    """One spatial axis.

    Attributes:
        size: elements of the tensor before it is up-sampled, n above.
        factor: copies of each, s above.
        window: elements of the convolution's window, k above.
    """

    size: int
    factor: int
    window: int

    @property
    def taps(self) -> int:
        """The elements that a block reads, T above."""
        return -(-(self.factor + self.window - 1) // self.factor)

    @property
    def blocks(self) -> int:
        """How many blocks hold all outputs."""
        return self.size + (self._shift > 0)

    @property
    def zeros(self) -> tuple[int, int]:
        """The zeros before and after the tensor, from which the blocks are computed."""
        before = (self._shift + self._lead) // self.factor
        return before, self.blocks + self.taps - 1 - self.size - before

    @property
    def surplus(self) -> tuple[int, int]:
        """The outputs in the blocks that lie before and after the result."""
        return self._shift, (self.blocks - self.size) * self.factor - self._shift

    @property
    def _lead(self) -> int:
        return (self.window - 1) // 2

    @property
    def _shift(self) -> int:
        return -self._lead % self.factor

    def sums(self) -> Array:
        """(taps, outputs of a block, window): 1 where an element of the window reads with a tap."""
        output = np.arange(self.factor)[:, None] - self._shift
        element = (output + np.arange(self.window) - self._lead) // self.factor + self.zeros[0]
        reads: Array = np.equal(element, np.arange(self.taps)[:, None, None]).astype(np.float64)
        return reads


def block_kernel(kernel: Array, axes: Sequence[Axis]) -> Array:
    """The kernel that computes blocks: (*taps, in, *factors, out) with the last axes as one.

    Its elements are summed in float64 and cast once. Some may be infinite.

    Args:
        kernel: (*window, in, out).
        axes: the spatial axes.
    """
    *_, channels, filters = kernel.shape
    reads = [axis.sums() for axis in axes]
    taps, factors = (tuple(x.shape[i] for x in reads) for i in (0, 1))
    blocks = np.empty((*taps, channels, *factors, filters), kernel.dtype)
    for tap in np.ndindex(*taps):
        for output in np.ndindex(*factors):
            elements = (np.flatnonzero(x[i, j]) for x, i, j in zip(reads, tap, output, strict=True))
            total = np.zeros((channels, filters))
            for element in itertools.product(*elements):
                total += kernel[element]
            with np.errstate(over="ignore"):
                blocks[(*tap, slice(None), *output)] = total
    return blocks.reshape(*taps, channels, -1)
