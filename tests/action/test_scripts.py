"""Each script of the action alone, with stand-ins for the programs that it calls."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from action.acting import BIN, ROOT, STAND_INS
from kito.export.publishing import update_manifest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the scripts are for Linux runners")
DECLARED = yaml.safe_load((ROOT / "action" / "action.yml").read_text())["inputs"]
DEFAULTS = {
    f"INPUT_{name.upper().replace('-', '_')}": str(spec["default"])
    for name, spec in DECLARED.items()
    if name != "github-token"
}
Script = Callable[..., subprocess.CompletedProcess[str]]

RECORDER = """#!/usr/bin/env bash
printf '%s\\n' "${0##*/}" "$@" >>"$RECORD"
[[ ! -v REPORT_TO_WRITE ]] || cp "$REPORT_TO_WRITE" kito-report.json
exit "${RECORDER_EXIT:-0}"
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Run a script in a folder with a kito.yaml; its outputs go to the file ``output``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kito.yaml").write_text("version: 1\nmodels: {net: {source: 'nets:net'}}\n")
    (tmp_path / "bin").mkdir()

    def run(
        name: str, recorded: tuple[str, ...] = (), **env: str
    ) -> subprocess.CompletedProcess[str]:
        for program in recorded:
            path = tmp_path / "bin" / program
            path.write_text(RECORDER)
            path.chmod(0o755)
        given = {
            **os.environ,
            **DEFAULTS,
            "PATH": f"{tmp_path / 'bin'}:{STAND_INS}:{BIN}:{os.environ['PATH']}",
            "RECORD": str(tmp_path / "record"),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_REPOSITORY": "me/models",
            "GITHUB_EVENT_NAME": "push",
            "RUNNER_ENVIRONMENT": "github-hosted",
            "GITHUB_REF_TYPE": "tag",
            "GITHUB_REF_NAME": "v1",
            "RUNNER_OS": "Linux",
            "RUNNER_ARCH": "X64",
            "RUNNER_TEMP": str(tmp_path),
            **env,
        }
        command = ["bash", str(ROOT / "action" / f"{name}.sh")]
        return subprocess.run(command, env=given, capture_output=True, text=True, check=False)

    return run


# ---- validate.sh ------------------------------------------------------------------------------


def test_the_defaults_are_valid(script: Script, tmp_path: Path) -> None:
    assert script("validate").returncode == 0
    done = script("validate", INPUT_MODELS=" a,b\n\n c-1.x, ")
    assert done.returncode == 0
    assert (tmp_path / "output").read_text().splitlines()[-2] == "a b c-1.x"


@pytest.mark.parametrize(
    "given, said",
    [
        ({"DEVICE": "tpu"}, "'device': tpu"),
        ({"REQUIRE_GPU": "yes"}, "'require-gpu': yes"),
        ({"REQUIRE_GPU": "true", "DEVICE": "cpu"}, "allowed: false where device is cpu"),
        ({"PUBLISH": "pypi"}, "'publish': pypi is not allowed; allowed: none, release"),
        ({"ATTEST": ""}, "'attest': '' is not allowed; allowed: true, false"),
        ({"ALLOW_FORKS": "1"}, "'allow-forks'"),
        ({"CACHE": "1"}, "'cache'"),
        ({"PYTHON_VERSION": ">=3.11"}, "'python-version'"),
        ({"CONFIG": "missing.yaml"}, "'config': missing.yaml is not allowed; allowed: an existing"),
        ({"CONFIG": "../kito.yaml"}, "a path without '..'"),
        ({"REPORT": "bin"}, "'report': bin"),
        ({"REPORT": "*.json"}, "'report'"),
        ({"ARTIFACTS_DIR": "."}, "a directory of its own"),
        ({"ARTIFACTS_DIR": "bin"}, "empty or does not exist yet"),
        ({"ARTIFACTS_DIR": "kito.yaml"}, "empty or does not exist yet"),
        ({"TIMINGS": "missing.json"}, "'timings'"),
        ({"HISTORY": "kito.yaml"}, "'history': kito.yaml is not allowed; allowed: a directory"),
        ({"HISTORY": "../past"}, "'history'"),
        ({"UPLOAD_ARTIFACTS": "a/b"}, "'upload-artifacts'"),
        ({"RELEASE_TAG": "-v1"}, "'release-tag': -v1"),
        ({"SHARD": "3/2"}, "'shard': 3/2"),
        ({"SHARD": "1/2", "MODELS": "a"}, "empty where 'models' names the models"),
        ({"SHARD": "1/2", "PUBLISH": "release"}, "publish after merging the shards"),
        ({"EXTRAS": "onnx, cuda"}, "'extras': cuda is not allowed; allowed: gpu, jax"),
        ({"EXTRAS": "onnx", "INSTALL": "pytest-kito"}, "write them there: pytest-kito[onnx]"),
        ({"MODELS": "a, -k"}, "'models': -k"),
        ({"MODELS": "a" * 101}, "'models'"),
    ],
)
def test_an_invalid_input_is_refused(
    script: Script, tmp_path: Path, given: dict[str, str], said: str
) -> None:
    (tmp_path / "bin" / "file").touch()
    done = script("validate", **{f"INPUT_{name}": value for name, value in given.items()})
    assert done.returncode == 1
    assert done.stdout.startswith("::error title=pytest-kito::input '")
    assert said in done.stdout
    assert done.stdout.count("\n") == 1


