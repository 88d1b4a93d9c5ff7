"""Forwards with control flow, outside of test files: pytest rewrites the assertions in these."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)

Forward = Callable[[Any, Any], Any]
"""Of a module with ``conv``, ``conv2``, ``bn`` and ``bn2``, and images with 6 channels."""


def _images_or_one(m: Any, x: Any) -> Any:
    if x.dim() == 3:
        x = x[None]
    return m.bn(m.conv(x))


def _by_length(m: Any, x: Any) -> Any:
    y = m.bn(m.conv(x))
    return y.flatten(2) if len(y.shape) > 3 and y.ndim != 5 else y


def _rest_of_sizes(m: Any, x: Any) -> Any:
    y = m.bn(m.conv(x))
    batch, channels, *rest = y.shape
    return y.reshape(batch, channels // 2, 2, *rest).sum(2)


def _sizes_as_arguments(m: Any, x: Any) -> Any:
    y = m.bn(m.conv(x)).flatten(2)
    return m.bn2(m.conv2(y.reshape(*y.shape[:2], *x.size()[2:])))


def _axes_counted(m: Any, x: Any) -> Any:
    y = m.bn(m.conv(x))
    y = y - y.mean(tuple(range(2, y.dim())), keepdim=True)
    return y * y.new_ones([1] * y.ndim)


def _sizes_one_by_one(m: Any, x: Any) -> Any:
    y, elements = m.bn(m.conv(x)), 1
    for size in x.shape[2:]:
        elements = elements * size
    return y.sum((2, 3)) / elements


def _asserted(m: Any, x: Any) -> Any:
    assert x.shape[1] == 6, "six channels"
    return m.bn(m.conv(x))


def _asserted_not(m: Any, x: Any) -> Any:
    assert not x.shape[2] % 2
    return m.bn(m.conv(x))


def _asserted_both(m: Any, x: Any) -> Any:
    assert x.dim() == 4 and x.shape[2] % 2 == 0 and x.shape[1] == 6  # noqa: PT018 (both in one)
    return m.bn(m.conv(x))


def _same_padding(m: Any, x: Any) -> Any:
    pads: list[Any] = []
    for size in (x.shape[3], x.shape[2]):
        total = max((math.ceil(size / 2) - 1) * 2 + 3 - size, 0)
        pads += [total // 2, total - total // 2]
    y = F.conv2d(F.pad(x, pads), m.conv.weight, m.conv.bias, 2)
    return m.bn2(m.conv2(m.bn(y)))


def _smallest(m: Any, x: Any) -> Any:
    y = m.bn(m.conv(x))
    return y[:, :, : min(x.shape[2:]), : min([x.shape[2], x.shape[3], 7])]


WHOLE: dict[str, Forward] = {
    "images or one": _images_or_one,
    "by length": _by_length,
    "rest of sizes": _rest_of_sizes,
    "sizes as arguments": _sizes_as_arguments,
    "axes counted": _axes_counted,
    "sizes one by one": _sizes_one_by_one,
    "asserted": _asserted,
    "asserted not": _asserted_not,
    "asserted both": _asserted_both,
    "same padding": _same_padding,
    "smallest": _smallest,
}
"""What is traced as a whole."""


def squeezed(m: Any, x: Any) -> Any:
    """The number of axes depends on the batch size."""
    y = m.bn(m.conv(x)).mean((2, 3), keepdim=True).squeeze()
    return y[None] if y.dim() == 1 else y


def by_size(m: Any, x: Any) -> Any:
    """What is computed depends on the size of the image."""
    y = m.bn(m.conv(x))
    return y if x.shape[2] > 11 else m.bn2(y)


def either(m: Any, x: Any) -> Any:
    """An assertion of two conditions of which one is enough."""
    assert x.shape[2] == 12 or x.shape[2] == 32
    return m.bn(m.conv(x))


def cut_by_size(m: Any, x: Any) -> Any:
    """How many sizes are taken depends on one of them."""
    y = m.bn(m.conv(x))
    return y.reshape(*y.shape[: x.shape[3] % 4], -1)


def repeated_by_size(m: Any, x: Any) -> Any:
    """How many axes there are depends on a size."""
    y = m.bn(m.conv(x))
    ones = y.new_ones([1] * (x.shape[3] % 4))
    return y if ones.dim() == 2 else y * 2


IN_PARTS: dict[str, Forward] = {
    "squeezed": squeezed,
    "by size": by_size,
    "either": either,
    "cut by size": cut_by_size,
    "repeated by size": repeated_by_size,
}
"""What is not traced as a whole."""
