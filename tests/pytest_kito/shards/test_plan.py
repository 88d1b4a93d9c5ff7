"""``kito plan``: which models go to which job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kito.errors import KitoError
from pytest_kito.shards.plan import plan


@pytest.fixture
def config(tmp_path: Path) -> Path:
    models = "".join(f"  m{index}: {{source: 'nets:net'}}\n" for index in range(5))
    path = tmp_path / "kito.yaml"
    path.write_text(f"version: 1\nmodels:\n{models}")
    return path


def test_every_model_goes_to_one_part(config: Path) -> None:
    parts = plan(config, 2)
    assert [part.shard for part in parts] == [1, 2]
    assert sorted(name for part in parts for name in part.models) == [f"m{i}" for i in range(5)]
    assert {len(part.models) for part in parts} == {2, 3}


def test_there_are_never_more_parts_than_models(config: Path) -> None:
    assert [part.models for part in plan(config, 9, ["m3", "m1"])] == [("m1",), ("m3",)]


@pytest.mark.parametrize(
    "shards, only, said",
    [
        (0, [], "--shards 0: allowed are 1 to 256"),
        (257, [], "--shards 257"),
        (1, ["m1x"], "did you mean 'm1'?"),
        (1, ["a\n::error::b"], r"model 'a\n::error::b' is not declared"),
    ],
)
def test_what_cannot_be_planned(config: Path, shards: int, only: list[str], said: str) -> None:
    with pytest.raises(KitoError) as error:
        plan(config, shards, only)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_500_models_are_planned_in_seconds_and_without_keras(tmp_path: Path) -> None:
    models = "".join(f"  m{index}: {{source: 'nets:net'}}\n" for index in range(500))
    (tmp_path / "kito.yaml").write_text(f"version: 1\nmodels:\n{models}")
    script = (
        "import sys\nfrom pytest_kito.cli.app import main\n"
        "sys.argv = ['kito', 'plan', '--shards', '100', '--json']\n"
        "try:\n    main()\nfinally:\n    assert not {'keras', 'tensorflow'} & set(sys.modules)\n"
    )
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    parts = json.loads(done.stdout)["include"]
    assert len(parts) == 100
    assert all(len(part["models"]) == 5 for part in parts)
    assert os.times().children_user - before.children_user < 5