# ---- guard.sh ---------------------------------------------------------------------------------

GPU = {"INPUT_DEVICE": "gpu"}
RELEASE = {"INPUT_PUBLISH": "release"}
SIGNED = {"INPUT_ATTEST": "true", "ACTIONS_ID_TOKEN_REQUEST_URL": "https://example.com"}
ALLOWED = {"INPUT_ALLOW_FORKS": "true"}
SELF_HOSTED = {"RUNNER_ENVIRONMENT": "self-hosted"}
UNKNOWN = {"RUNNER_ENVIRONMENT": ""}
SPECIAL = (GPU, {"INPUT_REQUIRE_GPU": "true"}, SELF_HOSTED, UNKNOWN)
"""Runs that a fork gets with allow-forks only. Old runners and act do not say what they are."""


def event(name: str, head: str = "") -> dict[str, str]:
    return {"KITO_EVENT": name, "KITO_HEAD_REPOSITORY": head}


OWN = [
    *map(event, ("push", "create", "delete", "release", "schedule", "workflow_dispatch")),
    *map(event, ("repository_dispatch", "merge_group", "deployment", "deployment_status")),
    event("pull_request", "me/models"),
    event("pull_request_target", "me/models"),
    event("pull_request_review", "me/models"),
    event("workflow_run", "me/models"),
]
PULL_REQUESTS_OF_FORKS = [
    event("pull_request", "stranger/models"),
    event("pull_request_target", ""),  # the head repository is gone
    event("pull_request_review", "stranger/models"),
    event("pull_request_review_comment", "stranger/models"),
    event("workflow_run", "stranger/models"),
]
EVENTS_OF_ANYBODY = [
    *map(event, ("issue_comment", "issues", "discussion", "discussion_comment", "fork", "watch")),
    *map(event, ("gollum", "", "an_event_to_come")),
]
FOREIGN = [*PULL_REQUESTS_OF_FORKS, *EVENTS_OF_ANYBODY]


@pytest.mark.parametrize("env", OWN, ids=lambda env: env["KITO_EVENT"])
def test_code_of_the_repository_may_do_everything(script: Script, env: dict[str, str]) -> None:
    done = script("guard", **env, **GPU, **RELEASE, **SIGNED, **SELF_HOSTED)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("env", FOREIGN, ids=lambda env: env["KITO_EVENT"])
def test_code_of_strangers_may_use_a_plain_runner_only(script: Script, env: dict[str, str]) -> None:
    assert script("guard", **env).returncode == 0
    for special in SPECIAL:
        done = script("guard", **env, **special)
        assert done.returncode == 1, special
        assert "would run its code on a" in done.stdout
        assert script("guard", **env, **special, **ALLOWED).returncode == 0, special
    for never, said in ((RELEASE, "input 'publish': release"), (SIGNED, "input 'attest': true")):
        done = script("guard", **env, **never, **ALLOWED)
        assert done.returncode == 1
        assert said in done.stdout


