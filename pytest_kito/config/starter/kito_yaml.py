"""The text of a first kito.yaml, with comments that say what else can be declared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kito.errors import KitoError, counted, shown
from pytest_kito.config.names import avoid_reserved
from pytest_kito.config.starter.builders import Builder, Sources
from pytest_kito.config.starter.find import FoundModel

_HEAD = """\
# The models of this repository. `pytest --kito-check` reduces each one, proves that its outputs are
# the same, measures how much faster it is, and writes the files that it proved.
#
# `kito explain SOURCE` says what is reduced in a model, and why the rest stays. For an editor that
# completes this file, run `kito schema > kito.schema.json` and write this line at the top:
# `# yaml-language-server: $schema=kito.schema.json`
version: 1

defaults:                        # of every model; what a model writes itself goes first
  inputs: {samples: 32}          # random ones in 0..1; a model's own `data: FILE.npz` tests more
  speedup: {device: cpu, batch_size: 1}     # measured only; `min: 1.2` requires that much
  # tolerance: {rtol: 1.0e-5}    # written here it is strict; the default is 1e-4 of the scale
  # reduction: {max_batchnorms: 0}          # no BatchNormalization may remain
  # artifacts: [keras, onnx]     # the formats to write, out of keras, saved_model, onnx, ...

models:
"""
_OFFERED = """
  # These look as if they built a model. Uncomment those that are to be checked.
