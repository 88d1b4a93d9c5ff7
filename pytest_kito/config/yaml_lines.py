"""YAML read into plain values, with the line of every key.

The reader is PyYAML's safe loader with three changes. Plain scalars are typed as YAML 1.2 types
them, as editors do: ``1e-4`` is a number and ``no`` is text (the safe loader alone reads YAML 1.1:
text, and false). Keys are always text. And what a hostile or broken file can do is bounded: tags,
duplicate keys, deep nesting and aliases that expand without end are problems with a line, never an
exception.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from pytest_kito.config.problems import KeyPath, Problem, quoted

MAX_DEPTH = 30
"""Levels of nesting; the deepest key of a kito.yaml is on level 6, the rest is for ``kwargs``."""

MAX_VALUES = 100_000
"""Values in the file after its aliases are expanded."""

_PREFIX = "tag:yaml.org,2002:"
_SCALARS = ("null", "bool", "int", "float", "str")


class _Loader(yaml.SafeLoader):
    """The safe loader, with YAML 1.2's scalars, and with bounds while it composes."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML keeps it on the class

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node; PyYAML recurses through here, so depth can be counted here."""
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH or self.nodes > MAX_VALUES:
            # Stop while composing: what follows may be a million brackets.
            raise _TooMuch(self.get_mark().line + 1, self.depth > MAX_DEPTH)
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


class _TooMuch(Exception):
    """The file nests too deep, or holds too many values."""

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
    """What a YAML text holds."""

    value: Any
    """Dicts with text keys, lists, text, numbers, booleans, None; None if it cannot be read."""
    lines: Mapping[KeyPath, int]
    """The line, from 1, of each key and of each list element, by its path."""
    problems: tuple[Problem, ...]


def read_yaml(text: str) -> YamlFile:
    """Read one YAML document; whatever is wrong with it is in ``problems``, nothing is raised."""
    reader = _Reader()
    value = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            value = reader.value(node, ())
    except _TooMuch as error:
        return YamlFile(None, {}, (error.problem,))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"not YAML: the character {chr(error.character)!r} is not allowed; remove it"
        return YamlFile(None, {}, (Problem(line, (), what),))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (column {mark.column + 1})" if mark else ""
        said = " ".join(filter(None, (error.context, error.problem)))
        what = f"not YAML: {said}{where}; check indentation, quotes and brackets there"
        return YamlFile(None, {}, (Problem(mark.line + 1 if mark else 1, (), what),))
    return YamlFile(value, reader.lines, tuple(reader.problems))


class _Reader:
    """Turns composed nodes into values, and notes lines and problems."""

    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []
        self._values = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._values += 1
        if len(path) > MAX_DEPTH or self._values > MAX_VALUES:
            raise _TooMuch(_line(node), len(path) > MAX_DEPTH)
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
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, path, "a key that is a list or a mapping; keys are text")
                continue
            key: str = key_node.value
            at = (*path, key)
            if key in found:
                first = self.lines[at]
                self._problem(key_node, at, f"the key is there already, on line {first}; keep one")
                continue
            self.lines[at] = _line(key_node)
            found[key] = self.value(value_node, at)
            if _is_empty(value_node):
                # `speedup:` with its keys commented out must not read as "no speed-up wanted".
                self._problem(key_node, at, "has no value; write one, {} for no keys, or null")
        return found

    def _problem(self, node: yaml.Node, path: KeyPath, what: str) -> None:
        self.problems.append(Problem(_line(node), path, what))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == "" and node.style is None


def _scalar(tag: str, text: str) -> Any:
    """The value of a scalar; ValueError or KeyError where an explicit tag and its text disagree."""
    if tag == "str":
        return text
    if tag == "null":
        return None
    if tag == "bool":
        return {"true": True, "false": False}[text.lower()]
    if tag == "int":
        if len(text) > 40:
            raise ValueError("no number that anybody means")
        return int(text, 0 if text[:2] in ("0x", "0o") else 10)
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
