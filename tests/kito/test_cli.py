"""The command line: answers, exit codes, and one line for what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml

from kito.cli import app, main

L = keras.layers


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with model.keras and wrong.keras, which is the current one."""
    image = keras.Input((8, 8, 3), name="image")
    x = L.Conv2D(4, 3, name="conv")(image)
    x = L.ReLU()(L.BatchNormalization(name="bn")(x))
    x = L.BatchNormalization(name="late")(x)
    model = keras.Model(image, L.Dense(2, name="scores")(x), name="net")
    rng = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    model.save(tmp_path / "model.keras")
    kernel, bias = model.get_layer("scores").get_weights()
    model.get_layer("scores").set_weights([kernel, bias + 1])
    model.save(tmp_path / "wrong.keras")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: str) -> int:
    """The exit code of a command, as the console script has it."""
    sys.argv = ["kito", *args]
    with pytest.raises(SystemExit) as exit_:
        main()
    code = exit_.value.code
    return code if isinstance(code, int) else 0


def test_reduce_writes_what_passed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("reduce", "model.keras", "-o", "out.keras") == 0
    out = capsys.readouterr().out
    assert "fold_affine" in out
    assert "wrote out.keras" in out
    assert "\x1b" not in out
    names = [x.name for x in keras.models.load_model(folder / "out.keras").layers]
    assert "bn" not in names
    assert "conv" in names


def test_reduce_as_json_and_by_passes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["-o", "out.keras", "--passes", "fold_batchnorm", "--json"]
    assert run("reduce", "model.keras", *args) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["batchnorms"] == [2, 1]
    assert result["kept"][0]["layer"] == "late"
    assert result["equivalence"]["passed"] is True


def test_explain_says_what_is_kept_and_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("explain", "model.keras", "--passes", "fold_batchnorm") == 0
    assert "late: " in capsys.readouterr().out


def test_compare_answers_by_exit_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", "model.keras", "model.keras") == 0
    assert "the same" in capsys.readouterr().out
    assert run("compare", "model.keras", "wrong.keras") == 1
    assert "'scores' differs by 1" in capsys.readouterr().out
    assert run("compare", "model.keras", "wrong.keras", "--atol", "1.1") == 1  # insensitive then
    np.savez(folder / "data.npz", image=np.random.default_rng(0).random((4, 8, 8, 3)))
    assert run("compare", "model.keras", "wrong.keras", "--data", "data.npz", "--json") == 1
    assert json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))["samples"] == 4


def test_bench_measures_against_the_reduction(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bench", "model.keras", "--batch-size", "2", "--budget", "0.5", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["low"] <= result["ratio"] <= result["high"]
    args = ["--batch-size", "1", "--budget", "0.5", "--minimum", "1000"]
    assert run("bench", "model.keras", "wrong.keras", *args) == 1


def test_init_declares_the_models_that_are_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "sub dir").mkdir()
    (folder / "wrong.keras").rename(folder / "sub dir" / "model.keras")
    assert run("init") == 0
    from pytest_kito.config import load_config

    config = load_config(folder / "kito.yaml")
    assert [spec.name for spec in config.models] == ["model", "model_2"]
    assert config.models[1].source == "sub dir/model.keras"
    before = (folder / "kito.yaml").read_text()
    assert yaml.safe_load(before)["version"] == 1
    assert run("init") == 2
    assert "is there already" in capsys.readouterr().err
    assert (folder / "kito.yaml").read_text() == before


def report(name: str, passed: bool = True, device: str = "a") -> dict[str, Any]:
    return {
        "schema_version": 1,
        "created": "2026-01-01T00:00:00+00:00",
        "environment": {"device_name": device},
        "passed": passed,
        "models": [{"name": name}],
    }


def test_merge_joins_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for i, data in enumerate([report("x"), report("y", device="b"), report("z", passed=False)]):
        paths.append(str(tmp_path / f"{i}.json"))
        Path(paths[-1]).write_text(json.dumps(data))
    assert run("merge", *paths[:2]) == 0
    merged = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in merged["models"]] == ["x", "y"]
    assert [x["device_name"] for x in merged["environments"]] == ["a", "b"]
    assert run("merge", *paths, "-o", str(tmp_path / "all.json")) == 1
    assert json.loads((tmp_path / "all.json").read_text())["passed"] is False
    assert run("merge", paths[0], paths[0]) == 2
    assert "model 'x' is in" in capsys.readouterr().err
    (tmp_path / "no.json").write_text("[]")
    assert run("merge", str(tmp_path / "no.json")) == 2


@pytest.mark.parametrize(
    "args, message",
    [
        (["explain", "nothing.keras"], "there is no such file"),
        (["explain", "json:dumps"], "json:dumps"),
        (["explain", "model.keras", "--passes", "fold_everything"], "fold_everything"),
        (["reduce", "model.keras", "-o", "model.onnx"], "is a .keras file"),
        (["reduce", "model.keras", "-o", "no/where.keras"], "there is no directory no"),
        (["compare", "model.keras", "model.keras", "--data", "no.npz"], "there is no file no.npz"),
        (["verify", "."], "there is no kito-manifest.json"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(
    folder: Path, args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*args) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("kito: ")
    assert message in lines[-1]
    assert not any("Traceback" in line for line in lines)


def test_schema_and_version_need_no_keras() -> None:
    code = (
        "import sys; from kito.cli import main; sys.argv = ['kito', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit as e: code = e.code\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules); sys.exit(code)"
    )
    for args in (["schema"], ["schema", "--report"], ["--version"], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True
        )
        assert done.stdout
        if args[0] == "schema":
            assert json.loads(done.stdout)["$schema"].endswith("2020-12/schema")


def test_every_command_has_help() -> None:
    assert len(app.registered_commands) == 8
    assert all(command.callback and command.callback.__doc__ for command in app.registered_commands)
