"""YAML read into plain values, with the line of every key.

The reader is PyYAML's safe loader with three changes:

- Plain scalars have the types of YAML 1.2, as in editors: ``1e-4`` is a number and ``no`` is text.
  (The safe loader alone reads YAML 1.1, where they are text and false.)
- Keys are always text.
- Hostile and broken files are bounded: tags, duplicate keys, deep nesting and aliases that expand
  without end are reported as problems with a line, never raised.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from pytest_kito.config.problems import KeyPath, Problem, quoted

MAX_DEPTH = 30
"""Most levels of nesting; kito.yaml's own keys need 6, the rest is for ``kwargs``."""

MAX_VALUES = 100_000
"""Most values in the file, aliases expanded."""

_PREFIX = "tag:yaml.org,2002:"
_SCALARS = ("null", "bool", "int", "float", "str")


class _Loader(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2, and with limits on depth and size."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML keeps it on the class

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node, and count depth and nodes: PyYAML calls this for every node."""
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH or self.nodes > MAX_VALUES:
            # Stop at once: a million more brackets may follow.
            raise _TooLarge(self.get_mark().line + 1, self.depth > MAX_DEPTH)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_PREFIX + _tag, re.compile(rf"(?:{_pattern})\Z"), _first)


class _TooLarge(Exception):
    """The file is nested too deeply, or holds too many values."""

    def __init__(self, line: int, too_deep: bool) -> None:
        super().__init__()
        self.problem = Problem(
            line,
            (),
            f"nested deeper than {MAX_DEPTH} levels; write it flatter"
            if too_deep
            else f"more than {MAX_VALUES} values, aliases expanded; write fewer, or use 'defaults'",
        )


@dataclass(frozen=True)
class YamlFile:
    """The content of a YAML text."""

    value: Any
    """Dicts with text keys, lists, text, numbers, booleans, None; None for an unreadable file."""
    lines: Mapping[KeyPath, int]
    """The line, from 1, of each key and of each list element, by its path."""
    problems: tuple[Problem, ...]


def read_yaml(text: str) -> YamlFile:
    """Read one YAML document; errors are in ``problems``, nothing is raised."""
    reader = _Reader()
    value = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            value = reader.value(node, ())
    except _TooLarge as error:
        return YamlFile(None, {}, (error.problem,))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"not YAML: the character {chr(error.character)!r} is not allowed; remove it"
        return YamlFile(None, {}, (Problem(line, (), what),))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (column {mark.column + 1})" if mark else ""
        reason = " ".join(filter(None, (error.context, error.problem)))
        what = f"not YAML: {reason}{where}; check indentation, quotes and brackets there"
        return YamlFile(None, {}, (Problem(mark.line + 1 if mark else 1, (), what),))
    return YamlFile(value, reader.lines, tuple(reader.problems))


class _Reader:
    """Converts composed nodes to values, and collects lines and problems."""

    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []
        self._values = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._values += 1
        if len(path) > MAX_DEPTH or self._values > MAX_VALUES:
            raise _TooLarge(_line(node), len(path) > MAX_DEPTH)
        tag = node.tag.removeprefix(_PREFIX)
        if isinstance(node, yaml.MappingNode) and tag == "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and tag == "seq":
            for index, element in enumerate(node.value):
                self.lines[*path, index] = _line(element)
            return [self.value(element, (*path, i)) for i, element in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and tag in _SCALARS:
            try:
                return _scalar(tag, node.value)
            except (KeyError, ValueError):
                self._problem(node, path, f"{quoted(node.value)} cannot be read as {tag}")
                return None
        shown = node.tag.replace(_PREFIX, "!!")
        self._problem(node, path, f"the tag {quoted(shown)} is not allowed; write a plain value")
        return None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, path, "a key that is a list or a mapping; keys are text")
                continue
            key: str = key_node.value
            at = (*path, key)
            if key in mapping:
                first = self.lines[at]
                self._problem(key_node, at, f"the key is on line {first} already; keep one")
                continue
            self.lines[at] = _line(key_node)
            mapping[key] = self.value(value_node, at)
            if _is_empty(value_node):
                # `speedup:` with its keys commented out must not mean "do not measure it".
                self._problem(key_node, at, "has no value; write one, {} for no keys, or null")
        return mapping

    def _problem(self, node: yaml.Node, path: KeyPath, what: str) -> None:
        self.problems.append(Problem(_line(node), path, what))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == "" and node.style is None


def _scalar(tag: str, text: str) -> Any:
    """The value of a scalar.

    Raises:
        ValueError: the text does not fit its explicit tag, or is a number of more than 40 digits.
        KeyError: the text is not a boolean, despite its tag.
    """
    if tag == "str":
        return text
    if tag == "null":
        return None
    if tag == "bool":
        return {"true": True, "false": False}[text.lower()]
    if tag == "int":
        if len(text) > 40:
            raise ValueError("more digits than any value of kito.yaml needs")
        return int(text, 0 if text[:2] in ("0x", "0o") else 10)
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
