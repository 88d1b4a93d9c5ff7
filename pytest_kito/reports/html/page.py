"""Writes the HTML report: one file with its styles and its script, which loads nothing.

Names come from others. The templates escape every text, and what does not print is shown as its
number, so no text hides or reorders another. The page forbids the browser to load anything and to
run any script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kito.errors import KitoError, printable, shown
from kito.export.files import to_json, write_text
from kito.runtime.bounded import read_json
from pytest_kito.reports.html import model as models
from pytest_kito.reports.html import words
from pytest_kito.reports.html.extra import require_extra
from pytest_kito.reports.html.history import History
from pytest_kito.reports.read import ModelPart, ReportFile, typed_report

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_BYTES = 5_000_000
"""What the page may be with its drawings: it is to open at once, also on a phone."""
_DRAWING = re.compile(r"<!--drawing (\d+)-->")
"""The place of a model's drawing. Names are escaped, so none can be taken for one."""
_TOO_LARGE = (
    '<p class="quiet small">The drawing would make this page too large: <code>kito explain '
    "--html</code> writes it to a page of its own.</p>"
)
_ENVIRONMENT = (
    ("device_name", "device"),
    ("device", "kind"),
    ("driver", "driver"),
    ("cpu", "processor"),
    ("threads", "threads"),
    ("keras", "Keras"),
    ("backend", "backend"),
    ("backend_version", "backend's version"),
    ("python", "Python"),
)


def write_page(report: Mapping[str, Any], path: Path, history: History | None = None) -> None:
    """Write the HTML report atomically; missing folders are created.

    Args:
        report: the data of a JSON report, also of a merged one.
        path: the file.
        history: the past of the models.

    Raises:
        KitoError: a figure that is read does not have its type, or the extra is missing.
        OSError: the file cannot be written.
    """
    text = page(report, history)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def page(report: Mapping[str, Any], history: History | None = None) -> str:
    """The HTML report as text.

    Args:
        report: the data of a JSON report, also of a merged one.
        history: the past of the models.

    Raises:
        KitoError: a figure that is read does not have its type, or the extra is missing.
    """
    require_extra("the HTML report")
    data = _typed(report)
    past = history or History()
    drawings = [_drawing(x) for x in data.models]
    views = models.model_views(data, past, list(map(bool, drawings)))
    text = (
        _templates()
        .get_template("page.html.j2")
        .render(
            report=data,
            models=views,
            counts=Counter(view.status for view in views),
            facts=[_facts(x) for x in _environments(data)],
            warnings=past.warnings,
            style=_asset("page.css") + (_drawing_style() if any(drawings) else ""),
            script=_asset("page.js"),
            script_digest=_digest("page.js"),
        )
    )
    return _drawn(text, drawings)


def _typed(report: Mapping[str, Any]) -> ReportFile:
    try:
        # As it is in a file: what is not finite is null, a tuple is a list.
        return typed_report(read_json(to_json(report).encode()))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = shown(".".join(map(str, first["loc"])) or "the whole", 100)
        raise KitoError(f"the report cannot be shown as HTML: {where}: {first['msg']}") from error
    except ValueError as error:
        raise KitoError(f"the report cannot be shown as HTML: {shown(error)}") from error


def _drawing(model: ModelPart) -> str:
    """The network before and after, as HTML; empty where the report does not have it."""
    if model.network is None:
        return ""
    try:
        draw = importlib.import_module("kito.drawing.svg").draw
    except ModuleNotFoundError:
        return ""
    try:
        return str(draw(model.network, style=False))
    except (ValueError, TypeError, LookupError, AttributeError):
        # The data is of a file, which another version may have written.
        return ""


def _drawing_style() -> str:
    from kito.drawing.style import STYLE

    return STYLE


def _drawn(text: str, drawings: Sequence[str]) -> str:
    """The page with its drawings, the smallest first, as far as it does not become too large."""
    room, shown = MOST_BYTES - len(text.encode()), {}
    for index in sorted(range(len(drawings)), key=lambda i: len(drawings[i])):
        room -= len(drawings[index].encode())
        shown[index] = drawings[index] if room >= 0 else _TOO_LARGE
    return _DRAWING.sub(lambda place: shown[int(place[1])], text)


def _environments(report: ReportFile) -> list[dict[str, Any]]:
    """The different machines of a report, which are several in a merged one."""
    listed = report.environments or [report.environment]
    return list({to_json(x): x for x in listed if x is not None}.values())


def _facts(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, str(environment[key]))
        for key, name in _ENVIRONMENT
        if environment.get(key) is not None
    ]


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pytest_kito.reports.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    for function in (
        *(words.scientific, words.ratio, words.interval, words.milliseconds, words.digits),
        *(words.number, words.percent, words.size, words.short, words.seconds, words.moment),
        words.timing,
    ):
        environment.filters[function.__name__] = function
    return environment


def _harmless(value: object) -> object:
    """What a template shows of a value: nothing that does not print reaches the page."""
    # Markup is a str, too: what the templates and the drawing made is left as it is.
    return printable(value) if type(value) is str else value


@cache
def _asset(name: str) -> str:
    folder = files("pytest_kito.reports.html") / "templates"
    return (folder / name).read_text("utf-8").strip()


def _digest(name: str) -> str:
    """The SHA-256 of a script as the page's own policy names it."""
    return base64.b64encode(hashlib.sha256(_asset(name).encode()).digest()).decode()
