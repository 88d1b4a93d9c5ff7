"""action.yml, the reusable workflow, their documentation and the plugin agree."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from action.acting import ROOT
from kito.export.formats.names import FORMAT_NAMES

ACTION = yaml.safe_load((ROOT / "action" / "action.yml").read_text(encoding="utf-8"))
PUBLISH = yaml.safe_load((ROOT / "action" / "publish" / "action.yml").read_text(encoding="utf-8"))
DOCUMENTED = {"Inputs of the action": ACTION, "Inputs of the publishing action": PUBLISH}
README = (ROOT / "action" / "README.md").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
TO_PASTE = re.findall(r"```yaml[^\n]*\n(name: .+?)```", README + TUTORIAL, re.DOTALL)
"""The workflows of the documents."""
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = sorted((ROOT / "action").glob("*.sh"))
OWN = ("shard", "cache", "report", "artifacts-dir", "upload-report", "github-token", "history")
"""Inputs of the action that the workflow sets itself; it has no step that could fetch a history."""


def load(path: Path) -> dict[Any, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def table(heading: str) -> dict[str, tuple[str, ...]]:
    """The rows of the table under a heading, by their first cell."""
    body = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in body.splitlines() if line.startswith("| `")]
    return {first.strip("`"): tuple(rest) for first, *rest in rows}


@pytest.mark.parametrize("heading", DOCUMENTED)
def test_the_document_names_exactly_the_inputs_with_their_defaults(heading: str) -> None:
    rows, declares = table(heading), DOCUMENTED[heading]["inputs"]
    assert list(rows) == list(declares)
    for name, (_, default) in rows.items():
        declared = declares[name]["default"]
        literal = re.fullmatch(r"`(.+)`", default)
        if literal:
            assert str(declared) == literal[1], name
        else:
            assert declared in ("", "${{ github.token }}"), name


def test_the_document_names_exactly_the_outputs() -> None:
    assert list(table("Outputs of the action")) == list(ACTION["outputs"])


def test_the_reusable_workflow_takes_what_the_action_takes() -> None:
    inputs = load(ROOT / ".github" / "workflows" / "kito-check.yml")[True]["workflow_call"][
        "inputs"
    ]
    own = table("Many models: the reusable workflow")
    assert set(inputs) == (set(ACTION["inputs"]) - set(OWN)) | set(own)
    for name, spec in inputs.items():
        if name not in own:
            default = ACTION["inputs"][name]["default"]
            assert str(spec["default"]).lower() == default, name


def test_the_interface_is_what_was_promised() -> None:
    promised = """config models python-version install extras requirements device require-gpu
        pytest-args artifacts-dir report upload-artifacts publish release-tag attest github-token"""
    assert set(promised.split()) <= set(ACTION["inputs"])
    assert set(ACTION["outputs"]) == {
        "passed",
        "report",
        "html",
        "artifacts-dir",
        "manifest",
        "summary",
    }


@pytest.mark.parametrize("action", DOCUMENTED.values(), ids=["gate", "publish"])
def test_every_input_reaches_a_step(action: dict[str, Any]) -> None:
    text = yaml.safe_dump(action["runs"])
    for name in action["inputs"]:
        assert re.search(rf"inputs\.{name}\b(?!-)", text), name


def test_options_of_the_gate_are_options_of_the_plugin(pytestconfig: pytest.Config) -> None:
    text = (ROOT / "action" / "gate.sh").read_text()
    used = set(re.findall(r"--kito-[a-z-]+", text))
    assert len(used) == 10
    for option in used:
        assert pytestconfig.getoption(option.removeprefix("--").replace("-", "_"), 0) != 0, option


def test_commands_of_the_scripts_are_commands_of_kito() -> None:
    from pytest_kito.cli.app import app

    known = {
        (command.name or command.callback.__name__).replace("_", "-")
        for command in app.registered_commands
        if command.callback is not None
    }
    texts = [path.read_text() for path in SCRIPTS]
    used = {
        name for text in texts for name in re.findall(r"\bkito ([a-z]+(?:-[a-z]+)*) [\"-]", text)
    }
    assert {"plan", "merge", "merge-artifacts", "summary", "verify"} <= used | {"merge-artifacts"}
    assert used <= known


def test_extras_are_those_of_the_package() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = set(tomllib.load(file)["project"]["optional-dependencies"])
    # Those of this repository.
    extras -= {"benchmarks", "dev", "docs", "examples", "foreign", "test"}
    validated = re.search(r"EXTRAS='(.+)'", (ROOT / "action" / "validate.sh").read_text())
    assert validated is not None
    assert set(validated[1].split()) == extras
    assert set(re.findall(r"`(\w+)`", table("Inputs of the action")["extras"][0])) == extras
    described = ACTION["inputs"]["extras"]["description"].split(": ")[1].rstrip(".")
    assert set(described.split(", ")) == extras


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for action in DOCUMENTED.values():
        for step in action["runs"]["steps"]:
            yield action["name"], step
    for path in WORKFLOWS:
        for job in load(path)["jobs"].values():
            for step in job.get("steps", ()):
                yield path.name, step


def test_no_expression_is_part_of_a_script() -> None:
    assert [name for name, step in steps() if "${{" in step.get("run", "")] == []


def test_one_commit_for_each_third_party_action() -> None:
    actions = (ROOT / "action").rglob("action.yml")
    text = "".join(path.read_text() for path in [*WORKFLOWS, *actions]) + README + TUTORIAL
    uses = re.findall(r"uses: ([\w.-]+/[\w./-]+)@(\S+)(.*)", text)
    foreign = {(name, *rest) for name, *rest in uses if not name.startswith("OWNER/")}
    for name, ref, comment in foreign:
        assert re.fullmatch(r"[0-9a-f]{40}", ref), name
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), name
    assert len(foreign) == len({name for name, *_ in foreign})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_have_least_permissions_and_limits(path: Path) -> None:
    workflow = load(path)
    called = "workflow_call" in workflow[True]
    # Called, its permissions are the caller's; every job but the one that publishes has its own.
    assert called or workflow["permissions"] == {}
    assert called or workflow["concurrency"]
    for name, job in workflow["jobs"].items():
        assert "timeout-minutes" in job, name
        assert "permissions" in job or (called and name == "merge"), name


def test_the_workflows_to_paste_are_workflows() -> None:
    assert len(TO_PASTE) == 6  # five in the action's document, one in the tutorial
    for block in TO_PASTE:
        workflow = yaml.safe_load(block)
        assert workflow["permissions"] == {}
        for job in workflow["jobs"].values():
            for step in job.get("steps", ()):
                own = re.fullmatch(r"OWNER/pytest-kito/(action(?:/publish)?)@COMMIT", step["uses"])
                assert own or "OWNER" not in step["uses"]
                if own:
                    action = PUBLISH if own[1].endswith("publish") else ACTION
                    assert set(step.get("with", {})) <= set(action["inputs"])


def jobs_that_write() -> Iterator[tuple[str, dict[str, Any]]]:
    """The jobs that may write or sign, of the workflows here and in the documents."""
    texts = {path.name: path.read_text() for path in WORKFLOWS}
    texts |= {x: x for x in TO_PASTE}
    for name, text in texts.items():
        for key, job in yaml.safe_load(text)["jobs"].items():
            if "write" in job.get("permissions", {}).values() and "steps" in job:
                yield f"{name.splitlines()[0]} {key}", job


def test_no_job_that_may_write_runs_the_gate() -> None:
    found = dict(jobs_that_write())
    assert len(found) == 5  # two in the action's document, two in release.yml, one in docs.yml
    for name, job in found.items():
        used = [step.get("uses", "") for step in job["steps"]]
        assert not [x for x in used if re.search(r"/action(@|$)", x)], name
        assert not [step["run"] for step in job["steps"] if "run" in step], name


def test_every_gate_on_our_own_models_installs_what_their_formats_need() -> None:
    models = load(ROOT / "kito.yaml")["models"].values()
    formats = {name for model in models for name in model.get("artifacts", ["keras"])}
    needed = {name for name in formats if FORMAT_NAMES[name].modules}
    gates = [
        (path.name, step.get("with", {}))
        for path in WORKFLOWS
        for job in load(path)["jobs"].values()
        for step in job.get("steps", ())
        if step.get("uses") == "./action"
    ]
    assert len(gates) >= 3
    for name, given in gates:
        assert needed <= set(re.split(r"[ ,]+", given.get("extras", ""))), name