def test_the_guard_names_the_event_that_anybody_can_cause(script: Script) -> None:
    done = script("guard", **event("issue_comment"), **GPU)
    assert "the event issue_comment, which anybody can cause, would run" in done.stdout
    done = script("guard", **event("pull_request", "stranger/models"), **GPU)
    assert "a fork's pull request would run its code on a GPU runner" in done.stdout


@pytest.mark.parametrize(
    "env, said",
    [
        ({"INPUT_ATTEST": "true"}, "'id-token: write' and 'attestations: write'"),
        ({**RELEASE, "GITHUB_REF_TYPE": "branch"}, "input 'release-tag'"),
    ],
)
def test_what_a_run_lacks_to_publish(script: Script, env: dict[str, str], said: str) -> None:
    done = script("guard", **event("push"), **env)
    assert done.returncode == 1
    assert said in done.stdout


def test_a_fork_does_not_get_a_runner_that_has_a_gpu(script: Script) -> None:
    done = script("guard", recorded=("nvidia-smi",), **event("pull_request", "stranger/models"))
    assert done.returncode == 1
    assert "on a runner with a GPU" in done.stdout


# ---- cache.sh, install.sh ---------------------------------------------------------------------


def test_the_cache_key_depends_on_what_is_installed(script: Script, tmp_path: Path) -> None:
    keys = []
    (tmp_path / "requirements.txt").write_text("scipy\n")
    wanted = {"INPUT_REQUIREMENTS": "requirements.txt"}
    for env in ({}, wanted, wanted, {"INPUT_EXTRAS": "onnx"}):
        (tmp_path / "output").write_text("")
        assert script("cache", recorded=("python",), **env).returncode == 0
        keys.append((tmp_path / "output").read_text().split("kito-pip-Linux-X64-")[1].split()[0])
        if len(keys) == 2:
            (tmp_path / "requirements.txt").write_text("scipy>=1\n")
    assert len(set(keys)) == 4


def test_without_a_pip_cache_there_are_no_outputs(script: Script, tmp_path: Path) -> None:
    assert script("cache", recorded=("python",), RECORDER_EXIT="1").returncode == 0
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    "event_name, cached",
    [
        ("push", True),
        ("schedule", True),
        ("workflow_dispatch", True),
        ("pull_request", True),  # it has a cache of its own
        ("pull_request_target", False),
        ("issue_comment", False),
        ("workflow_run", False),
        ("pull_request_review", False),
    ],
)
def test_a_run_that_strangers_cause_fills_no_cache_of_the_main_branch(
    script: Script, tmp_path: Path, event_name: str, cached: bool
) -> None:
    done = script("cache", recorded=("python",), GITHUB_EVENT_NAME=event_name)
    assert done.returncode == 0
    assert (tmp_path / "output").exists() is cached


def installed_by(record: Path) -> list[list[str]]:
    """The arguments of each call of pip install."""
    calls = record.read_text().split("python\n-P\n-m\npip\ninstall\n")[1:]
    return [call.splitlines() for call in calls]


@pytest.mark.parametrize(
    "env, installed",
    [
        ({}, [f"{ROOT}[report]"]),
        ({"INPUT_EXTRAS": " onnx, openvino\n"}, [f"{ROOT}[report,onnx,openvino]"]),
        ({"INPUT_INSTALL": "pytest-kito[gpu]==1.0 wheel"}, ["pytest-kito[gpu]==1.0", "wheel"]),
        ({"INPUT_INSTALL": "x @ file:///a pytest-kito @y"}, ["x@file:///a", "pytest-kito@y"]),
        ({"INPUT_REQUIREMENTS": "a b.txt\n"}, [f"{ROOT}[report]", "--requirement=a b.txt"]),
    ],
)
def test_what_is_installed(
    script: Script, tmp_path: Path, env: dict[str, str], installed: list[str]
) -> None:
    (tmp_path / "a b.txt").touch()
    assert script("install", recorded=("python",), **env).returncode == 0
    assert installed_by(tmp_path / "record") == [installed]


