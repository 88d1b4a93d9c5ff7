"""The generated parts of the site: the Python interface, the command line, options, and files.

A page says ``<!-- generated: PART -->`` where a part belongs. Everything is read from the code when
the site is built, so a reference cannot disagree with it.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_PLACE = re.compile(r"<!-- generated: ([a-z-]+) -->")
_ROLE = re.compile(r":(?:class|func|data|meth|mod|attr):<code>~?(\w[\w.]*)</code>")
_DRAWINGS = ("kito.drawing.network.describe", "kito.drawing.svg.draw")
"""Public beside the names of ``kito`` itself."""


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write the generated parts of a page."""
    return _PLACE.sub(lambda place: generated(place[1]), markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let the names that docstrings refer to lead there, if they are on the page."""

    def link(role: re.Match[str]) -> str:
        code = f"<code>{role[1]}</code>"
        return f'<a href="#{role[1]}">{code}</a>' if f'id="{role[1]}"' in html else code

    return _ROLE.sub(link, html)


def generated(part: str) -> str:
    """A generated part, in Markdown.

    Raises:
        KeyError: there is no such part.
    """
    return "\n".join(_PARTS[part]())


def _functions() -> Iterator[str]:
    import kito

    names = [name for name in kito.__all__ if name[0].islower()]
    yield from (f"::: kito.{name}\n" for name in names)
    yield from (f"::: {name}\n" for name in _DRAWINGS)


def _classes() -> Iterator[str]:
    import kito

    yield from (f"::: kito.{name}\n" for name in kito.__all__ if name[0].isupper())


def _fixtures() -> Iterator[str]:
    import pytest_kito.plugin

    for name in pytest_kito.plugin.__all__:
        yield f"::: pytest_kito.session.fixtures.{name}\n"


def _command_line() -> Iterator[str]:
    from typer.main import get_command

    from pytest_kito.cli.app import app

    group: Any = get_command(app)
    yield from _command("kito", group)
    for name, command in group.commands.items():
        yield f"## kito {name} {{#{name}}}\n"
        yield from _command(f"kito {name}", command)


def _command(name: str, command: Any) -> Iterator[str]:
    """What ``--help`` says of a command."""
    context = command.make_context(name, [], resilient_parsing=True)
    yield f"```text\n{name} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    yield f"{inspect.cleandoc(command.help)}\n"
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    yield from _table(
        ["argument or option", "meaning"],
        ([_code(words), _text(meaning)] for words, meaning in filter(None, records)),
    )


class _Options:
    """Stands in for pytest's parser and its group of options, and notes what it is given."""

    def __init__(self) -> None:
        self.options: list[tuple[str, dict[str, Any]]] = []
        self.ini: list[tuple[str, dict[str, Any]]] = []

    def getgroup(self, name: str, description: str) -> _Options:
        return self

    def addoption(self, name: str, **more: Any) -> None:
        self.options.append((name, more))

    def addini(self, name: str, text: str, **more: Any) -> None:
        self.ini.append((name, more))


def _pytest_options() -> Iterator[str]:
    from pytest_kito.session.options import add_options

    found: Any = _Options()
    add_options(found)
    rows = []
    for (name, option), (key, value) in zip(found.options, found.ini, strict=True):
        words = f"{name} {option.get('metavar', '')}".strip()
        default = _code(json.dumps(value["default"])) if value["default"] != "" else ""
        rows.append([_code(words), _code(key), default, _text(option["help"])])
    yield from _table(["option", "in the ini file", "default", "meaning"], rows)


def _kito_yaml() -> Iterator[str]:
    yield from _schema("config/kito.schema.json")


def _report() -> Iterator[str]:
    yield from _schema("reports/report.schema.json")


def _schema(file: str) -> Iterator[str]:
    """A JSON schema as tables of keys, one for each object that has a name in it."""
    schema = json.loads(resources.files("pytest_kito").joinpath(file).read_text("utf-8"))
    places: dict[str, str] = {}
    sections = [("", schema)]

    def named(reference: str, path: str) -> str:
        """A link to a part of the schema, which is explained where it is met first."""
        if reference not in places:
            places[reference] = path
            sections.append((path, schema["$defs"][reference.rpartition("/")[2]]))
        return f"[{places[reference]}](#{_anchor(places[reference])})"

    for path, node in sections:
        if path:
            yield f"## {path} {{#{_anchor(path)}}}\n"
        if "description" in node:
            yield f"{_text(node['description'])}\n"
        rows = list(_rows(node, path, "", named))
        yield from _table(["key", "type", "default", "meaning"], rows)


def _rows(
    node: dict[str, Any], path: str, prefix: str, named: Callable[[str, str], str]
) -> Iterator[list[str]]:
    required = node.get("required", [])
    # The required ones first: what they name is explained where they are.
    for key in sorted(node["properties"], key=lambda key: key not in required):
        value = node["properties"][key]
        default = _code(json.dumps(value["default"])) if "default" in value else ""
        yield [
            _code(prefix + key),
            _type(value, f"{path}.{prefix}{key}".strip("."), named),
            "required" if key in required else default,
            _text(value.get("description", "")),
        ]
        inner, more = (value, "") if "properties" in value else (value.get("items", {}), "[]")
        if "properties" in inner:
            yield from _rows(inner, path, f"{prefix}{key}{more}.", named)


def _type(value: dict[str, Any], path: str, named: Callable[[str, str], str]) -> str:
    """What a value may be, in words."""
    if "$ref" in value:
        return named(value["$ref"], path)
    if "const" in value:
        return _code(json.dumps(value["const"]))
    if "enum" in value:
        return ", ".join(_code(json.dumps(x)) for x in value["enum"])
    for several in ("anyOf", "oneOf"):
        if several in value:
            return " or ".join(_type(x, path, named) for x in value[several])
    kinds = value.get("type", "anything")
    words = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    if "array" in kinds and "items" in value:
        words += f" of {_type(value['items'], f'{path}[]', named)}"
    if isinstance(value.get("additionalProperties"), dict):
        words += f" of {_type(value['additionalProperties'], f'{path}.NAME', named)}"
    limits = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
        "minItems": "items: at least",
        "maxItems": "items: at most",
        "minProperties": "keys: at least",
    }
    found = [f"{word} {value[limit]}" for limit, word in limits.items() if limit in value]
    return ", ".join([words, *found])


def _anchor(path: str) -> str:
    return re.sub(r"\W+", "-", path).strip("-").lower()


def _table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    yield "\n".join(lines) + "\n"


def _code(text: str) -> str:
    return f"`{text}`"


def _text(text: str) -> str:
    """Plain words for a cell, which may break after a comma; what is between backticks stays."""
    parts = " ".join(text.split()).replace("``", "`").split("`")
    escaped = (re.sub(r"([\\|*_<>\[\]])", r"\\\1", part) for part in parts[::2])
    parts[::2] = [re.sub(r",(?=\w)", ",<wbr>", part) for part in escaped]
    return "`".join(parts)


_PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "functions": _functions,
    "classes": _classes,
    "fixtures": _fixtures,
    "command-line": _command_line,
    "pytest-options": _pytest_options,
    "kito-yaml": _kito_yaml,
    "report": _report,
}
