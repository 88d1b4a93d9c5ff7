"""GitHub Actions: the summary of a step, and annotations on the lines of kito.yaml.

Names of layers, messages and paths come from others, so both outputs escape them. The summary
replaces each character that is special in Markdown or HTML by a character reference. Annotations
encode the characters that would end a line or a property, as GitHub's own toolkit does.
See https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kito.errors import KitoError, counted
from pytest_kito.reports import cells, sentences
from pytest_kito.reports.results import Finding, ModelResult, Results

LIMIT = 1024 * 1024
"""The most bytes that the summary of one step may have; GitHub shows no larger one at all."""
_NOTE = 300
"""Bytes reserved for the note on models that are left out."""
_MESSAGE = 4000
"""The most characters of one message."""
_HEAD = f"| | {' | '.join(cells.COLUMNS)} |\n| --- | --- | ---: | ---: | ---: | ---: | --- | --- |"
_SIGN = {"passed": "✅", "failed": "❌", "skipped": "⚠️", "not run": "⚠️"}


# ---- the summary -------------------------------------------------------------------------------


def write_summary(results: Results, path: Path) -> None:
    """Append the summary to the file that ``GITHUB_STEP_SUMMARY`` names.

    Raises:
        KitoError: the step has written so much there that no room is left.
        OSError: the file cannot be written.
    """
    with path.open("ab") as file:
        text = summary(results, LIMIT - file.tell())
        file.write(text.encode("utf-8", "replace"))


def summary(results: Results, limit: int = LIMIT) -> str:
    """The summary in GitHub's Markdown; models that do not fit are left out as a whole.

    Args:
        results: what the session found.
        limit: the most bytes of the text in UTF-8.

    Raises:
        KitoError: not even the first lines fit.
    """
    if not results.models:
        return ""
    models = results.models
    opening = _opening(results)
    rows = _fitting(["\n".join(_rows(model)) for model in models], limit // 2 - _size(opening))
    blocks = [opening, "\n".join([_HEAD, *rows])]
    if len(rows) < len(models):
        left = counted(len(models) - len(rows), "more model does not", "more models do not")
        blocks.append(f"{left} fit into this table.")
    if notes := _fitting(_notes(results), limit // 4):
        blocks.append("\n".join(notes))
    used = sum(_size(block) + 2 for block in blocks)
    details = [text for model in models if (text := _details(model))]
    shown = _fitting(details, limit - _NOTE - used)
    blocks += shown
    if len(shown) < len(details):
        left = counted(len(details) - len(shown), "more model is not", "more models are not")
        blocks.append(
            f"{left} shown: the summary of a step holds 1 MiB. The JSON report has all of them."
        )
    text = "\n\n".join(blocks) + "\n\n"
    if _size(text) > limit:
        raise KitoError("the summary of a step holds 1 MiB, and this step has filled it already")
    return text


def escape(text: str) -> str:
    """The text escaped for Markdown and HTML, on one line, so that it also fits a table's cell."""
    return "<br>".join(
        " ".join("".join(map(_character, word)) for word in line.split())
        for line in text.splitlines()
    )


def _character(character: str) -> str:
    if not character.isprintable():
        return "\ufffd"
    # Outside of ASCII no character is special in Markdown.
    if character.isalnum() or not character.isascii() or character in ",;/%":
        return character
    return f"&#{ord(character)};"


def _opening(results: Results) -> str:
    passed = sum(model.passed for model in results.models)
    sign = _SIGN["passed" if results.passed else "failed"]
    lines = [f"## {sign} pytest-kito: {passed} of {counted(len(results.models), 'model')} passed"]
    machine = sentences.machine(results)
    if results.interrupted:
        lines.append("The session ended early: these are the results until then.")
    if machine is not None:
        environment = results.environment or {}
        extra = ", ".join(
            f"{name} {environment[key]}"
            for name, key in (("driver", "driver"), ("threads", "threads"), ("Python", "python"))
            if environment.get(key) is not None
        )
        lines.append(f"**Environment**: {escape(f'{machine}, {extra}')}")
    lines.append(f"**Time**: {escape(sentences.phases(results))}")
    if results.gpu_missing:
        lines.append(f"**Note**: {escape(sentences.NO_GPU)}")
    return "\n\n".join(lines)