@pytest.fixture
def pip_recorded(tmp_path: Path, script: Script) -> dict[str, str]:
    """A python that records calls of pip and runs all others; the environment it needs."""
    python = tmp_path / "bin" / "python"
    python.write_text(RECORDER.replace("printf", '[[ $1 == -P ]] || exec "$REAL" "$@"\nprintf', 1))
    python.chmod(0o755)
    return {"REAL": sys.executable}


@pytest.mark.parametrize(
    "given, taken",
    [
        ("pytest-kito[gpu]==1.2 wheel", "pytest-kito[gpu]==1.2"),
        ("PyTest_Kito @ git+https://example.com/kito", "PyTest_Kito@git+https://example.com/kito"),
        (
            "pytest.kito@git+ssh://git@example.com/kito",
            "pytest.kito@git+ssh://git@example.com/kito",
        ),
        ("./gate", None),
        (".[gpu]", None),
        ("/gate wheel", None),
        ("pytest-kito/", None),
        ("pytest-kito-2.0-py3-none-any.whl", None),
        ("pytest-kito @ file:///gate", None),
        ("pytest-kito@git+file:///gate", None),
        ("git+https://example.com/kito", None),
        ("pytest-kito-extra", None),
        ("", None),
    ],
)
def test_the_merging_job_builds_no_package_of_the_caller(
    script: Script, tmp_path: Path, pip_recorded: dict[str, str], given: str, taken: str | None
) -> None:
    light = {"KITO_LIGHT": "true", "KITO_MERGES": "true"}
    done = script("install", INPUT_INSTALL=given, **light, **pip_recorded)
    assert done.returncode == 0, done.stdout
    calls = installed_by(tmp_path / "record")
    if taken is None:
        assert calls[0] == ["--no-deps", str(ROOT)]
    else:
        assert calls == [[taken]]


def test_the_planning_job_installs_what_checks(script: Script, tmp_path: Path) -> None:
    (tmp_path / "record").touch()
    done = script("install", recorded=("python",), KITO_LIGHT="true", INPUT_INSTALL="./gate wheel")
    assert done.returncode == 0
    assert installed_by(tmp_path / "record") == [["./gate", "wheel"]]


def test_a_python_that_is_too_old_is_named(script: Script) -> None:
    done = script("install", recorded=("python",), RECORDER_EXIT="1")
    assert done.returncode == 1
    assert "input 'python-version'" in done.stdout
    assert "needs Python 3.11 or later" in done.stdout


def test_planning_is_installed_without_keras(
    script: Script, tmp_path: Path, pip_recorded: dict[str, str]
) -> None:
    done = script("install", KITO_LIGHT="true", **pip_recorded)
    assert done.returncode == 0, done.stderr
    record = (tmp_path / "record").read_text()
    assert f"--no-deps\n{ROOT}\n" in record
    assert "pydantic" in record
    assert "\nkeras" not in record
    assert "tensorflow" not in record


# ---- modules beside kito.yaml -----------------------------------------------------------------

IMPORTED = "pip json re sys os shlex tomllib yaml typer pydantic kito pytest_kito h5py numpy keras"


