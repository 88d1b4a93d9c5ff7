"""Runs the real action and workflow with act on this machine, with stand-ins for GitHub's parts.

``stand_ins`` holds stand-ins for third-party actions and for ``gh``. A run gets a small repository
of models. What it uploads, signs and publishes goes to a folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import yaml

from action.github_api import serving

ROOT = Path(__file__).parents[2]
STAND_INS = Path(__file__).parent / "stand_ins"
BIN = Path(sys.executable).parent
REF = "0123456789" * 4
TOKEN = "ghs_of-this-run"
ACTION = f"kito-org/pytest-kito/action@{REF}"
PUBLISH = f"kito-org/pytest-kito/action/publish@{REF}"
WORKFLOW = f"kito-org/pytest-kito/.github/workflows/kito-check.yml@{REF}"

MODELS = """
import keras
import numpy as np


def net(width=4):
    rng = np.random.default_rng(width)
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(width, 3, name="conv")(image)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    model = keras.Model(image, keras.layers.Dense(3, name="scores")(x), name=f"net_{width}")
    for layer in model.layers:
        layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model
"""
KITO_YAML = """
version: 1
defaults: {reduction: {max_batchnorms: 0}}
models:
  small: {source: "nets:net"}
  medium: {source: "nets:net", kwargs: {width: 5}}
  large: {source: "nets:net", kwargs: {width: 6}}
"""
EAVESDROPPER = """
import os
import pathlib

STATE = pathlib.Path(os.environ["STAND_IN_STATE"])
STATE.joinpath("hook.sh").write_text(f"env >>'{STATE}/seen'; echo STEP >>'{STATE}/seen'\\n")
with open(os.environ["GITHUB_ENV"], "a") as env:
    env.write(f"BASH_ENV={STATE}/hook.sh\\n")
