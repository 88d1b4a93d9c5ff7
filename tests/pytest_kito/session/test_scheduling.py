"""Under pytest-xdist: which worker runs which check, and how often a model is built."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from pytest_kito.config.load import Config, load_config
from pytest_kito.session.scheduling import TIMED, scheduler, scope_of

Repository = Callable[[str], pytest.Pytester]
MODELS = """
    version: 1
    models:
      first:
        source: "counted:net"
        artifacts: [keras, onnx]
        speedup: {device: cpu, batch_size: [1, 2], budget_s: 0.2, engines: {onnx: {batch_size: 1}}}
      plain: {source: "counted:net"}
      second: {source: "counted:net", speedup: {device: cpu, batch_size: 1, budget_s: 0.2}}
"""
COUNTED = """
import os
import nets


def net():
    with open("built.txt", "a") as file:
        print(os.environ.get("PYTEST_XDIST_WORKER", "main"), file=file)
    return nets.net()
"""
WHO = """
import os
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    with open("ran.txt", "a") as file:
        print(item.nodeid, os.environ.get("PYTEST_XDIST_WORKER"), file=file)
    return (yield)
"""


@pytest.mark.backends("tensorflow")
@pytest.mark.slow
def test_timings_run_on_one_worker_and_no_model_is_built_twice(repository: Repository) -> None:
    folder = repository(MODELS)
    folder.makeconftest(WHO)
    folder.makepyfile(counted=COUNTED)
    folder.makepyfile(test_own="def test_one(): pass\ndef test_two(): pass")
    result = folder.runpytest_subprocess("--kito-check", "--kito-report=report.json", "-n", "2")
    result.assert_outcomes(passed=16)
    # The controller collects nothing; it goes by what is declared.
    announced = "kito: 4 speed-ups to measure, at most 1 s each, at most 1 s in all"
    assert result.outlines.count(announced) == 1
    workers: dict[str, set[str]] = defaultdict(set)
    for line in (folder.path / "ran.txt").read_text().splitlines():
        nodeid, worker = line.split(" ")
        workers[nodeid.split("::")[1]].add(worker)
    assert len(workers["first"] | workers["second"]) == 1
    assert len(workers["plain"]) == 1
    assert workers["plain"] != workers["first"]
    assert len((folder.path / "built.txt").read_text().splitlines()) == 3
    report = json.loads((folder.path / "report.json").read_text())
    assert [model["name"] for model in report["models"]] == ["first", "plain", "second"]
    for model in report["models"]:
        for data in model["speedup"]:
            assert data["under_load"] is True
            assert "measured under load: 2 workers" in data["warnings"][-1]


@pytest.mark.parametrize(
    "dist, workers, own",
    [
        ("load", 2, ("a.py::A::x", "a.py::A::y")),
        ("worksteal", 2, ("a.py::A::x", "a.py::A::y")),
        ("loadscope", 2, ("a.py::A", "a.py::A")),
        ("loadgroup", 2, ("a.py::A::x", "mine")),
        ("loadfile", 2, None),
        ("each", 2, None),
        ("load", 1, None),
    ],
)
def test_other_tests_go_where_the_distribution_sends_them(
    dist: str,
    workers: int,
    own: tuple[str, str] | None,
    declared: Config,
    tmp_path: Path,
    pytester: pytest.Pytester,
) -> None:
    config = pytester.parseconfig("--dist", dist, "--tx", f"{workers}*popen", "--rootdir", tmp_path)
    made = scheduler(config, None, declared)
    if own is None:
        assert made is None
        return
    assert isinstance(made, LoadScopeScheduling)
    tests = ("a.py::A::x", "a.py::A::y@mine" if dist == "loadgroup" else "a.py::A::y")
    assert tuple(map(made._split_scope, tests)) == own
    assert made._split_scope("sub/models.yaml::fast::speedup[1]") == TIMED


@pytest.fixture
def declared(tmp_path: Path) -> Config:
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "models.yaml"
    path.write_text(
        "{version: 1, models: {fast: {source: 'a:b', speedup: {}}, small: {source: 'a:b'}}}"
    )
    return load_config(path)


@pytest.mark.parametrize(
    "nodeid, scope",
    [
        ("sub/models.yaml::fast::speedup[1]", TIMED),
        ("sub/models.yaml::fast::reduction", TIMED),
        ("sub/models.yaml::small::reduction", "sub/models.yaml::small"),
        ("models.yaml::small::reduction", None),
        ("sub/test_models.py::test_one", None),
        ("sub/test_models.py::TestFast::test_one", None),
        ("sub/models.yaml::unknown::reduction", None),
    ],
)
def test_checks_stay_together(
    nodeid: str, scope: str | None, declared: Config, tmp_path: Path
) -> None:
    assert scope_of(nodeid, tmp_path, declared) == scope


def test_a_file_outside_of_the_root_directory_is_known(declared: Config, tmp_path: Path) -> None:
    nodeid = "../sub/models.yaml::fast::reduction"
    assert scope_of(nodeid, tmp_path / "root", declared) == TIMED