def _rows(model: ModelResult) -> Iterator[str]:
    sign = _SIGN[cells.result(model).partition(":")[0]]
    for row in cells.rows(model):
        yield _row(sign, *map(escape, row))
        sign = ""


def _row(*columns: str) -> str:
    return f"| {' | '.join(columns)} |"


def _notes(results: Results) -> list[str]:
    """Lines for what was skipped, and for warnings. Failures are in the details of the models."""
    lines = [
        f"- **skipped** {escape(sentences.names(findings))}: {escape(reason)}"
        for reason, findings in sentences.by_sentence(results.findings, "skipped").items()
    ]
    lines += [
        f"- **warning** {escape(sentences.names([finding]))}: {escape(warning)}"
        for finding in results.findings
        for warning in finding.warnings
    ]
    return lines


def _details(model: ModelResult) -> str:
    """Failures, passes to explain, metrics; collapsed, what was kept or shared, and why."""
    lines = []
    for outcome, sign in (("failed", "❌"), ("passed", "⚠️")):
        for sentence, findings in sentences.by_sentence(model.findings, outcome).items():
            text = findings[0].message or sentence
            lines.append(f"- {sign} **{escape(sentences.names(findings))}**: {_clipped(text)}")
    lines += [f"- {escape(f'{model.name}: {line}')}" for line in sentences.metrics(model)]
    parts = ["\n".join(lines)] if lines else []
    for number, entries in sentences.left_alone(model).items():
        title = escape(f"{model.name}: {number}")
        listed = "\n".join(f"- **{escape(layer)}**: {escape(reason)}" for layer, reason in entries)
        # GitHub reads Markdown between HTML tags only with empty lines around it.
        parts.append(f"<details><summary>{title}</summary>\n\n{listed}\n\n</details>")
    return "\n\n".join(parts)


def _clipped(message: str) -> str:
    return escape(message if len(message) <= _MESSAGE else f"{message[:_MESSAGE]}…")


def _fitting(texts: Sequence[str], room: int) -> list[str]:
    """The first texts that fit into ``room`` bytes, two bytes between them included."""
    fitting = []
    for text in texts:
        room -= _size(text) + 2
        if room < 0:
            break
        fitting.append(text)
    return fitting


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


# ---- annotations -------------------------------------------------------------------------------


def workflow_commands(results: Results, file: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Workflow commands: an error per failed check; warnings, and passes to explain, as warnings.

    Args:
        results: what the session found.
        file: kito.yaml; shown relative to ``GITHUB_WORKSPACE`` if it is inside.
        environ: the environment variables of the job.
    """
    workspace = environ.get("GITHUB_WORKSPACE")
    shown = results.config
    if workspace and file.is_relative_to(workspace):
        shown = file.relative_to(workspace).as_posix()
    for model in results.models:
        for finding in model.findings:
            where = {
                "file": shown,
                "line": str(model.declared.line),
                "title": f"{model.name}: {finding.check}",
            }
            for kind, message in _messages(finding):
                yield _command(kind, where, message)


def _messages(finding: Finding) -> Iterator[tuple[str, str]]:
    if finding.outcome == "failed":
        yield "error", finding.message or "failed"
    elif finding.outcome == "passed" and (sentence := sentences.verdict(finding)):
        yield "warning", sentence
    for warning in finding.warnings:
        yield "warning", warning


def _command(kind: str, properties: Mapping[str, str], data: str) -> str:
    encoded = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{kind} {encoded}::{_data(data)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def disarm(text: str) -> str:
    """The text for a job's log, changed so that the runner takes no line for a command."""
    return re.sub(r"(^|[\r\n])(\s*)::", r"\1\2: :", text)


def in_actions(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a job of GitHub Actions."""
    return environ.get("GITHUB_ACTIONS") == "true"
