"""A model from its source: an import path of a callable, or a file."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from kito.errors import KitoError, describe, nearest, shown
from kito.graph.keras_patches import limited_weights
from kito.graph.torch_model import is_torch_module
from kito.runtime.import_path import MODEL_FILES, import_object, importable, is_import_path
from kito.runtime.model_file import ModelFile, classes, read_model_file

_FROM_KERAS_2 = (
    "save it there with model.save('model.h5') and name that file as source, or build it with "
    "'import keras' (Keras 3)"
)
_NAME_CLASSES = "add it to the dict that 'custom_objects' names"
_IMPORTED = ("keras_hub", "keras_cv", "keras_nlp")
"""The packages that Keras imports by itself where a file names one of their modules."""
_UNSAVED = 64_000_000
"""Bytes of weights that a model may create besides four times those that its file holds."""
_LONGEST = 400
"""Characters that are quoted of a message of Keras."""


def load_model(
    source: str,
    *,
    base: Path,
    kwargs: Mapping[str, Any] | None = None,
    custom_objects: str | None = None,
) -> keras.Model:
    """Build or load a model.

    Args:
        source: the import path of a callable that returns a model (``package.module:name`` or
            dotted), or a ``.keras`` or ``.h5`` file.
        base: the directory that a file is relative to. Its modules can be imported by a callable,
            and by the ``custom_objects`` of a file: a file alone, which may come from anywhere,
            runs no code that lies beside it, whatever modules it names.
        kwargs: keyword arguments for the callable; ignored for a file.
        custom_objects: the import path of a dict of custom objects by name, to load a file with.

    Returns:
        The model as the callable returned it, even if it is subclassed or not built.

    Raises:
        KitoError: the source is neither a callable nor a file, is missing, cannot be imported,
            called or loaded, or gives something other than a Keras 3 model.
    """
    if source.endswith(MODEL_FILES):
        # The classes of a repository may import more of it only when they are used.
        with contextlib.nullcontext() if custom_objects is None else importable(base):
            found = _load(source, base, custom_objects)
    elif is_import_path(source):
        found = call_source(source, base, kwargs or {})
    else:
        raise KitoError(
            f"source {source!r} is neither package.module:callable nor a "
            f"{' or '.join(MODEL_FILES)} file"
        )
    if not isinstance(found, keras.Model):
        raise KitoError(f"source {source!r} gave {_what_else(found)}")
    return found


def call_source(source: str, base: Path, kwargs: Mapping[str, Any]) -> Any:
    """What the callable of an import path returns.

    Args:
        source: ``package.module:name`` or dotted.
        base: a directory whose modules can be imported.
        kwargs: keyword arguments for the callable.

    Raises:
        KitoError: it cannot be imported, is no callable that makes models, does not take these
            arguments, or raises.
    """
    # A factory may import from its own repository only when it is called.
    with importable(base):
        return _call(import_object(source, base=base), source, kwargs)


def _call(target: Any, source: str, kwargs: Mapping[str, Any]) -> Any:
    # A model is callable too, but calling it would run it.
    if not callable(target) or isinstance(target, keras.Model) or is_torch_module(target):
        raise KitoError(
            f"source {source!r} is {_a(target)}, not a callable that returns a model; "
            "name a function or a class"
        )
    _check_kwargs(target, source, kwargs)
    try:
        return target(**kwargs)
    except (Exception, SystemExit) as error:
        raise KitoError(f"source {source!r} raised {describe(error)}") from error


def _check_kwargs(target: Callable[..., Any], source: str, kwargs: Mapping[str, Any]) -> None:
    """Refuse wrong ``kwargs`` here, so that a TypeError of the call comes from inside it."""
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return  # a builtin without a signature: the call itself will raise
    try:
        signature.bind(**kwargs)
    except TypeError as error:
        names = [p.name for p in signature.parameters.values() if p.kind not in _NOT_BY_NAME]
        hint = "".join(nearest(key, names) for key in kwargs if key not in names)
        takes = f"takes {', '.join(names)}" if names else "takes none"
        raise KitoError(
            f"source {source!r} cannot be called with these kwargs: {error}; {hint}it {takes}"
        ) from error


_NOT_BY_NAME = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
)


def _load(source: str, base: Path, custom_objects: str | None) -> Any:
    path = existing_file(source, base, "source")
    objects: Any = {} if custom_objects is None else import_object(custom_objects, base=base)
    if not isinstance(objects, Mapping):
        raise KitoError(
            f"custom_objects {custom_objects!r} is {_a(objects)}; it must be a dict of the "
            "custom classes and functions by name"
        )
    content: ModelFile | None = None
    try:
        with warnings.catch_warnings(record=True) as raised, safe_to_build(path) as content:
            found = _built(path, dict(objects), content.compiled)
    except Exception as error:
        why = _reason(error)
        raise KitoError(
            f"source {source!r} cannot be loaded as a Keras model: {why}; "
            f"{_advice(content, objects, why)}"
        ) from error
    for one in raised:  # what warns about a file that is refused is of no interest
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return found


@contextlib.contextmanager
def safe_to_build(path: Path) -> Iterator[ModelFile]:
    """Inside the ``with``, Keras may load a model file: it holds what it claims, and not much more.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is broken, or holds or asks for far more than its size allows; the latter is
            raised where Keras creates a layer's weights.
    """
    content = read_model_file(path)
    with limited_weights(_UNSAVED + 4 * content.weight_bytes):
        yield content


def _reason(error: Exception) -> str:
    """What an error of Keras says, without the configuration that it quotes, in one short line."""
    text = " ".join(str(error).split()).rpartition("Exception encountered: ")[2]
    return shown(f"{type(error).__name__}: {text.partition(' Full object config:')[0]}", _LONGEST)


def _built(path: Path, objects: dict[str, Any], compiled: bool) -> Any:
    try:
        return keras.saving.load_model(path, custom_objects=objects)
    except Exception as error:
        if not compiled:
            raise
        # A missing loss or metric does not matter for inference.
        try:
            return keras.saving.load_model(path, custom_objects=objects, compile=False)
        except Exception:
            raise error from None


def _advice(content: ModelFile | None, objects: Mapping[str, Any], why: str) -> str:
    """Advice about a file that Keras 3 cannot load, and what Keras says about it."""
    again = "save the model again, or get the file again"
    if content is None:
        return again
    if content.keras_version.startswith("2."):
        return f"it was written by Keras {shown(content.keras_version, 20)}: {_FROM_KERAS_2}"
    for module, name in classes(content.config):
        package = module.partition(".")[0]
        if package in ("keras", "builtins") or name in objects:
            continue
        if package in _IMPORTED and importlib.util.find_spec(package) is None:
            return f"it needs the package {package}, which is not installed: install it"
        if package not in _IMPORTED and keras.saving.get_registered_object(name) is None:
            return (
                f"it needs '{shown(name)}' of the module '{shown(module)}', which is imported for "
                f"no file: declare it in kito.yaml, and {_NAME_CLASSES}"
            )
    return f"to have the class found, {_NAME_CLASSES}" if "Could not locate" in why else again


def existing_file(name: str, base: Path, what: str) -> Path:
    """The path of a file relative to ``base``; ``what`` says in the message what it is for.

    Raises:
        KitoError: there is no such file.
    """
    path = base / name
    if not path.is_file():
        raise KitoError(f"{what} {name!r}: there is no such file in {str(base)!r}")
    return path


def _a(value: Any) -> str:
    """The type of a value, for a message."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "None" if value is None else f"an object of type {type(value).__name__}"


def _what_else(value: Any) -> str:
    """A value that is not a Keras 3 model, and what to do about it, for a message."""
    if value is None:
        return "None, not a model; does the function end with 'return model'?"
    if is_torch_module(value):
        return (
            f"a PyTorch module, {type(value).__name__}: declare it in kito.yaml with framework: "
            "torch, or reduce it with kito.reduce_torch_module"
        )
    roots = {base.__module__.partition(".")[0] for base in type(value).__mro__}
    if "tf_keras" in roots:
        return f"a model made by tf_keras (Keras 2): {_FROM_KERAS_2}"
    if isinstance(value, keras.Layer):
        return (
            f"a layer, {type(value).__name__}, not a model; wrap it: "
            "keras.Sequential([keras.Input(shape), layer])"
        )
    return f"{_a(value)}, not a keras.Model; return the model itself"
