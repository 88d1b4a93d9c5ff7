"""Make docs/models.md of the rows that ``test_foreign.py`` wrote.

KITO_FOREIGN_TABLE=rows.jsonl pytest --nightly tests/foreign
python tests/foreign/table.py rows.jsonl
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
HEAD = """# Models of other packages

What `kito.reduce()` makes of {count} models that other people wrote: every vision model and most of
the text and multi-modal models of [keras-hub](https://github.com/keras-team/keras-hub), a small
model of each family of [kimm](https://github.com/james77777778/keras-image-models), and every model
of `keras.applications`. All have random weights with random gammas. Those of keras-hub, and the
widest of `keras.applications`, have fewer and narrower layers than the published ones, of the same
kinds and in the same order.

Each reduced model is compared with the original, and the original in float64 is the judge.
*Difference* is the largest difference of an output, relative to that output's largest value.
*Opened* counts the layers whose inside became part of the reduced model; *shared* counts those that
could not be copied, which both models use. The original is checked to be untouched: its weights,
configuration, summary, outputs, saved file, and Keras' record of its calls.
"""
TAIL = """
## Make this page

```bash
pip install '.[test,foreign]'
rm -f rows.jsonl
KITO_FOREIGN_TABLE=rows.jsonl pytest --nightly tests/foreign -n 2 --dist worksteal
python tests/foreign/table.py rows.jsonl
```
"""
COLUMNS = (
    "model",
    "layers",
    "BatchNormalization",
    "opened",
    "shared",
    "difference",
    "verdict",
    "note",
)


def page(rows: list[dict[str, Any]]) -> str:
    """The page of these rows; of a model that is there twice, the last."""
    newest = {row["order"]: row for row in rows}
    ordered = [newest[order] for order in sorted(newest)]
    parts = [HEAD.format(count=len(ordered))]
    for package in dict.fromkeys(row["package"] for row in ordered):
        parts.append(f"\n## {package}\n\n" + _line(COLUMNS) + _line(["---"] * len(COLUMNS)))
        parts += [_line(_cells(row)) for row in ordered if row["package"] == package]
    return "".join(parts) + TAIL


def _cells(row: dict[str, Any]) -> list[str]:
    notes = "; ".join(x for x in (row["reason"], row["refused"], row["directly"], row["note"]) if x)
    if "layers" not in row:
        return [row["name"], *[""] * 5, "refused", notes]
    return [
        row["name"],
        " → ".join(map(str, row["layers"])),
        " → ".join(map(str, row["batchnorms"])),
        str(row["opened"]),
        str(row["shared"]),
        f"{row['difference']:.1e}",
        _verdict(row),
        notes,
    ]


def _verdict(row: dict[str, Any]) -> str:
    if not row["passed"]:
        return "**differs**"
    return "within rounding" if row["within_rounding"] else "same"


def _line(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |\n"


if __name__ == "__main__":
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    PAGE.write_text(page([json.loads(line) for line in lines]), encoding="utf-8")
