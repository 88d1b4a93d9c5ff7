"""A layer that is called to see what it does, and is left as it was.

Calls leave traces in a layer: Keras' record of them, values of weights, attributes that its
``call`` sets. The first are taken away again. A change of the others means that the layer keeps
state, so that its calls cannot be replaced by what one of them did; they are taken back, and
reported.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from kito.errors import KitoError
from kito.graph.stock import base_attributes, is_stock


class StateChanged(KitoError):
    """A call changes the layer that is called."""


@contextlib.contextmanager
def preserved(layers: Sequence[Any], logs: Sequence[list[Any]] = ()) -> Iterator[None]:
    """Inside, ``layers`` may be called; afterwards they are as they were.

    Args:
        layers: a layer, and the layers in it.
        logs: lists to which calls append.

    Raises:
        StateChanged: a weight, or an attribute of a class that is not Keras' own, was changed.
    """
    lengths = [(log, len(log)) for log in logs]
    custom = [(x, _attributes(x)) for x in layers if not is_stock(type(x))]
    variables = layers[0].variables
    changes: list[str] = []
    try:
        with keras.StatelessScope() as scope:
            yield
        changed = [x.path for x in variables if id(x) in scope.state_mapping]
        changes += [f"its weight '{path}'" for path in changed]
    finally:
        for log, length in lengths:
            del log[length:]
        for x, before in custom:
            changes += _restore(x, before)
    if changes:
        raise StateChanged(f"it changes {', '.join(changes)} when it is called")


def unrecorded(layers: Sequence[Any]) -> contextlib.AbstractContextManager[None]:
    """:func:`preserved`, Keras' record of the calls of ``layers`` included."""
    logs = [log for x in layers for log in (x._inbound_nodes, x._outbound_nodes)]
    return preserved(layers, logs)


def _attributes(layer: Any) -> dict[str, tuple[Any, Any]]:
    """The attributes that not every layer has; of those that hold values, what they hold, too."""
    return {name: (value, _copied(value)) for name, value in _own(layer).items()}


def _own(layer: Any) -> dict[str, Any]:
    # TensorFlow has books of its own, which it opens when something is held for the first time.
    return {
        name: value
        for name, value in vars(layer).items()
        if name not in base_attributes() and not name.startswith("_self_")
    }


def _copied(value: Any) -> Any:
    return next((kind(value) for kind in (list, dict, set) if isinstance(value, kind)), None)


def _restore(layer: Any, before: dict[str, tuple[Any, Any]]) -> list[str]:
    """Give ``layer`` its attributes back; returns those whose change was one of state."""
    found = []
    now = _own(layer)
    for name in [*before, *(x for x in now if x not in before)]:
        value, held = before.get(name, (None, None))
        same = name in before and name in now and now[name] is value
        if same and (held is None or _holds(value, held)):
            continue
        if name not in before:
            del vars(layer)[name]
        else:
            vars(layer)[name] = value
            if held is not None:
                _refill(value, held)
        if not isinstance(now.get(name), keras.KerasTensor):  # kept for show: attention scores, say
            found.append(f"the attribute '{name}' of '{layer.name}'")
    return found


def _holds(value: Any, held: Any) -> bool:
    if len(value) != len(held):
        return False
    if isinstance(value, dict):
        return all(key in held and held[key] is x for key, x in value.items())
    return value == held if isinstance(value, set) else all(map(_is, value, held))


def _is(a: Any, b: Any) -> bool:
    return a is b


def _refill(value: Any, held: Any) -> None:
    value.clear()
    if isinstance(value, list):
        value.extend(held)
    else:
        value.update(held)
