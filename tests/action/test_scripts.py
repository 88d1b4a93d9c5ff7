"""Each script of the action alone, with stand-ins for the programs that it calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

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

PULL_REQUEST = {"KITO_EVENT": "pull_request", "KITO_HEAD_REPOSITORY": "me/models"}
FORK = {"KITO_EVENT": "pull_request", "KITO_HEAD_REPOSITORY": "stranger/models"}
GONE = {"KITO_EVENT": "pull_request_target", "KITO_HEAD_REPOSITORY": ""}
LATER = {"KITO_EVENT": "workflow_run", "KITO_HEAD_REPOSITORY": "stranger/models"}
PUSH = {"KITO_EVENT": "push", "KITO_HEAD_REPOSITORY": ""}
GPU = {"INPUT_DEVICE": "gpu"}
RELEASE = {"INPUT_PUBLISH": "release"}
SIGNED = {"INPUT_ATTEST": "true", "ACTIONS_ID_TOKEN_REQUEST_URL": "https://example.com"}


@pytest.mark.parametrize(
    "env",
    [
        {**PULL_REQUEST, **GPU},
        {**PUSH, **RELEASE, **SIGNED},
        FORK,
        {**FORK, **GPU, "INPUT_ALLOW_FORKS": "true"},
        {**PUSH, "RUNNER_ENVIRONMENT": "self-hosted"},
    ],
)
def test_what_may_run(script: Script, env: dict[str, str]) -> None:
    done = script("guard", **env)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "env, said",
    [
        ({**FORK, **RELEASE}, "input 'publish': release"),
        ({**GONE, **RELEASE}, "input 'publish': release"),
        ({**LATER, **RELEASE}, "input 'publish': release"),
        ({**FORK, **RELEASE, "INPUT_ALLOW_FORKS": "true"}, "input 'publish': release"),
        ({**FORK, **SIGNED}, "input 'attest': true"),
        ({**FORK, **GPU}, "on a GPU runner"),
        ({**FORK, "INPUT_REQUIRE_GPU": "true"}, "on a GPU runner"),
        ({**FORK, "RUNNER_ENVIRONMENT": "self-hosted"}, "on a self-hosted runner"),
        ({**PUSH, "INPUT_ATTEST": "true"}, "'id-token: write' and 'attestations: write'"),
        ({**PUSH, **RELEASE, "GITHUB_REF_TYPE": "branch"}, "input 'release-tag'"),
    ],
)
def test_what_may_not_run(script: Script, env: dict[str, str], said: str) -> None:
    done = script("guard", **env)
    assert done.returncode == 1
    assert said in done.stdout


def test_a_fork_does_not_get_a_runner_that_has_a_gpu(script: Script) -> None:
    done = script("guard", recorded=("nvidia-smi",), **FORK)
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
    "env, installed",
    [
        ({}, [str(ROOT)]),
        ({"INPUT_EXTRAS": " onnx, openvino\n"}, [f"{ROOT}[onnx,openvino]"]),
        ({"INPUT_INSTALL": "pytest-kito[gpu]==1.0 wheel"}, ["pytest-kito[gpu]==1.0", "wheel"]),
        ({"INPUT_REQUIREMENTS": "a b.txt\n"}, [str(ROOT), "--requirement=a b.txt"]),
    ],
)
def test_what_is_installed(
    script: Script, tmp_path: Path, env: dict[str, str], installed: list[str]
) -> None:
    (tmp_path / "a b.txt").touch()
    assert script("install", recorded=("python",), **env).returncode == 0
    assert (tmp_path / "record").read_text().splitlines() == [
        "python",
        "-m",
        "pip",
        "install",
        *installed,
    ]


def test_planning_is_installed_without_keras(script: Script, tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.write_text(RECORDER.replace("printf", '[[ $1 != -I ]] || exec "$REAL" "$@"\nprintf', 1))
    python.chmod(0o755)
    done = script("install", KITO_LIGHT="true", REAL=sys.executable)
    assert done.returncode == 0, done.stderr
    record = (tmp_path / "record").read_text()
    assert f"--no-deps\n{ROOT}\n" in record
    assert "pydantic" in record
    assert "\nkeras" not in record
    assert "tensorflow" not in record


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


def test_an_old_report_does_not_count(script: Script, tmp_path: Path) -> None:
    (tmp_path / "kito-report.json").write_text('{"passed": true}')
    done = script("gate", recorded=("pytest", "kito"), KITO_MODELS="", RECORDER_EXIT="0")
    assert done.returncode == 1
    assert "passed<<" in (tmp_path / "output").read_text()
    assert "\ntrue\n" not in (tmp_path / "output").read_text()


# ---- plan.sh, merge.sh ------------------------------------------------------------------------


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


def test_a_shard_without_a_report_fails_the_merge(script: Script, tmp_path: Path) -> None:
    (tmp_path / "reports" / "x-report-1").mkdir(parents=True)
    (tmp_path / "reports" / "x-report-1" / "kito-report-1.json").write_text("{}")
    env = {"KITO_SHARDS": "2", "KITO_REPORTS": "reports", "KITO_PARTS": "parts", "KITO_NAME": "x"}
    done = script("merge", **env)
    assert done.returncode == 1
    assert "shard 2 of 2 left no report" in done.stdout
