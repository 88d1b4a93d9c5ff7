"""Call a layer to see what it computes, and leave it unchanged.

Calls change a layer: Keras' record of its calls, the values of its weights, attributes that its
``call`` sets. All of these are restored. A change of a weight or an attribute is also reported,
because then the layer has state, and what one call did cannot replace other calls.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from kito.errors import KitoError
from kito.graph.stock import delete_attribute, is_stock, own_attributes, set_attribute


class StateChanged(KitoError):
    """A call changes the state of the layer that is called."""


@contextlib.contextmanager
def kept_attributes(layers: Sequence[Any]) -> Iterator[list[str]]:
    """Within this context, ``layers`` may be called; at its end, their attributes are restored.

    Yields:
        A list that holds, once the context has ended, what was changed, in words.
    """
    custom = [(x, _attributes(x)) for x in layers if not is_stock(type(x))]
    changes: list[str] = []
    try:
        yield changes
    finally:
        for x, before in custom:
            changes += _restore(x, before)


@contextlib.contextmanager
def restored(layers: Sequence[Any], logs: Sequence[list[Any]] = ()) -> Iterator[list[str]]:
    """Like :func:`kept_attributes`, and weights and logs are restored, too.

    Args:
        layers: a layer, and then the layers in it.
        logs: lists to which calls append.
    """
    lengths = [(log, len(log)) for log in logs]
    variables = layers[0].variables
    changes: list[str] = []
    with kept_attributes(layers) as attributes:
        try:
            with keras.StatelessScope() as scope:
                yield changes
            changed = [x.path for x in variables if id(x) in scope.state_mapping]
            changes += [f"its weight '{path}'" for path in changed]
        finally:
            for log, length in lengths:
                del log[length:]
    changes += attributes


@contextlib.contextmanager
def preserved(layers: Sequence[Any], logs: Sequence[list[Any]] = ()) -> Iterator[None]:
    """Like :func:`restored`, but a change of a weight or an attribute is an error.

    Raises:
        StateChanged: a weight, or an attribute of a custom layer, was changed.
    """
    with restored(layers, logs) as changes:
        yield
    if changes:
        raise StateChanged(f"it changes {', '.join(changes)} when it is called")


@contextlib.contextmanager
def kept_trainable(layers: Sequence[Any]) -> Iterator[None]:
    """At the end of this context, ``layers`` and their variables are trainable as before.

    Args:
        layers: a layer, and then the layers in it.
    """
    of_layers = [(x, x.trainable) for x in layers]
    of_variables = [(x, x.trainable) for x in layers[0].variables]
    try:
        yield
    finally:
        for x, flag in [*of_layers, *of_variables]:
            if x.trainable is not flag:  # of a layer, also sets those of what is inside
                x.trainable = flag


@contextlib.contextmanager
def kept_calls(layers: Sequence[Any]) -> Iterator[None]:
    """At the end of this context, Keras' record of the calls of ``layers`` is as before."""
    lengths = [(log, len(log)) for log in _call_logs(layers)]
    try:
        yield
    finally:
        for log, length in lengths:
            del log[length:]


def _call_logs(layers: Sequence[Any]) -> list[list[Any]]:
    return [log for x in layers for log in (x._inbound_nodes, x._outbound_nodes)]


def unrecorded(layers: Sequence[Any]) -> contextlib.AbstractContextManager[None]:
    """Like :func:`preserved`, but it also restores Keras' record of the calls of ``layers``."""
    return preserved(layers, _call_logs(layers))


_Attributes = dict[str, tuple[Any, Any]]
"""By name, the value of an attribute and, for a list, dict or set, a copy of it; else None."""


def _attributes(layer: Any) -> _Attributes:
    return {name: (value, _copy(value)) for name, value in own_attributes(layer).items()}


def _copy(value: Any) -> Any:
    return next((kind(value) for kind in (list, dict, set) if isinstance(value, kind)), None)


def _restore(layer: Any, before: _Attributes) -> list[str]:
    """Restore the attributes of ``layer``; returns, in words, those that show a change of state."""
    changes = []
    now = own_attributes(layer)
    for name in [*before, *(x for x in now if x not in before)]:
        value, content = before.get(name, (None, None))
        same = name in before and name in now and now[name] is value
        if same and (content is None or _has_content(value, content)):
            continue
        if name not in before:
            delete_attribute(layer, name)
        else:
            set_attribute(layer, name, value)
            if content is not None:
                _set_content(value, content)
        # A symbolic tensor is no state: some layers keep their attention scores, say.
        if not isinstance(now.get(name), keras.KerasTensor):
            changes.append(f"the attribute '{name}' of '{layer.name}'")
    return changes


def _has_content(value: Any, content: Any) -> bool:
    """Whether a list, dict or set holds the same objects as its copy."""
    if len(value) != len(content):
        return False
    if isinstance(value, dict):
        return all(key in content and content[key] is x for key, x in value.items())
    return value == content if isinstance(value, set) else all(map(operator.is_, value, content))


def _set_content(value: Any, content: Any) -> None:
    value.clear()
    if isinstance(value, list):
        value.extend(content)
    else:
        value.update(content)
