"""The pages and plots that are generated from the stored results, and whether they are in step.

- ``docs/benchmarks.md`` is generated whole;
- in ``README.md`` and every other page of ``docs``, what stands between
  ``<!-- benchmarks:TOPIC -->`` and ``<!-- /benchmarks:TOPIC -->``. Of several machines it is the
  first one's, in alphabetical order, or that of ``<!-- benchmarks:TOPIC MACHINE -->``;
- ``docs/plots/TOPIC-MACHINE.svg``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import ROOT, plots, topic
from benchmarks.store import RESULTS, Store, machines
from benchmarks.topic import Rows

ORDER = ("kito_table", "engines", "speed", "peers", "conversion")
"""The topics that come first on the page; the others follow in alphabetical order."""
PAGE = "docs/benchmarks.md"
PLOTS = "docs/plots"
HEAD = """\
# Benchmarks

<!-- This page is generated: python -m benchmarks pages -->

## What was not measured

**Little on a GPU.** Two networks were timed with JAX on an NVIDIA H200; nothing with TensorFlow or
PyTorch, and no engine such as TensorRT. Every other figure is of a CPU, and of the machine that is
named beside it. Nothing here says how much faster a network is on a phone or on another processor:
`kito bench MODEL` and the gate's `speedup` measure that where it matters, on yours.
Weights are random, with calibrated statistics: time does not depend on them, and accuracy in the
sense of the task cannot be measured with them.

## How it was measured

Each figure comes from a process of its own. Whatever is compared runs in **rounds**: in each
round every side runs once, in random order, and ratios are taken within the round. A figure is
the median over the rounds; an interval, in brackets, is that of 95 % by a block bootstrap. Times
of different machines, or of different days, are not comparable; ratios are. Above 1 is faster,
unless a column says otherwise.

`python -m benchmarks TOPIC` measures a topic, and `python -m benchmarks pages` writes this page
from [the stored results](../benchmarks/results); see [benchmarks](../benchmarks/README.md).
"""
_BLOCK = re.compile(
    r"(<!-- benchmarks:(?P<topic>\w+)(?: (?P<machine>[\w.-]+))? -->\n)(?P<body>.*?)"
    r"(<!-- /benchmarks:(?P=topic) -->)",
    re.DOTALL,
)


class Pages:
    """What the results say that the files should hold.

    Args:
        root: the repository.
        results: the stored results.
    """

    def __init__(self, root: Path = ROOT, results: Path = RESULTS) -> None:
        self._root = root
        self._results = results

    def texts(self) -> dict[Path, str]:
        """Every page, and its text as it should be."""
        documents = [self._root / "README.md", *sorted((self._root / "docs").glob("*.md"))]
        page = self._root / PAGE
        return {
            **{x: self._filled(x) for x in documents if x.exists() and x != page},
            page: self._page(),
        }

    def drawn(self) -> dict[Path, tuple[ModuleType, Rows]]:
        """Every plot, with its topic and rows."""
        return {
            self._plot(name, machine): (module, rows)
            for name, module, machine, rows in self._measured()
            if _has_plot(module, rows)
        }

    def stale(self) -> list[Path]:
        """The files that differ from what the results say, and plots without results."""
        texts = {x: text for x, text in self.texts().items() if _read(x) != text}
        drawn = self.drawn()
        old = [x for x, (_, rows) in drawn.items() if not plots.is_of(_read(x), rows)]
        return [*texts, *old, *self._orphans(drawn)]

    def write(self) -> list[Path]:
        """Bring them into step; return the files that changed.

        Raises:
            ModuleNotFoundError: there is a plot to draw, and no matplotlib.
        """
        changed = self.stale()
        texts, drawn = self.texts(), self.drawn()
        for path in changed:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path in texts:
                path.write_text(texts[path], encoding="utf-8")
            elif path in drawn:
                path.write_text(plots.svg(*drawn[path]), encoding="utf-8")
            else:
                path.unlink()
        return changed

    def _measured(self) -> Iterator[tuple[str, ModuleType, str, Rows]]:
        """(topic, its module, machine, rows) of all that is stored, in the order of the page."""
        for name in dict.fromkeys(x for x in (*ORDER, *topic.names()) if x in topic.names()):
            module = topic.load(name)
            for machine in machines(name, self._results):
                rows = Store(machine, self._results).rows(name, module.cells())
                if rows:
                    yield name, module, machine, rows

    def _page(self) -> str:
        parts = [HEAD]
        for name, group in groupby(self._measured(), key=lambda x: x[0]):
            module = topic.load(name)
            about = [module.ABOUT] if hasattr(module, "ABOUT") else []
            parts += ["", f"## {module.TITLE}", "", *about]
            if elsewhere := getattr(module, "ELSEWHERE", ""):
                parts += [f"The tables are in [{elsewhere.partition('#')[0]}]({elsewhere})."]
                continue
            for _, _, machine, rows in group:
                parts += ["", f"**{self._environment(name, machine)}**", "", module.table(rows)]
                if _has_plot(module, rows):
                    plot = self._plot(name, machine).relative_to(self._root / "docs").as_posix()
                    parts += ["", f"![{module.TITLE}]({plot})"]
                if failed := [
                    f"- `{cell}`: {x['error']}" for cell, x in rows.items() if "error" in x
                ]:
                    parts += ["", "Not measured:", "", *failed]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)) + "\n"

    def _environment(self, name: str, machine: str) -> str:
        """The machine, the versions and the dates of what is stored; several where they differ."""
        records = Store(machine, self._results).records(name).values()
        dates = sorted({record["date"] for record in records})
        span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        texts = dict.fromkeys(_told(record["environment"]) for record in records)
        return f"{'; or '.join(texts)}. {span}."

    def _filled(self, path: Path) -> str:
        def fill(match: re.Match[str]) -> str:
            name, machine = match["topic"], match["machine"]
            found = machine or next(iter(machines(name, self._results)), None)
            module = topic.load(name)
            rows = Store(found, self._results).rows(name, module.cells()) if found else {}
            if not rows:
                return match[0]
            text = getattr(module, "readme", module.table)(rows)
            return f"{match[1]}\n{text}\n\n{match[5]}"

        return _BLOCK.sub(fill, _read(path))

    def _plot(self, name: str, machine: str) -> Path:
        return self._root / PLOTS / f"{name}-{machine}.svg"

    def _orphans(self, drawn: Mapping[Path, Any]) -> list[Path]:
        return [x for x in sorted((self._root / PLOTS).glob("*.svg")) if x not in drawn]


def _has_plot(module: ModuleType, rows: Rows) -> bool:
    return hasattr(module, "plot") and bool(topic.measured(rows))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _told(environment: Mapping[str, Any]) -> str:
    packages = environment.get("packages", {})
    versions = [f"{name} {version}" for name, version in packages.items()]
    hardware = [environment["cpu"]]
    if "cores" in environment:
        hardware += [f"{environment['cores']} cores"]
    if environment.get("memory_gb"):
        hardware += [f"{environment['memory_gb']:.0f} GB"]
    return ", ".join([*hardware, f"Python {environment['python']}", *versions])
