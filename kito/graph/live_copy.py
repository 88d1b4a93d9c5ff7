"""Copy a live layer: a new object of its class, with copies of its variables and attributes.

Neither the constructor of the class nor its configuration is used, so it also copies a layer whose
``get_config()`` is incomplete. Variables, layers, containers and arrays are copied at any depth,
each once, so that cycles stay cycles. What has no state of the layer in it is shared: functions,
initializers, tensors.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import keras
import numpy as np

from kito.errors import KitoError
from kito.graph.clone_config import clone_metric, is_float
from kito.graph.keras_internals import own_value
from kito.graph.read import is_readable
from kito.graph.same_value import captured
from kito.graph.stock import own_attributes

_SHARED = (bool, int, float, complex, str, bytes, type(None), type, ModuleType, BuiltinFunctionType)
_FRAMEWORKS = frozenset({"jax", "jaxlib", "keras", "tensorflow", "torch"})
_OF_EVERY_LAYER = (
    *("_allow_non_tensor_positional_args", "_auto_config", "_build_shapes_dict", "_called"),
    *("_call_context_args", "_call_has_context_arg", "_convert_input_args", "_input_spec"),
    *("_parent_path", "_path", "_remat_mode", "_supports_masking"),
    *("activity_regularizer", "supports_jit"),
)
"""The attributes of every layer that describe it; the others are records and registers of Keras."""


class NotCopied(KitoError):
    """A live layer cannot be copied; the message says why."""


Copies = dict[int, tuple[Any, Any]]
"""By the id of an object: the object, which keeps the id taken, and its copy."""


def copy_live(
    original: Any, name: str, copy_model: Callable[[Any], Copies], dtype: str | None = None
) -> Any:
    """A copy of a built layer, under another name, which shares no variable and no layer with it.

    Args:
        original: the layer. It is not changed.
        name: the name of the copy.
        copy_model: copies a functional or Sequential model; returns the copies of it and of the
            layers in it.
        dtype: replaces the original's dtype policy, and that of the layers in it, if those are
            float ones.

    Raises:
        NotCopied: an attribute cannot be copied, and cannot be shared either.
    """
    try:
        new = _Copier(copy_model, dtype).copy(original, name)
    except NotCopied:
        raise
    except Exception as error:  # whatever a custom class may raise
        raise NotCopied(f"{type(error).__name__}: {error}") from error
    new.name = name
    return new


class _Copier:
    """Copies objects, each once."""

    def __init__(self, copy_model: Callable[[Any], Copies], dtype: str | None) -> None:
        self.copy_model, self.dtype = copy_model, dtype
        self.copies: Copies = {}

    def copy(self, value: Any, where: str) -> Any:
        """The copy of an object; ``where`` names the object in messages."""
        if isinstance(value, (*_SHARED, keras.KerasTensor)):
            return value
        if id(value) in self.copies:
            return self.copies[id(value)][1]
        if isinstance(value, keras.Layer):
            return self._layer(value, where)
        if isinstance(value, keras.Variable):
            return self._register(value, self._variable(value))
        if isinstance(value, list | tuple | dict | set | frozenset):
            return self._container(value, where)
        if isinstance(value, MethodType):
            return MethodType(value.__func__, self.copy(value.__self__, where))
        if isinstance(value, functools.partial):
            parts = self.copy((value.args, value.keywords), where)
            return functools.partial(self.copy(value.func, where), *parts[0], **parts[1])
        return self._register(value, self._object(value, where))

    def _register(self, value: Any, new: Any) -> Any:
        self.copies[id(value)] = (value, new)
        return new

    def _layer(self, original: Any, where: str) -> Any:
        if is_readable(original):
            self.copies |= self.copy_model(original)
            return self.copies[id(original)][1]
        if type(original) is keras.Sequential:  # it was never built
            inside = [self.copy(x, f"{where}.{x.name}") for x in original.layers]
            return self._register(original, keras.Sequential(inside, name=original.name))
        kind: Any = type(original)
        new = self._register(original, kind.__new__(kind))
        base = keras.Model if isinstance(original, keras.Model) else keras.Layer
        changes = self.dtype is not None and is_float(original.compute_dtype)
        base.__init__(
            new,
            name=original.name,
            dtype=self.dtype if changes else original.dtype_policy,
            trainable=original.trainable,
            autocast=original.autocast,
        )
        # In the order in which Keras knows them, which is that of the weights.
        for variable in original._trainable_variables + original._non_trainable_variables:
            new._track_variable(self.copy(variable, where))
        for layer in original._layers:
            new._tracker.add_to_store("layers", self.copy(layer, f"{where}.{layer.name}"))
        own = vars(original)
        for name in _OF_EVERY_LAYER:
            if name in own:
                object.__setattr__(new, name, copy.copy(own[name]))
        for name, value in own_attributes(original).items():
            training = base is keras.Model and name in _of_training()
            if not training:
                copied = self.copy(value, f"{where}.{name}")
                if _is_tracked(original, value):
                    setattr(new, name, copied)
                else:
                    vars(new)[name] = copied
        if original.built:
            new.built = True
            new._post_build()
            new._lock_state()
        return new

    def _variable(self, original: Any) -> Any:
        changes = self.dtype is not None and is_float(original.dtype)
        dtype = self.dtype if changes else original.dtype
        new = keras.Variable(
            keras.ops.cast(keras.ops.copy(original.value), dtype),
            dtype=dtype,
            trainable=original.trainable,
            autocast=original._autocast,
            aggregation=original.aggregation,
            name=original.name,
        )
        new._path = original.path
        new.regularizer, new.constraint = original.regularizer, original.constraint
        return new

    def _container(self, value: Any, where: str) -> Any:
        if isinstance(value, dict):
            # Keras' own subclasses of dict and list are made again where they are assigned.
            empty = copy.copy(value) if type(value).__module__ == "collections" else {}
            empty.clear()
            new = self._register(value, empty)
            for key, x in value.items():
                new[self.copy(key, where)] = self.copy(x, f"{where}[{key!r:.40}]")
            return new
        if isinstance(value, list):
            new = self._register(value, [])
            new += [self.copy(x, f"{where}[{i}]") for i, x in enumerate(value)]
            return new
        items = [self.copy(x, where) for x in value]
        if hasattr(value, "_fields"):
            return type(value)(*items)
        kind: Any = next(x for x in (tuple, frozenset, set) if isinstance(value, x))
        return kind(items)

    def _object(self, value: Any, where: str) -> Any:
        if isinstance(value, keras.random.SeedGenerator):
            new = keras.random.SeedGenerator(seed=value.get_config()["seed"])
            new.state.assign(own_value(value.state.value))
            return new
        if isinstance(value, keras.Metric):
            return clone_metric(value)
        holds_state = any(isinstance(x, keras.Layer | keras.Variable) for x in _reachable(value))
        if type(value).__module__.split(".")[0] in _FRAMEWORKS:
            if holds_state or hasattr(value, "assign") or hasattr(value, "parameters"):
                raise NotCopied(
                    f"{where} ({type(value).__name__}) has state that Keras does not know"
                )
            return value  # a tensor, an initializer, ..
        if not holds_state:
            try:
                return copy.deepcopy(value)
            except Exception:  # a lock, a file: whatever cannot be copied
                return value
        if isinstance(value, FunctionType) or not hasattr(value, "__dict__"):
            raise NotCopied(f"{where} ({type(value).__name__}) refers to layers or variables")
        kind: Any = type(value)
        new = self._register(value, kind.__new__(kind))
        vars(new).update({k: self.copy(x, f"{where}.{k}") for k, x in vars(value).items()})
        return new


@functools.cache
def _of_training() -> frozenset[str]:
    """The attributes that a model gets when it is compiled and trained."""
    model = keras.Model(name="any")
    model.compile()
    return frozenset({*vars(model), "history", "stop_training"})


def _is_tracked(layer: Any, value: Any) -> bool:
    """Whether Keras knows an attribute as state of ``layer``: a variable, a layer, a list of them.

    A layer may hide its parent from Keras, say, which would come back to the layer without end.
    """
    stores = layer._tracker.stored_ids.values()
    return hasattr(value, "tracker") or any(id(value) in ids for ids in stores)


def _reachable(value: Any) -> Iterator[Any]:
    """Every object that ``value`` refers to, at any depth, up to layers and variables."""
    seen: dict[int, Any] = {}
    waiting = [value]
    while waiting:
        x = waiting.pop()
        if id(x) in seen or isinstance(x, (*_SHARED, np.ndarray)):
            continue
        seen[id(x)] = x
        yield x
        if isinstance(x, keras.Layer | keras.Variable):
            continue
        waiting += _referred(x)


def _referred(x: Any) -> list[Any]:
    """What an object refers to directly."""
    if isinstance(x, dict):
        return [*x.keys(), *x.values()]
    if isinstance(x, list | tuple | set | frozenset):
        return list(x)
    if isinstance(x, MethodType):
        return [x.__self__, x.__func__]
    if isinstance(x, FunctionType):
        return [
            *captured(x).values(),
            *(x.__defaults__ or ()),
            *(x.__kwdefaults__ or {}).values(),
            *vars(x).values(),
        ]
    if isinstance(x, functools.partial):
        return [x.func, x.args, x.keywords]
    slots = [getattr(x, name, None) for name in getattr(type(x), "__slots__", ())]
    return [*getattr(x, "__dict__", {}).values(), *slots]
