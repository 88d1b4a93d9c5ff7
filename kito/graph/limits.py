"""What cannot be done with single layers is found out late, so the work is then done once more.

Whether a layer can be copied shows only when the reduced model is built. An attempt that meets a
layer that cannot be treated as planned raises :class:`LimitFound`. The next attempt knows, and
treats this layer with more care.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from kito.errors import UnsupportedModelError

_Result = TypeVar("_Result")


class Limit(Enum):
    """How a layer has to be treated."""

    UNTRUSTED = "its copy is compared with it before it is used"
    FIXED = "no pass changes its weights or its configuration"
    CLOSED = "the layers that hold it are not inlined"


class LimitFound(UnsupportedModelError):
    """A layer cannot be treated as planned.

    Attributes:
        layer: the layer of the original model.
        limit: how to treat it.
        reason: why, in words.
    """

    def __init__(self, layer: Any, limit: Limit, reason: str) -> None:
        what = f"layer '{layer.name}' ({type(layer).__name__})"
        super().__init__(f"{what} cannot be copied: {reason}")
        self.layer, self.limit, self.reason = layer, limit, reason


@dataclass
class Limits:
    """What earlier attempts have found out: by limit and the layer's id, the reason in words."""

    found: dict[tuple[Limit, int], str] = field(default_factory=dict)

    def reason(self, limit: Limit, layer: Any) -> str | None:
        """Why the limit holds for the layer; None if it does not."""
        return self.found.get((limit, id(layer)))


def attempt(run: Callable[[Limits], _Result]) -> _Result:
    """``run(limits)``, again whenever it finds a new limit.

    Raises:
        UnsupportedModelError: the limits did not help.
    """
    limits = Limits()
    while True:
        try:
            return run(limits)
        except LimitFound as error:
            key = (error.limit, id(error.layer))
            if key in limits.found:
                raise
            limits.found[key] = error.reason
