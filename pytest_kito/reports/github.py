"""GitHub Actions: the summary of a step, and annotations on the lines of kito.yaml.

Names of layers, messages and paths are data that others wrote. In the summary every character that
means something to Markdown or HTML becomes a character reference, which means nothing to either; in
an annotation what would end a line or a property is encoded as GitHub's own toolkit does it.
See https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kito.errors import KitoError
from pytest_kito.reports import cells, sentences
from pytest_kito.reports.results import Finding, ModelResult, Results

LIMIT = 1024 * 1024
"""Bytes that the summary of one step may have; a larger one is not shown at all."""
_NOTE = 300
"""Bytes that are kept free for saying what is left out."""
_MESSAGE = 4000
_HEAD = (
    "| | model | layers | norms | parameters | difference | speed-up | result |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | --- | --- |"
)
_SIGN = {"passed": "✅", "failed": "❌", "skipped": "⚠️"}


# ---- the summary -------------------------------------------------------------------------------


def write_summary(results: Results, path: Path) -> None:
    """Append the summary to the file that ``GITHUB_STEP_SUMMARY`` names.

    Raises:
        KitoError: what the step wrote there before leaves no room.
        OSError: it cannot be written.
    """
    with path.open("ab") as file:
        text = summary(results, LIMIT - file.tell())
        file.write(text.encode("utf-8", "replace"))


def summary(results: Results, limit: int = LIMIT) -> str:
    """The summary in GitHub's Markdown, of at most ``limit`` bytes in UTF-8: whole models only.

    Raises:
        KitoError: not even the first lines fit.
    """
    if not results.models:
        return ""
    models = results.models
    opening = _opening(results)
    rows = _as_many(["\n".join(_rows(model)) for model in models], limit // 2 - _size(opening))
    blocks = [opening, "\n".join([_HEAD, *rows])]
    if len(rows) < len(models):
        blocks.append(f"{len(models) - len(rows)} more models have no room in this table.")
    if remarks := _as_many(_remarks(results), limit // 4):
        blocks.append("\n".join(remarks))
    spent = sum(_size(block) + 2 for block in blocks)
    details = [text for model in models if (text := _details(model))]
    shown = _as_many(details, limit - _NOTE - spent)
    blocks += shown
    if len(shown) < len(details):
        blocks.append(
            f"{len(details) - len(shown)} more models are not shown: the summary of a step holds "
            "1 MiB. The JSON report has them all."
        )
    text = "\n\n".join(blocks) + "\n\n"
    if _size(text) > limit:
        raise KitoError("the summary of a step holds 1 MiB, and this step has filled it already")
    return text


def escape(text: str) -> str:
    """Text that is itself in Markdown and HTML, on one line, in a table too."""
    return "<br>".join(
        " ".join("".join(map(_character, word)) for word in line.split())
        for line in text.splitlines()
    )


def _character(x: str) -> str:
    if not x.isprintable():
        return "\ufffd"
    # Nothing beyond ASCII means anything to Markdown.
    return x if x.isalnum() or not x.isascii() or x in ",;/%" else f"&#{ord(x)};"


def _opening(results: Results) -> str:
    passed = sum(model.passed for model in results.models)
    sign = _SIGN["passed" if results.passed else "failed"]
    lines = [f"## {sign} pytest-kito: {passed} of {len(results.models)} models passed"]
    machine = sentences.machine(results)
    if results.interrupted:
        lines.append("The session was interrupted: what follows is what it had found.")
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
    speedups = [cells.speedup(x) for x in model.of("speedup")] or [""]
    result = cells.result(model)
    sign = _SIGN[result.partition(":")[0]]
    figures = (*cells.reduction(model), cells.difference(model), speedups[0], result)
    yield _row(sign, escape(model.name), *map(escape, figures))
    for speedup in speedups[1:]:
        yield _row("", "", "", "", "", "", escape(speedup), "")


def _row(*columns: str) -> str:
    return f"| {' | '.join(columns)} |"


def _remarks(results: Results) -> list[str]:
    """Lines on skips, and warnings; what failed is told with its model."""
    lines = [
        f"- **skipped** {escape(sentences.names(findings))}: {escape(reason)}"
        for reason, findings in sentences.told(results.findings, "skipped").items()
    ]
    lines += [
        f"- **warning** {escape(sentences.names([finding]))}: {escape(warning)}"
        for finding in results.findings
        for warning in finding.warnings
    ]
    return lines


def _details(model: ModelResult) -> str:
    """What failed or is no plain pass, and, folded up, what was kept and why."""
    lines = []
    for outcome, sign in (("failed", "❌"), ("passed", "⚠️")):
        for sentence, findings in sentences.told(model.findings, outcome).items():
            text = findings[0].message or sentence
            lines.append(f"- {sign} **{escape(sentences.names(findings))}**: {_clipped(text)}")
    parts = ["\n".join(lines)] if lines else []
    kept = sentences.kept(model)
    if kept:
        title = escape(f"{model.name}: {len(kept)} kept as they are")
        listed = "\n".join(f"- **{escape(layer)}**: {escape(reason)}" for layer, reason in kept)
        # Markdown between HTML tags needs empty lines around it.
        parts.append(f"<details><summary>{title}</summary>\n\n{listed}\n\n</details>")
    return "\n\n".join(parts)


def _clipped(message: str) -> str:
    return escape(message if len(message) <= _MESSAGE else f"{message[:_MESSAGE]}…")


def _as_many(texts: Sequence[str], room: int) -> list[str]:
    """The first of them that fit into so many bytes, with two more bytes between them."""
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
    """A workflow command for each failed check, and for each that was skipped with a warning.

    Args:
        results: what the session found.
        file: kito.yaml; its name is relative to ``GITHUB_WORKSPACE``, where it is inside.
        environ: the environment of a job.
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
    written = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{kind} {written}::{_data(data)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def disarm(text: str) -> str:
    """Text for the log of a job: none of its lines is a workflow command, whatever it quotes."""
    return re.sub(r"(^|[\r\n])(\s*)::", r"\1\2: :", text)


def in_actions(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a job of GitHub Actions."""
    return environ.get("GITHUB_ACTIONS") == "true"