"""
"""A conftest.py: each later step of its job first notes its environment."""


@dataclass(frozen=True)
class Run:
    """The result of a run of act."""

    passed: bool
    log: str
    state: Path

    def echoed(self, name: str) -> list[str]:
        """The values that steps printed as ``NAME=VALUE``."""
        return re.findall(rf"^.*\| {name}=(.*)$", self.log, re.MULTILINE)

    def release(self, tag: str = "v1") -> dict[str, Any] | None:
        """The release of a tag, with the names and bytes of its files."""
        data = self.state / "releases.json"
        found = json.loads(data.read_text()) if data.exists() else {}
        if tag not in found:
            return None
        files = (self.state / "releases" / tag).iterdir()
        return {**found[tag], "files": {path.name: path.read_bytes() for path in files}}

    @property
    def asked(self) -> list[list[str]]:
        """The command lines of all calls of gh."""
        log = self.state / "gh.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def uploaded(self) -> dict[str, set[str]]:
        """The names of files in each workflow artifact."""
        folder = self.state / "artifacts"
        artifacts = folder.iterdir() if folder.exists() else ()
        return {x.name: {file.name for file in x.iterdir()} for x in artifacts}


def make_repository(folder: Path) -> Path:
    folder.mkdir()
    (folder / "nets.py").write_text(MODELS)
    (folder / "kito.yaml").write_text(KITO_YAML)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder)
    git(folder, "tag", "v1")
    return folder


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path) -> None:
    """Commit what was changed, if anything was."""
    git(folder, "add", "--all")
    if git(folder, "status", "--porcelain"):
        git(folder, "commit", "--quiet", "--message=Models")


def job(steps: str) -> str:
    """A workflow of one job."""
    head = """
        on: [push, pull_request]
        jobs:
          gate:
            runs-on: ubuntu-latest
            steps:
              - uses: actions/checkout@v6
    """
    return dedent(head).lstrip() + indent(dedent(steps).strip(), " " * 6) + "\n"


def publishing(inputs: Mapping[str, str] | None = None, *, gate: bool = False) -> str:
    """A workflow with a job that publishes, and a job before it that runs the gate on two models.

    Files that a program could import by mistake lie in the workspace of the job that publishes.
    """
    hostile = "for name in pip kito json; do echo 'raise SystemExit(\"pwned\")' >$name.py; done"
    given = {"install": "pytest-kito", **(inputs or {})}
    runner = {"runs-on": "ubuntu-latest"}
    publish: dict[str, Any] = {"steps": [{"run": hostile}, {"uses": PUBLISH, "with": given}]}
    jobs = {"publish": {**runner, **publish}}
    if gate:
        checked = {"install": "pytest-kito", "models": "small, large"}
        steps = [{"uses": "actions/checkout@v6"}, {"uses": ACTION, "with": checked}]
        jobs = {
            "gate": {**runner, "steps": [*steps, {"run": "true"}]},
            "publish": {"needs": "gate", **jobs["publish"]},
        }
    return yaml.safe_dump({"on": ["push", "release"], "jobs": jobs}, sort_keys=False)


def gate(inputs: Mapping[str, str], after: str = "") -> str:
    """A workflow that uses the action, and prints its outputs."""
    given = {"install": "pytest-kito", **inputs}
    step = yaml.safe_dump([{"id": "kito", "uses": ACTION, "with": given}], sort_keys=False)
    outputs = ("passed", "report", "artifacts-dir", "manifest", "summary")
    lines = "\n".join(f"          echo '{x}=${{{{ steps.kito.outputs.{x} }}}}'" for x in outputs)
    show = f"- if: always()\n  run: |\n{indent(dedent(lines), '    ')}"
    return job("\n".join(part for part in (step, show, after) if part))


@dataclass(frozen=True)
class Folders:
    """Where act runs: the action's source, the stand-ins' data, and a home directory."""

    source: Path
    state: Path
    home: Path


def run_act(
    folders: Folders,
    repository: Path,
    workflow: str,
    *,
    event: str = "push",
    payload: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    tag: bool = True,
) -> Run:
    """Commit the workflow, tag the commit as v1 unless the tag is to stay, and run it for v1."""
    source, state, home = folders.source, folders.state, folders.home
    target = repository / ".github" / "workflows" / "test.yml"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(workflow)
    commit(repository)
    if tag:
        git(repository, "tag", "--force", "v1")
        points_to = ("commit", git(repository, "rev-parse", "HEAD").strip())
        (state / "tags.json").write_text(json.dumps({"v1": points_to}))
    payload_file = home / "event.json"
    payload_file.write_text(json.dumps({"ref": "refs/tags/v1", **(payload or {})}))
    shown = {
        "STAND_IN_PYTHON": str(BIN),
        "STAND_IN_PROGRAMS": str(STAND_INS),
        "STAND_IN_SOURCE": str(source),
        "STAND_IN_REF": REF,
        "STAND_IN_STATE": str(state),
        "KITO_RETRY_SECONDS": "0",
        # A test never changes the environment it runs in: pip installs nothing.
        "PIP_DRY_RUN": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **(env or {}),
    }
    command = [_act(), event, "--workflows", str(target), "--eventpath", str(payload_file)]
    command += ["--platform", "ubuntu-latest=-self-hosted", "--no-cache-server", "--actor", "test"]
    command += ["--secret", f"GITHUB_TOKEN={TOKEN}"]
    for name, folder in {f"kito-org/pytest-kito@{REF}": source, **pinned(source)}.items():
        command += ["--local-repository", f"{name}={folder}"]
    for name, value in shown.items():
        command += ["--env", f"{name}={value}"]
    path = f"{STAND_INS}:{os.environ['PATH']}"
    ours = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PATH": path}
    with serving(state):
        done = subprocess.run(
            command,
            cwd=repository,
            env={**os.environ, **ours},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
    return Run(done.returncode == 0, done.stdout, state)


def pinned(source: Path) -> dict[str, Path]:
    """The folder of the stand-in for each third-party action, by its name and pinned commit."""
    text = (source / "action" / "action.yml").read_text()
    text += (source / "action" / "publish" / "action.yml").read_text()
    text += (source / ".github" / "workflows" / "kito-check.yml").read_text()
    names = set(re.findall(r"uses: (actions/[\w-]+@[0-9a-f]{40})", text))
    return {name: STAND_INS / name.split("/")[1].split("@")[0] for name in sorted(names)}


def _act() -> str:
    found = shutil.which("act", path=f"{BIN}:{os.environ['PATH']}")
    assert found, "these tests run the action with act: pip install '.[test]'"
    return found
