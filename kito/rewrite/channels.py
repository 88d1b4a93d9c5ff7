"""Which axis of a tensor holds the channels: the ``data_format`` of a layer."""

from __future__ import annotations

from typing import Any


def is_channels_first(layer: Any) -> bool:
    """Whether axis 1 holds the channels."""
    return getattr(layer, "data_format", "channels_last") == "channels_first"


def channel_axis(layer: Any, rank: int) -> int:
    """The axis of the channels in a tensor of ``rank`` axes that ``layer`` takes or returns."""
    return 1 if is_channels_first(layer) else rank - 1
