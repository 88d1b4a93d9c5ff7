"""The documents and the code are in step."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml
from kito_models import randomize

from benchmarks.store import Store
from benchmarks.topics import verdicts
from kito.export.formats.names import FORMAT_NAMES, FORMATS, FormatInfo
from kito.rewrite.passes.names import DEFAULT_PASSES, PASSES
from pytest_kito.config.metrics import MetricSpec
from pytest_kito.config.schema import (
    EngineSpec,
    EquivalenceSpec,
    InputsSpec,
    KitoFile,
    ModelKeys,
    ReductionSpec,
    SpeedupSpec,
    ToleranceSpec,
)
from pytest_kito.config.section import Section

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("examples/*/*.md")]


def test_readme_sets_up_a_fresh_machine_with_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"```bash\n(python3 -m venv .+)\n```", text)
    assert [command.rpartition("&& ")[2] for command in commands] == [
        ".venv/bin/pytest --kito-check kito.yaml",
        ".venv/bin/pytest -n 2 --dist worksteal",
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith("https://")]
    assert [link for link in local if not (document.parent / link).exists()] == []


SECTIONS = [
    ("## Top level", KitoFile),
    ("## A model", ModelKeys),
    ("### inputs", InputsSpec),
    ("### tolerance", ToleranceSpec),
    ("### equivalence", EquivalenceSpec),
    ("### reduction", ReductionSpec),
    ("### speedup", SpeedupSpec),
    ("#### engines", EngineSpec),
    ("### metrics", MetricSpec),
]


def table_of_keys(heading: str) -> list[tuple[list[str], str]]:
    """The keys of each row of a table in the reference of kito.yaml, and what follows them."""
    text = (ROOT / "docs" / "kito-yaml.md").read_text(encoding="utf-8")
    body = re.split(r"^##", text.split(f"\n{heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| (`.+?) \|(.*)\|$", body, re.MULTILINE)
    return [(re.findall(r"`(\w+)`", keys), rest) for keys, rest in rows]


@pytest.mark.parametrize("heading, section", SECTIONS)
def test_reference_names_exactly_the_keys_of(heading: str, section: type[Section]) -> None:
    documented = {key for keys, _ in table_of_keys(heading) for key in keys}
    assert documented == {field.alias or name for name, field in section.model_fields.items()}


@pytest.mark.parametrize("heading, section", SECTIONS[1:])
def test_reference_has_the_defaults_of(heading: str, section: type[Section]) -> None:
    fields = {field.alias or name: field for name, field in section.model_fields.items()}
    for keys, rest in table_of_keys(heading):
        cell = rest.split(" | ")[1].strip()
        if re.fullmatch(r"`[^`]+`(, `[^`]+`)*", cell):  # a value, not words
            written = [yaml.safe_load(value) for value in re.findall(r"`([^`]+)`", cell)]
            actual = [fields[key].get_default(call_default_factory=True) for key in keys]
            assert written == [list(x) if isinstance(x, tuple) else x for x in actual], keys


def test_the_keys_of_the_report_are_those_of_its_schema() -> None:
    text = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    schema = (ROOT / "pytest_kito" / "reports" / "report.schema.json").read_text(encoding="utf-8")
    known = set(re.findall(r'"(\w+)": \{', schema))
    body = text.split("\n## JSON\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.+?`) \|", body, re.MULTILINE)
    assert len(cells) > 5
    assert {x for cell in cells for x in re.findall(r"\w+", cell)} <= known


def test_readme_names_exactly_the_keys_of_a_model() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    body = text.split("\n## kito.yaml\n")[1].split("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE))
    assert documented == {field.alias or name for name, field in ModelKeys.model_fields.items()}


def test_the_worked_example_of_register_works() -> None:
    text = (ROOT / "docs" / "rewrites.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.+?)```", text, re.DOTALL)
    exec(compile(code, "rewrites.md", "exec"), {"__name__": "rewrites"})


def test_the_lines_for_those_who_come_from_kito_work() -> None:
    text = (ROOT / "docs" / "from-kito.md").read_text(encoding="utf-8")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
        ]
    )
    names: dict[str, Any] = {"model": randomize(model)}
    for code in re.findall(r"```python\n(.+?)```", text, re.DOTALL):
        exec(compile(code, "from-kito.md", "exec"), names)
    assert names["model_reduced"].count_params() < names["model"].count_params()
    assert names["reduction"].batchnorms == (1, 0)


def test_the_worked_examples_of_metrics_work() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    metrics: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.+?)```", text, re.DOTALL):
        exec(compile(code, "metrics.md", "exec"), metrics)
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    labelled = {"image": scores, "label": np.array([1, 1, 1])}
    assert metrics["accuracy"](lambda x: x, labelled) == pytest.approx(2 / 3)
    masks = {"image": np.tile(scores, (40, 1, 1)), "mask": np.tile([0, 0, 1], (40, 1))}
    assert metrics["iou"](lambda x: x, masks) == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_every_pass_is_explained() -> None:
    text = (ROOT / "docs" / "rewrites.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `(\w+)` \|", text.split("\n## ")[0], re.MULTILINE)) == PASSES


def test_readme_explains_the_default_passes() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    body = text.split("\n## What is exact, and what is refused\n")[1].split("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE)) == DEFAULT_PASSES


@pytest.mark.parametrize("document", ["README.md", "docs/artifacts.md"])
def test_the_table_of_formats_is_complete(document: str) -> None:
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    rows = [[x.strip(" `") for x in line.split("|")][1:] for line in lines if "| `NAME." in line]
    documented = [
        (name, file, engine.partition(",")[0].partition("'")[0], extra, same)
        for name, file, engine, extra, same, *_ in rows
    ]
    assert documented == [
        (x.name, f"NAME{x.suffix}", x.engine, _extra(x), _yes(x.deterministic))
        for x in FORMAT_NAMES.values()
    ]


def _extra(info: FormatInfo) -> str:
    return info.name if info.modules or info.frameworks == ("torch",) else ""


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def test_the_reference_of_kito_yaml_names_every_format() -> None:
    text = (ROOT / "docs" / "kito-yaml.md").read_text(encoding="utf-8")
    [row] = re.findall(r"^\| `artifacts` \|.*out of ((?:`\w+`(?:, )?)+)", text, re.MULTILINE)
    assert tuple(re.findall(r"`(\w+)`", row)) == FORMATS


def test_readme_names_exactly_the_options(pytestconfig: pytest.Config) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    options = {name for name in vars(pytestconfig.option) if name.startswith("kito_")}
    documented = re.findall(r"^\| `--(kito-[a-z-]+)", text, re.MULTILINE)
    assert {name.replace("-", "_") for name in documented} == options


def test_the_shares_of_wrong_verdicts_are_those_of_the_benchmark() -> None:
    rows = Store(verdicts.MACHINE).rows("verdicts", verdicts.cells()).values()
    assert len(rows) == len(verdicts.cells())
    wrong = [share for row in rows for share in verdicts.wrong_of(row)]
    assert max(wrong) < 0.02, "as docs/timing.md says"
    assert min(verdicts.right_of(row)[1.2] for row in rows) >= 0.9
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"at most {max(wrong):.1%}".replace("%", " %") in " ".join(readme.split())
