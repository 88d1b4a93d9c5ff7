"""The action as a workflow uses it, run by act on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from action.acting import ACTION, EAVESDROPPER, KITO_YAML, Run, gate, job

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="act runs jobs on the host on Linux"
)
Act = Callable[..., Run]
FILES = {"small.keras", "large.keras", "kito-manifest.json", "SHA256SUMS"}
SMALL = {"models": "small, large", "publish": "release"}


def test_the_outputs_of_a_passing_gate(passing: Run) -> None:
    assert passing.passed, passing.log
    assert passing.echoed("passed") == ["true"]
    assert passing.echoed("report") == ["kito-report.json"]
    assert passing.echoed("artifacts-dir") == ["kito-artifacts"]
    assert passing.echoed("manifest") == ["kito-artifacts/kito-manifest.json"]
    assert passing.echoed("summary")[0].endswith("summary.md")
    assert "9 passed" in passing.log
    files = FILES | {"medium.keras"}
    report = {"kito-report.json", "kito-report.html"}
    assert passing.uploaded == {"kito-artifacts": files, "kito-artifacts-report": report}
    signed = (passing.state / "attested").read_text().split()
    assert {Path(path).name for path in signed} == files
    assert passing.asked == []
    # A gate that signs uses no cache, which another run could have filled.
    assert not (passing.state / "cache").exists()


@pytest.mark.slow
def test_a_failing_gate_fails_the_job_and_publishes_nothing(
    act: Act, model_repository: Path
) -> None:
    text = KITO_YAML.replace("medium: {", "medium: {reduction: {min_folded: 9}, ")
    (model_repository / "kito.yaml").write_text(text)
    run = act(model_repository, gate({"publish": "release"}))
    assert not run.passed
    assert run.echoed("passed") == ["false"]
    assert run.echoed("report") == ["kito-report.json"]
    assert "medium: reduction" in run.log
    reports = {"kito-report.json", "kito-report.html"}
    assert run.uploaded == {"kito-artifacts-report": reports}
    assert run.asked == []


IN_THE_ENGINE = """
version: 1
models:
  small:
    source: "nets:net"
    speedup: {device: cpu, batch_size: 8, budget_s: 3, on_inconclusive: warn, engines: {onnx: {}}}
    artifacts: [keras, onnx]
    metrics: {mean: {source: "nets:mean", data: "nets:images", max_drop: 0.001}}
"""
METRIC = """