def test_no_module_of_the_workspace_is_run_by_planning_and_merging(
    script: Script, tmp_path: Path
) -> None:
    for name in IMPORTED.split():
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'pwned')!r}, 'w').close()\n")
    # pip finds what is asked for, and installs nothing.
    offline = {"PIP_DRY_RUN": "1", "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1"}
    light = {"KITO_LIGHT": "true", "INPUT_INSTALL": "pytest-kito"}
    runs: list[tuple[str, dict[str, str]]] = [
        ("cache", {}),
        ("install", {**offline, **light}),
        ("plan", {"INPUT_SHARDS": "2"}),
        ("merge", shards(tmp_path, {"net": True})),
    ]
    for name, env in runs:
        done = script(name, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not (tmp_path / "pwned").exists(), name


def test_every_python_leaves_the_workspace_out() -> None:
    for path in (ROOT / "action").glob("*.sh"):
        calls = re.findall(r"^[^#\n]*?\bpython (\S+)", path.read_text(), re.MULTILINE)
        assert set(calls) <= {"-I", "-P", "--version", ">/dev/null", "on"}, path.name


# ---- gate.sh ----------------------------------------------------------------------------------


def test_arguments_of_pytest_are_split_but_never_run(script: Script, tmp_path: Path) -> None:
    given = "-n 2 'two words' $(touch\\ pwned) \"`touch pwned`\" *"
    done = script("gate", recorded=("pytest", "kito"), INPUT_PYTEST_ARGS=given, KITO_MODELS="")
    words = ["-n", "2", "two words", "$(touch pwned)", "`touch pwned`", "*"]
    record = (tmp_path / "record").read_text().splitlines()
    assert record[: len(words) + 2] == ["pytest", *words, "--kito-check"]
    assert record[-1] == "kito.yaml"
    assert not (tmp_path / "pwned").exists()
    # pytest succeeded, but there is no report of any check.
    assert done.returncode == 1
    assert "no check of kito.yaml was run" in done.stdout


@pytest.mark.parametrize(
    "env, options",
    [
        ({"INPUT_DEVICE": "gpu"}, ["--kito-device=gpu"]),
        ({"INPUT_REQUIRE_GPU": "true"}, ["--kito-require-gpu"]),
        ({"INPUT_SHARD": "2/3"}, ["--kito-shard=2/3"]),
        ({"INPUT_TIMINGS": "old.json"}, ["--kito-timings=old.json"]),
        ({"INPUT_HISTORY": "bin"}, ["--kito-html=kito-report.html", "--kito-html-history=bin"]),
        ({"INPUT_ARTIFACTS_DIR": "a b"}, ["--kito-artifacts=a b"]),
        ({"KITO_MODELS": "a b"}, ["kito.yaml::a", "kito.yaml::b"]),
    ],
)
def test_inputs_become_options(
    script: Script, tmp_path: Path, env: dict[str, str], options: list[str]
) -> None:
    script("gate", recorded=("pytest", "kito"), **{"KITO_MODELS": "", **env})
    record = (tmp_path / "record").read_text().splitlines()
    assert set(options) <= set(record)
    assert set(record) >= {"--kito-config=kito.yaml", "--kito-report=kito-report.json"}


def test_before_the_first_run_there_is_no_history(script: Script, tmp_path: Path) -> None:
    assert script("validate", INPUT_HISTORY="past").returncode == 0
    done = script("gate", recorded=("pytest", "kito"), KITO_MODELS="", INPUT_HISTORY="past")
    assert "no history yet: there is no directory past\n" in done.stdout
    assert "history" not in (tmp_path / "record").read_text()


@pytest.mark.parametrize(
    "env, said",
    [
        ({"INPUT_PYTEST_ARGS": "'open"}, "a quote or a backslash that is not closed"),
        ({"INPUT_PYTEST_ARGS": "--kito-report=x"}, "'pytest-args': --kito-report=x"),
        ({"KITO_MODELS": "nett"}, "did you mean 'net'?"),
    ],
)
def test_the_gate_refuses_wrong_arguments(
    script: Script, tmp_path: Path, env: dict[str, str], said: str
) -> None:
    done = script("gate", recorded=("pytest",), **{"KITO_MODELS": "", **env})
    assert done.returncode == 1
    assert said in done.stdout
    assert not (tmp_path / "record").exists()


def test_each_model_that_was_asked_for_must_be_checked(script: Script, tmp_path: Path) -> None:
    models = "{net: {source: 'nets:net'}, other: {source: 'nets:net'}}"
    (tmp_path / "kito.yaml").write_text(f"version: 1\nmodels: {models}\n")
    shards(tmp_path, {"net": False})
    env = {"REPORT_TO_WRITE": str(tmp_path / "reports/x-report-1.json")}
    done = script("gate", recorded=("pytest",), KITO_MODELS="net", **env)
    assert done.returncode == 0, done.stdout
    done = script("gate", recorded=("pytest",), KITO_MODELS="net other", **env)
    assert done.returncode == 1
    assert "not checked: other; see 'pytest-args' and 'models'" in done.stdout


def test_an_old_report_does_not_count(script: Script, tmp_path: Path) -> None:
    (tmp_path / "kito-report.json").write_text('{"passed": true}')
    done = script("gate", recorded=("pytest", "kito"), KITO_MODELS="", RECORDER_EXIT="0")
    assert done.returncode == 1
    assert "passed<<" in (tmp_path / "output").read_text()
    assert "\ntrue\n" not in (tmp_path / "output").read_text()


def test_the_html_report_lies_beside_the_json_report(script: Script, tmp_path: Path) -> None:
    env = {"INPUT_REPORT": "out/gate report.json", "KITO_MODELS": ""}
    script("gate", recorded=("pytest", "kito"), **env)
    record = (tmp_path / "record").read_text().splitlines()
    assert "--kito-html=out/gate report.html" in record


def test_an_older_gate_is_not_asked_for_html(script: Script, tmp_path: Path) -> None:
    # Any program named python that finds no such module; the gate's arguments are split by it, too.
    (tmp_path / "bin" / "python").write_text(
        f'#!/usr/bin/env bash\n[[ $1 != -P ]] || exit 1\nexec "{BIN}/python" "$@"\n'
    )
    (tmp_path / "bin" / "python").chmod(0o755)
    script("gate", recorded=("pytest", "kito"), KITO_MODELS="")
    assert "--kito-html" not in (tmp_path / "record").read_text()


def test_the_summary_links_the_html_report(script: Script, tmp_path: Path) -> None:
    url = "https://github.com/me/models/actions/runs/1/artifacts/2"
    given = {"KITO_HTML": "out/kito-report.html", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    done = script("link", KITO_URL=url, **given)
    assert done.returncode == 0, done.stdout
    text = (tmp_path / "summary").read_text()
    assert text == f"\n[HTML report]({url}): unpack it and open `kito-report.html`\n"
    done = script("link", KITO_URL="https://x)[pwned](", **given)
    assert done.returncode == 1
    assert (tmp_path / "summary").read_text() == text


# ---- plan.sh ----------------------------------------------------------------------------------


def test_the_plan_is_a_matrix(script: Script, tmp_path: Path) -> None:
    done = script("plan", INPUT_SHARDS="5")
    assert done.returncode == 0, done.stdout
    output = (tmp_path / "output").read_text().splitlines()
    assert output[1] == "1"
    assert json.loads(output[4]) == {"include": [{"shard": 1, "models": ["net"]}]}


@pytest.mark.parametrize(
    "env, said",
    [
        ({"INPUT_SHARDS": "0"}, "input 'shards': 0"),
        ({"INPUT_SHARDS": "a[$(touch pwned)]"}, "input 'shards'"),
        ({"INPUT_UPLOAD_ARTIFACTS": ""}, "input 'upload-artifacts'"),
        ({"INPUT_MODELS": "a;b"}, "input 'models'"),
        ({"INPUT_MODELS": "other"}, "model other is not declared in kito.yaml"),
        ({"INPUT_CONFIG": "missing.yaml"}, "missing.yaml"),
    ],
)
def test_what_cannot_be_planned(
    script: Script, tmp_path: Path, env: dict[str, str], said: str
) -> None:
    done = script("plan", **{"INPUT_SHARDS": "2", **env})
    assert done.returncode == 1
    assert said in done.stdout
    assert not (tmp_path / "pwned").exists()


def test_planning_and_merging_import_no_keras(tmp_path: Path) -> None:
    """The jobs that do it install neither Keras nor TensorFlow."""
    folder = tmp_path / "artifacts"
    folder.mkdir()
    (folder / "a.keras").write_bytes(b"a")
    entry = {"model": "a", "format": "keras", "file": "a.keras", "bytes": 1, "versions": {}}
    update_manifest(folder, [{**entry, "sha256": sha256(b"a").hexdigest()}])
    script = (
        "import sys\nsys.modules.update(keras=None, tensorflow=None)\n"
        "from pathlib import Path\n"
        "import pytest_kito.cli.app, pytest_kito.shards.plan\n"
        "import pytest_kito.reports.merge, pytest_kito.reports.summary\n"
        "from kito.export.manifest import verify\n"
        "from kito.export.publishing import merge_folders\n"
        "merge_folders([Path('artifacts')], Path('merged'))\n"
        "assert verify(Path('merged')) == []\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


# ---- merge.sh ---------------------------------------------------------------------------------

PLAN = ("a", "b", "c")


def shards(
    folder: Path, models: dict[str, bool], *, not_run: tuple[str, ...] = (), **env: str
) -> dict[str, str]:
    """Reports and artifacts of one shard for each model, as they are downloaded.

    Args:
        folder: where they go.
        models: by name, whether the model has an artifact. Its shard uploads one.
        not_run: names of the checks that were declared for the last model, and not run.
        env: more variables for merge.sh.

    Returns:
        The variables for merge.sh; the plan has a shard for each model.
    """
    uploaded = {"reports": folder / "up/reports", "shards": folder / "up/shards"}
    for path in uploaded.values():
        path.mkdir(parents=True)
    for index, (name, made) in enumerate(models.items(), 1):
        digest = sha256(name.encode()).hexdigest()
        size = len(name)
        artifact = {"format": "keras", "file": f"{name}.keras", "bytes": size, "sha256": digest}
        model = {
            "name": name,
            "line": index,
            "passed": True,
            "reduction": None,
            "equivalence": None,
            "speedup": [],
            "artifacts": [artifact] if made else [],
            "checks": [{"check": "reduction", "outcome": "passed", "message": ""}],
            "not_run": list(not_run) if index == len(models) else [],
        }
        report = uploaded["reports"] / f"x-report-{index}"
        report.mkdir()
        write_report(report / f"x-report-{index}.json", [model])
        if made and not model["not_run"]:
            part = uploaded["shards"] / f"x-shard-{index}" / f"x-shard-{index}"
            part.mkdir(parents=True)
            (part / f"{name}.keras").write_text(name)
            update_manifest(part, [{**artifact, "model": name, "versions": {}}])
    for name, path in uploaded.items():
        # The only artifact that matches is put into the path itself.
        several = len(list(path.iterdir())) > 1
        for artifact in path.iterdir():
            target = folder / name / (artifact.name if several else "")
            shutil.copytree(artifact, target, dirs_exist_ok=True)
    include = [{"shard": i, "models": [name]} for i, name in enumerate(models, 1)]
    return {
        "KITO_MATRIX": json.dumps({"include": include}),
        "KITO_RESULT": "success",
        "KITO_REPORTS": "reports",
        "KITO_PARTS": "shards",
        "KITO_NAME": "x",
        "KITO_PUBLISHES": "false",
        "INPUT_REPORT": "merged/report.json",
        "INPUT_ARTIFACTS_DIR": "merged/artifacts",
        **env,
    }


def write_report(path: Path, models: list[dict[str, Any]], **more: Any) -> None:
    content = {
        "schema_version": 1,
        "created": "2026-01-01T00:00:00+00:00",
        "environment": None,
        "passed": bool(models),
        "interrupted": False,
        "models": models,
        **more,
    }
    path.write_text(json.dumps(content))


def outputs(folder: Path) -> dict[str, str]:
    """The outputs of a step; the last value of each name counts."""
    text = (folder / "output").read_text()
    return dict(re.findall(r"^([\w-]+)<<(?:.+)\n(.*)\n", text, re.MULTILINE))


@pytest.mark.parametrize(
    "made",
    [(1, 1, 1), (0, 1, 0), (0, 0, 0), (1,)],
    ids=["all", "one", "none", "the only shard"],
)
def test_the_artifacts_of_every_shard_that_made_some_are_merged(
    script: Script, tmp_path: Path, made: tuple[int, ...]
) -> None:
    models = {name: bool(flag) for name, flag in zip(PLAN, made, strict=False)}
    done = script("merge", **shards(tmp_path, models))
    assert done.returncode == 0, done.stdout + done.stderr
    assert outputs(tmp_path)["passed"] == "true"
    manifest = outputs(tmp_path)["manifest"]
    if not any(made):
        assert manifest == ""
        assert not (tmp_path / "merged/artifacts").exists()
        return
    files = {entry["file"] for entry in json.loads((tmp_path / manifest).read_text())["files"]}
    assert files == {f"{name}.keras" for name, flag in models.items() if flag}


def lose_artifacts(folder: Path) -> None:
    shutil.rmtree(folder / "shards/x-shard-2")


def change_an_artifact(folder: Path) -> None:
    part = folder / "shards/x-shard-2/x-shard-2"
    (part / "b.keras").write_text("other")
    digest = sha256(b"other").hexdigest()
    entry = {"model": "b", "format": "keras", "file": "b.keras", "bytes": 5, "versions": {}}
    update_manifest(part, [{**entry, "sha256": digest}])


def lose_a_report(folder: Path) -> None:
    (folder / "reports/x-report-2/x-report-2.json").unlink()


def leave_a_model_out(folder: Path) -> None:
    shutil.rmtree(folder / "shards/x-shard-2")
    write_report(folder / "reports/x-report-2/x-report-2.json", [])


def run_no_check(folder: Path) -> None:
    path = folder / "reports/x-report-2/x-report-2.json"
    model = json.loads(path.read_text())["models"][0]
    shutil.rmtree(folder / "shards/x-shard-2")
    unchecked = {**model, "passed": False, "checks": [], "artifacts": [], "not_run": ["reduction"]}
    write_report(path, [unchecked], passed=False, interrupted=True)


def break_a_report(folder: Path) -> None:
    (folder / "reports/x-report-2/x-report-2.json").write_text("{}")


def nothing(folder: Path) -> None:
    pass


def test_no_shard_can_replace_the_report_of_another(script: Script, tmp_path: Path) -> None:
    given = shards(tmp_path, dict.fromkeys(PLAN, True))
    forged = tmp_path / "reports/x-report-9"
    forged.mkdir()
    for path in (tmp_path / "reports/x-report-1").iterdir():
        (forged / "x-report-2.json").write_text(path.read_text().replace("passed", "failed"))
    done = script("merge", **given)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "what, env, said",
    [
        (nothing, {"KITO_RESULT": "failure"}, "ended as failure, not as 'success'"),
        (nothing, {"KITO_RESULT": "cancelled"}, "ended as cancelled, not as 'success'"),
        (lose_artifacts, {}, "the artifacts of the shards cannot be merged"),
        (change_an_artifact, {}, "the artifacts of the shards cannot be merged"),
        (lose_a_report, {}, "shard 2 of 3 left no report"),
        (leave_a_model_out, {}, "not checked: b"),
        (run_no_check, {}, "not checked: b"),
        (break_a_report, {}, "the reports of the shards cannot be merged"),
    ],
)
def test_a_merge_that_is_not_whole_fails_without_artifacts(
    script: Script,
    tmp_path: Path,
    what: Callable[[Path], None],
    env: dict[str, str],
    said: str,
) -> None:
    given = shards(tmp_path, dict.fromkeys(PLAN, True), **env)
    what(tmp_path)
    done = script("merge", **given)
    assert done.returncode == 1
    assert said in done.stdout
    assert outputs(tmp_path)["passed"] == "false"
    assert outputs(tmp_path).get("manifest", "") == ""
    assert not (tmp_path / "merged/artifacts").exists()
    if "summary" in outputs(tmp_path):
        summary = Path(outputs(tmp_path)["summary"]).read_text()
        assert not summary.startswith("### kito: passed")
        assert "**Not passed:**" in summary


@pytest.mark.parametrize("publishes", ["true", "false"])
def test_only_a_run_that_publishes_needs_every_check_of_a_model(
    script: Script, tmp_path: Path, publishes: str
) -> None:
    env = {"KITO_PUBLISHES": publishes}
    models = dict.fromkeys(PLAN, True)
    done = script("merge", **shards(tmp_path, models, not_run=("speedup[1]",), **env))
    assert (done.returncode == 0) is (publishes == "false")
    assert ("not checked: c" in done.stdout) is (publishes == "true")


def test_a_merge_without_any_report_says_so(script: Script, tmp_path: Path) -> None:
    done = script("merge", **shards(tmp_path, {"a": True}, KITO_REPORTS="nowhere"))
    assert done.returncode == 1
    assert "none of the 1 shards left a report" in done.stdout
    assert outputs(tmp_path) == {"passed": "false"}
