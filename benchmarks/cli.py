"""The command line: ``python -m benchmarks TOPIC... [options]``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import typer
from typer.core import TyperGroup

from benchmarks import ROOT, runner, topic
from benchmarks.store import RESULTS, Store, load_average, machine_name

BUSY = 0.5
"""A load average that says that something else runs on the machine."""
QUICK_RESULTS = ROOT / "build" / "benchmarks"
"""Where ``--quick`` stores its results, which nobody should publish."""


class _TopicsFirst(TyperGroup):
    """Takes what is no command for the topics to measure."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, ["run", *args] if args and args[0] not in known else args)


app = typer.Typer(
    name="python -m benchmarks",
    help="Measure TOPIC..., or 'all' of them, and store the results.\n\n"
    f"Topics: {', '.join(topic.names())}.\n\n"
    "What is stored is not measured again, so an interrupted run goes on where it was.",
    cls=_TopicsFirst,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Exit codes: 0 done, 1 a cell failed or a page is out of step, 2 wrong use.
    """
    try:
        app(args)
    except KeyboardInterrupt:
        print("benchmarks: interrupted; the same command goes on from here", file=sys.stderr)
        raise SystemExit(130) from None


@app.command()
def run(
    names: Annotated[list[str], typer.Argument(metavar="TOPIC...", help="Topics, or 'all'.")],
    only: Annotated[
        list[str] | None, typer.Option(help="Only cells with this in their name (repeatable).")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what is stored.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few rounds: does it work? Stored in build/.")
    ] = False,
    results: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where results are stored.")
    ] = None,
    machine: Annotated[
        str | None, typer.Option(metavar="NAME", help="The machine's name in the results.")
    ] = None,
) -> None:
    """Measure topics (the default command)."""
    chosen = topic.names() if names == ["all"] else tuple(dict.fromkeys(names))
    if unknown := [name for name in chosen if name not in topic.names()]:
        raise typer.BadParameter(
            f"there is no topic {', '.join(unknown)}; topics: {', '.join(topic.names())}"
        )
    failed = 0
    for name in chosen:
        module = topic.load(name)
        own = getattr(module, "MACHINE", None)
        store = Store(
            machine or own or machine_name(), results or (QUICK_RESULTS if quick else RESULTS)
        )
        cells = [x for x in module.cells() if not only or any(part in x for part in only)]
        stored = {} if again else store.records(name)
        missing = [cell for cell in cells if cell not in stored]
        failed += _measure(name, module, missing, store, quick)
        _say(f"{name}: {len(missing)} measured, {len(cells) - len(missing)} stored before")
        typer.echo(f"\n## {module.TITLE}\n\n{module.table(store.rows(name, cells))}\n")
    if failed:
        raise typer.Exit(1)


def _measure(name: str, module: ModuleType, cells: list[str], store: Store, quick: bool) -> int:
    """Measure and store these cells; return how many failed."""
    if cells and hasattr(module, "prepare"):
        module.prepare()
    load = load_average()
    if cells and load is not None and load > BUSY and not quick:
        _say(f"benchmarks: the machine is busy (load {load}), so intervals will be wide")
    failed, start = 0, time.perf_counter()
    for number, cell in enumerate(cells, start=1):
        limit = getattr(module, "LIMIT_S", topic.LIMIT_S)
        record = runner.run_cell(name, cell, limit_s=limit, quick=quick)
        store.save(name, cell, record)
        failed += "error" in record
        left = (time.perf_counter() - start) / number * (len(cells) - number)
        _say(
            f"{name} {number}/{len(cells)} {cell}: {record.get('error', 'done')} "
            f"({record['seconds']:.0f} s; about {left / 60:.0f} min left)"
        )
    return failed


@app.command()
def pages(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where a file is out of step.")
    ] = False,
) -> None:
    """Write docs/benchmarks.md, the plots and the marked blocks from the stored results."""
    from benchmarks.pages import Pages

    files = Pages().stale() if check else Pages().write()
    for path in files:
        _say(f"{path.relative_to(ROOT)}: {'out of step with the results' if check else 'written'}")
    if check and files:
        _say("benchmarks: run python -m benchmarks pages, and commit what it writes")
        raise typer.Exit(1)


@app.command(hidden=True)
def cell(name: str, key: str) -> None:
    """Measure one cell in this process, and print it as JSON on the last line."""
    result: dict[str, Any] = topic.load(name).measure(key)
    text = json.dumps(_plain(result), allow_nan=False)
    sys.stdout.flush()
    typer.echo(f"\n{text}")


def _plain(value: Any) -> Any:
    """The value for JSON, with numbers of six digits: more say nothing, and make files long."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