def images():
    return {"image": np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")}


def mean(predict, data):
    return float(np.mean(predict({"image": data["image"]})))
"""


@pytest.mark.slow
def test_speed_and_metric_in_an_engine(act: Act, model_repository: Path) -> None:
    (model_repository / "kito.yaml").write_text(IN_THE_ENGINE)
    with (model_repository / "nets.py").open("a") as nets:
        nets.write(METRIC)
    keep = '- run: cp kito-report.json "$STAND_IN_STATE"'
    run = act(model_repository, gate({"install": "pytest-kito[onnx]"}, after=keep))
    assert run.passed, run.log
    [model] = json.loads((run.state / "kito-report.json").read_text())["models"]
    assert [(x["engine"], x["batch_size"]) for x in model["speedup"]] == [("keras", 8), ("onnx", 8)]
    assert all(x["ratio"] > 0 for x in model["speedup"])
    judged = {x["engine"]: x["passed"] for x in model["metrics"]}
    assert {"keras", "onnx"} <= judged.keys()
    assert all(judged.values())
    assert run.uploaded["kito-artifacts"] == {
        *("small.keras", "small.onnx"),
        *("kito-manifest.json", "SHA256SUMS"),
    }


@pytest.mark.nightly
def test_an_interrupted_release_is_a_draft_and_the_next_run_completes_it(
    act: Act, model_repository: Path, state: Path
) -> None:
    (state / "gh.fail").write_text(json.dumps([[["upload", "small.keras"], 99]]))
    run = act(model_repository, gate(SMALL))
    assert not run.passed
    release = run.release()
    assert release is not None
    assert release["isDraft"]
    assert release["files"].keys() < FILES

    (state / "gh.fail").write_text(json.dumps([[["upload", "small.keras"], 2]]))
    (state / "artifacts").rename(state / "first")
    run = act(model_repository, gate(SMALL))
    assert run.passed, run.log
    release = run.release()
    assert release is not None
    assert not release["isDraft"]
    assert release["files"].keys() == FILES
    made = state / "artifacts" / "kito-artifacts"
    assert release["files"] == {name: (made / name).read_bytes() for name in FILES}
    assert "| small |" in release["body"]

    # Another run makes the same bytes, finds them there, and changes nothing.
    (state / "artifacts").rename(state / "second")
    run = act(model_repository, gate(SMALL))
    assert run.passed, run.log
    assert "is complete, with these very files" in run.log
    assert run.release() == release


@pytest.mark.slow
def test_a_variable_that_code_of_the_models_sets_runs_nothing_in_the_step_with_the_token(
    act: Act, model_repository: Path, state: Path
) -> None:
    conftest = model_repository / "conftest.py"
    conftest.write_text(EAVESDROPPER)
    run = act(model_repository, gate({"models": "small", "publish": "release"}))
    assert run.passed, run.log
    assert run.release() is not None
    seen = (state / "seen").read_text()
    assert "STEP\n" in seen
    assert "GH_TOKEN" not in seen


@pytest.mark.slow
def test_an_artifact_that_changes_after_its_check_is_not_published(
    act: Act, model_repository: Path
) -> None:
    (model_repository / "conftest.py").write_text(
        "import pathlib\n\n\ndef pytest_unconfigure():\n"
        "    path = pathlib.Path('kito-artifacts/small.keras')\n"
        "    path.write_bytes(path.read_bytes()[:-1] + b'x')\n"
    )
    run = act(model_repository, gate({"models": "small", "publish": "release"}))
    assert not run.passed
    assert run.echoed("passed") == ["true"]
    assert "small.keras: is not what was proved" in run.log
    assert run.asked == []


FORK = {"pull_request": {"head": {"repo": {"full_name": "stranger/models"}}}}


@pytest.mark.parametrize(
    "inputs, said",
    [
        ({"publish": "release"}, "input 'publish'"),
        ({"attest": "true"}, "input 'attest'"),
        ({"device": "gpu"}, "a fork's pull request would run its code on a GPU runner"),
    ],
)
def test_a_forks_pull_request_is_refused_what_it_may_not_do(
    act: Act, model_repository: Path, inputs: dict[str, str], said: str
) -> None:
    # act itself does not say whose runner it is.
    env = {"RUNNER_ENVIRONMENT": "github-hosted"}
    run = act(model_repository, gate(inputs), event="pull_request", payload=FORK, env=env)
    assert not run.passed
    assert said in run.log
    assert "Run Main Install" not in run.log
    assert run.asked == []


def test_a_wrong_input_is_named_with_what_is_allowed(act: Act, model_repository: Path) -> None:
    run = act(model_repository, gate({"device": "tpu"}))
    assert not run.passed
    assert "input 'device': tpu is not allowed; allowed: auto, cpu, gpu" in run.log
    assert "Run Main Install" not in run.log


HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    "a'; touch pwned; '",
    'a"; touch pwned; "',
    "a\n::set-output name=passed::true\n::error::pwned",
    "a\n::add-path::/pwned",
    "--collect-only",
    "../pwned",
]
OTHERS = {
    "pytest-args": '"$(touch pwned)',
    "install": "--index-url=$(touch pwned)",
    "requirements": "$(touch pwned)\n::add-path::/pwned",
    "extras": "onnx,$(touch pwned)",
    "config": "kito.yaml\n::add-path::/pwned",
    "artifacts-dir": "`touch pwned`",
    "release-tag": "v1;touch pwned",
    "upload-artifacts": "../$(touch pwned)",
    "shard": "1/$(touch pwned)",
    "upload-report": "$(touch pwned)",
}


def test_hostile_input_stays_data(act: Act, model_repository: Path) -> None:
    given = [("models", value) for value in HOSTILE] + list(OTHERS.items())
    steps = [
        {
            "id": f"s{index}",
            "uses": ACTION,
            "continue-on-error": True,
            "with": {"install": "pytest-kito", name: value},
        }
        for index, (name, value) in enumerate(given)
    ]
    outcomes = "".join(
        f"echo 'outcome={name} ${{{{ steps.s{index}.outcome }}}}'\n"
        for index, (name, _) in enumerate(given)
    )
    show = {"run": f'{outcomes}echo "left=$(ls -x)"\necho "path=$PATH"\n'}
    run = act(model_repository, job(yaml.safe_dump([*steps, show], width=1000)))
    assert run.passed, run.log
    assert run.echoed("outcome") == [f"{name} failure" for name, _ in given]
    assert run.echoed("left")[0].split() == ["kito.yaml", "nets.py"]
    assert "/pwned" not in run.echoed("path")[0]
    assert "collected" not in run.log
    # The steps that got as far as installing had asked for the cache of pip.
    assert (run.state / "cache").read_text().startswith("kito-pip-Linux-")
    for name in OTHERS:
        assert f"input '{name}'" in run.log