"""
_MOST_OFFERED = 20
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
"""What YAML does not take for text."""
_OPEN, _OPEN_IMAGE = 64, 96
"""What is written for a size that a model leaves open: for one of an input, for several."""


@dataclass(frozen=True)
class Starter:
    """A kito.yaml.

    Attributes:
        text: its text.
        models: the names of the models that it declares.
        modules: those of them that are PyTorch modules.
        offered: the import paths of the functions that it offers in comments.
    """

    text: str
    models: tuple[str, ...]
    modules: tuple[str, ...]
    offered: tuple[str, ...]


def kito_yaml(models: Sequence[FoundModel], sources: Sources) -> Starter:
    """Declare the model files; offer the functions.

    Functions that need no arguments are declared where there is no file: a kito.yaml declares at
    least one model.

    Raises:
        KitoError: there is nothing to declare, or a name of a file is not UTF-8.
    """
    declared = [] if models else [x for x in sources.builders if not x.required]
    if not models and not declared:
        raise KitoError(_nothing(sources.builders))
    offered = [x for x in sources.builders if x not in declared]
    taken: set[str] = set()
    names = [_name(x, taken) for x in (*map(_stem, models), *(x.name for x in declared))]
    files = zip(models, names[: len(models)], strict=True)
    functions = list(zip(declared, names[len(models) :], strict=True))
    entries = ["".join(_of_file(x, name, sources.custom_objects)) for x, name in files]
    entries += ["".join(_of_builder(x, name)) for x, name in functions]
    text = _HEAD + "\n".join(entries)
    shown_ones = offered[:_MOST_OFFERED]
    if shown_ones:
        comments = ("".join(_of_builder(x, _name(x.name, taken))) for x in shown_ones)
        text += _OFFERED + "  #\n".join(map(_commented, comments))
    if more := len(offered) - len(shown_ones):
        text += f"  # and {counted(more, 'more function')}\n"
    modules = tuple(name for builder, name in functions if builder.framework == "torch")
    return Starter(text, tuple(names), modules, tuple(x.source for x in shown_ones))


def _nothing(builders: Sequence[Builder]) -> str:
    if builders:
        first = builders[0]
        return (
            f"there are no .keras or .h5 files here, and {first.source} ({first.where}) needs "
            f"{', '.join(first.required)}: declare it yourself, with source: and kwargs:"
        )
    return (
        "there are no .keras or .h5 files here, and no functions build_... that need no arguments: "
        "save a model first, or declare one by an import path, source: package.module:callable"
    )


# ---- entries ------------------------------------------------------------------------------------


def _of_file(model: FoundModel, name: str, custom_objects: Sequence[str]) -> Iterator[str]:
    yield f"  {_quoted(name)}:\n    source: {_quoted(model.source)}\n"
    if model.unreadable:
        yield f"    # It cannot be read here: {model.unreadable}\n"
    if model.custom:
        known = custom_objects[0] if len(custom_objects) == 1 else None
        classes = ", ".join(model.custom[:5]) + (", ..." if len(model.custom) > 5 else "")
        yield f"    # It needs {classes}: in a dict of classes by name.\n"
        yield f"    {'' if known else '# '}custom_objects: {known or 'package.module:NAME'}\n"
    yield from _inputs(model)


def _inputs(model: FoundModel) -> Iterator[str]:
    if model.data is not None and model.data_fits:
        yield f"    inputs: {{data: {_quoted(model.data)}}}     # compared on these samples\n"
        return
    texts = [name for name, x in model.inputs.items() if x.dtype == "string"]
    if texts:
        names = ", ".join(shown(x, 60) for x in texts)
        yield f"    # It takes strings, {names}: give it data, an .npz file of arrays by name.\n"
    shapes = {name: x.shape for name, x in model.inputs.items() if None in x.shape and name}
    if shapes:
        yield "    # The model leaves sizes open: write those that it is used with.\n"
        yield f"    inputs: {{shape: {{{', '.join(_shapes(shapes))}}}}}\n"
    if model.data is not None:
        needs = f", with one array for each of {', '.join(shown(x, 60) for x in model.inputs)}"
        yield f"    # inputs: {{data: {_quoted(model.data)}}}     # samples of your own"
        yield f"{needs if any(model.inputs) else ''}\n"


def _shapes(shapes: Mapping[str, Sequence[int | None]]) -> Iterator[str]:
    for name, sizes in shapes.items():
        guess = _OPEN_IMAGE if sum(size is None for size in sizes) > 1 else _OPEN
        filled = ", ".join(str(guess if size is None else size) for size in sizes)
        yield f"{_quoted(name)}: [{filled}]"


def _of_builder(builder: Builder, name: str) -> Iterator[str]:
    yield f"  {_quoted(name)}:     # {builder.where}\n    source: {builder.source}\n"
    if builder.framework != "keras":
        yield f"    framework: {builder.framework}\n"
    if builder.required:
        given = ", ".join(f"{argument}: ..." for argument in builder.required)
        yield f"    kwargs: {{{given}}}\n"
    if builder.framework == "torch":
        yield "    weights: random              # calibrated; or the file of a state_dict\n"
        yield "    # inputs: {shape: {image: [3, 224, 224]}}     # by the arguments of forward\n"
    else:
        yield "    weights: random              # calibrated; or a file that load_weights reads\n"


def _commented(entry: str) -> str:
    return "".join(f"  # {line[2:]}" for line in entry.splitlines(keepends=True))


# ---- names and texts ----------------------------------------------------------------------------


def _stem(model: FoundModel) -> str:
    return model.source.rpartition("/")[2].rpartition(".")[0]


def _name(stem: str, names: set[str]) -> str:
    """A new valid name from the stem of a file; its lower case form is added to ``names``."""
    base = avoid_reserved(re.sub(r"[^A-Za-z0-9_.-]+", "_", stem).lstrip(".-")[:90] or "model")
    name, number = base, 2
    while name.lower() in names:
        name, number = f"{base}_{number}", number + 1
    names.add(name.lower())
    return name


def _quoted(source: str) -> str:
    """A text as a YAML string.

    Raises:
        KitoError: it is not UTF-8, as a kito.yaml is.
    """
    if re.fullmatch(r"[a-z_][\w./-]*", source, re.ASCII | re.I) and source.lower() not in _WORDS:
        return source
    try:
        source.encode()
    except UnicodeEncodeError:
        raise KitoError(
            f"the file name '{shown(source)}' is not UTF-8, so no kito.yaml can hold it; rename it"
        ) from None
    return '"' + "".join(map(_in_quotes, source)) + '"'


def _in_quotes(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if char.isprintable() else f"\\U{ord(char):08x}"
