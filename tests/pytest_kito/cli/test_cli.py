"""The command line: answers, exit codes, and one line for what is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import yaml

import kito
from kito.export.formats import onnx
from kito.export.publishing import update_manifest
from pytest_kito.cli.app import app, main

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


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["explain"], id="explain"),
        pytest.param(
            ["reduce", "-o", "out.tflite"], id="reduce", marks=pytest.mark.backends("tensorflow")
        ),
    ],
)
def test_strict_refuses_what_would_be_shared(
    folder: Path, capsys: pytest.CaptureFixture[str], models_source: str, command: list[str]
) -> None:
    (folder / "bound.py").write_text(models_source)
    assert run(*command, "bound:sharing") == 0
    assert "shared: 1\n  bound: its get_config() loses 'factor'" in capsys.readouterr().out
    assert run(*command, "bound:sharing", "--strict") == 2
    assert "'bound' (its get_config() loses" in capsys.readouterr().err


def test_reduce_says_no_where_the_file_differs(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = keras.models.load_model(folder / "wrong.keras")
    monkeypatch.setattr(keras.models, "load_model", lambda *args, **kwargs: wrong)
    assert run("reduce", "model.keras", "-o", "out.keras", "--json") == 1
    result = json.loads(capsys.readouterr().out)
    assert result["equivalence"]["passed"] is True
    assert result["written"] is False
    assert "run by Keras, differs" in result["message"]
    assert not (folder / "out.keras").exists()


def test_explain_says_what_is_kept_and_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("explain", "model.keras", "--passes", "fold_batchnorm") == 0
    out = capsys.readouterr().out
    assert "late: " in out
    one = "BatchNormalization -> Conv2D before it: 1 layer (bn)\n    saves 2 operations, "
    assert "fold_batchnorm: 1 rewrite; saves 2 operations, 144 multiplications, 16 par" in out
    assert f"\n  {one}" in out
    assert run("explain", "model.keras", "--passes", "fold_batchnorm", "--all") == 0
    out = capsys.readouterr().out
    assert "\n  bn -> conv\n" in out
    assert one not in out


def test_explain_writes_a_page_with_the_drawing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("explain", "model.keras", "--html", "net.html") == 0
    assert "fold_affine" in capsys.readouterr().out
    page = (folder / "net.html").read_text("utf-8")
    assert {x.name for x in folder.iterdir()} == {"model.keras", "wrong.keras", "net.html"}
    assert "<title>net: what is folded into what</title>" in page
    assert "→ folded into conv" in page
    assert "<tr><th scope=row>bn</th><td>BatchNormalization</td>" in page
    assert "http" not in page
    for where, problem in (("no/net.html", "no directory no"), (".", "is a directory")):
        assert run("explain", "model.keras", "--html", where) == 2
        assert problem in capsys.readouterr().err
    monkeypatch.setattr("kito.drawing.layout.is_installed", lambda: False)
    assert run("explain", "model.keras", "--html", "other.html") == 2
    assert "pip install 'pytest-kito[report]'" in capsys.readouterr().err
    assert not (folder / "other.html").exists()


def test_compare_answers_by_exit_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", "model.keras", "model.keras") == 0
    assert "the same" in capsys.readouterr().out
    assert run("compare", "model.keras", "wrong.keras") == 1
    assert "'scores' differs by 1" in capsys.readouterr().out
    assert run("compare", "model.keras", "wrong.keras", "--atol", "1.1") == 1  # insensitive then
    np.savez(folder / "data.npz", image=np.random.default_rng(0).random((4, 8, 8, 3)))
    assert run("compare", "model.keras", "wrong.keras", "--data", "data.npz", "--json") == 1
    assert json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))["samples"] == 4


def test_json_has_every_field_of_the_results(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [keras.models.load_model(folder / name) for name in ("model.keras", "wrong.keras")]
    comparison = kito.compare(*models)
    assert comparison.departure is not None
    assert run("compare", "model.keras", "wrong.keras", "--json") == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(
        json.dumps({**asdict(comparison), "message": comparison.message()})
    )
    reduction = kito.reduce(models[0])
    assert run("explain", "model.keras", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    names = ("layers", "parameters", "batchnorms", "precomputed", "opened", "seconds")
    assert set(printed) == {*names, "rewrites", "kept", "shared", "patterns"}
    assert printed["layers"] == list(reduction.layers)
    assert printed["rewrites"] == json.loads(json.dumps([asdict(x) for x in reduction.rewrites]))
    assert printed["kept"] == [asdict(x) for x in reduction.kept]
    assert printed["patterns"] == json.loads(json.dumps([asdict(x) for x in reduction.patterns]))


def test_json_has_no_infinity(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = keras.Input((3,), name="x")
    for name, kernel in (("zeros", "zeros"), ("ones", "ones")):
        keras.Model(x, L.Dense(2, kernel_initializer=kernel, name="y")(x)).save(f"{name}.keras")
    assert run("compare", "zeros.keras", "ones.keras", "--json") == 1
    out = capsys.readouterr().out
    assert json.loads(out)["outputs"]["y"]["required_rtol"] is None
    assert "Infinity" not in out


def test_what_a_source_prints_is_no_part_of_the_answer(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "noisy_source.py").write_text(
        "import keras\n"
        "def net():\n"
        "    print('building')\n"
        "    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])\n"
    )
    assert run("explain", "noisy_source:net", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["batchnorms"] == [0, 0]
    assert "building" in captured.err


def test_bench_measures_against_the_reduction(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bench", "model.keras", "--batch-size", "2", "--budget", "0.5", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["low"] <= result["ratio"] <= result["high"]
    args = ["--batch-size", "1", "--budget", "0.5", "--minimum", "1000"]
    assert run("bench", "model.keras", "wrong.keras", *args) == 1
    assert "\nfail: at most " in capsys.readouterr().out
    assert run("bench", "model.keras", "--jit", "perhaps") == 2
    assert "it must be one of auto, on, off" in capsys.readouterr().err
    assert run("bench", "model.keras", "--budget", "long") == 2
    assert "'long' is neither; give a number of seconds, or auto" in capsys.readouterr().err


@pytest.mark.backends("tensorflow")
def test_bench_measures_exported_models_in_an_engine(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = onnx.write

    def wrong(model: Any, path: Path, *more: Any) -> None:
        write(keras.models.clone_model(model), path, *more)  # with other weights

    args = ["--engine", "onnx", "--batch-size", "2", "--budget", "4"]
    assert run("bench", "model.keras", *args, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["engine"], result["against"], result["batch_size"]) == ("onnx", "onnx", 2)
    assert (
        run("bench", "model.keras", "wrong.keras", *args, "--budget", "20", "--minimum", "1000")
        == 1
    )
    out = capsys.readouterr().out
    assert "at batch 2 on '" in out
    assert ", both in ONNX Runtime 1." in out
    assert "\nfail: at most " in out
    monkeypatch.setattr(onnx, "write", wrong)
    assert run("bench", "model.keras", *args) == 2
    differs = "'net', exported and run by ONNX Runtime, differs: output 'scores' differs by "
    assert differs in capsys.readouterr().err
    assert run("bench", "model.keras", "--engine", "onx") == 2
    assert "no engine 'onx'; did you mean 'onnx'?" in capsys.readouterr().err


def test_init_declares_the_models_that_are_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "sub dir").mkdir()
    (folder / "wrong.keras").rename(folder / "sub dir" / "model.keras")
    (folder / "con.keras").touch()
    (folder / "two\nlines: #.keras").touch()
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "kito-manifest.json").touch()
    (folder / "artifacts" / "reduced.keras").touch()
    assert run("init") == 0
    from pytest_kito.config.load import load_config

    config = load_config(folder / "kito.yaml")
    sources = {spec.name: spec.source for spec in config.models}
    assert sources == {
        "con_": "con.keras",
        "model": "model.keras",
        "model_2": "sub dir/model.keras",
        "two_lines_": "two\nlines: #.keras",
    }
    before = (folder / "kito.yaml").read_text()
    assert yaml.safe_load(before)["version"] == 1
    assert run("init") == 2
    assert "exists already" in capsys.readouterr().err
    assert (folder / "kito.yaml").read_text() == before


def test_init_leaves_nothing_where_a_file_cannot_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / os.fsdecode(b"\xff.keras")).touch()
    assert run("init") == 2
    assert "the file name '\\udcff.keras' is not UTF-8" in capsys.readouterr().err
    assert not (tmp_path / "kito.yaml").exists()


class TestWhatIsNotForeseen:
    @pytest.fixture
    def broken(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Makes ``kito init`` raise an error."""

        def broken(error: BaseException) -> None:
            def raises(*_: Any, **__: Any) -> None:
                raise error

            monkeypatch.setattr("pytest_kito.config.starter.write.write_starter", raises)

        return broken

    def test_is_one_line_and_shows_its_traceback_on_demand(
        self, broken: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken(ZeroDivisionError("two\nlines \x1b[31m"))
        assert run("init") == 2
        assert capsys.readouterr().err == (
            "kito: unexpected ZeroDivisionError: two lines \\x1b[31m; please report it, with what "
            "kito --debug shows\n"
        )
        assert run("--debug", "init") == 2
        shown = capsys.readouterr().err
        assert shown.startswith("Traceback (most recent call last):\n")
        assert "in raises\n" in shown
        assert "\nkito: unexpected ZeroDivisionError: two lines " in shown
        assert "\x1b" not in shown
        assert run("init") == 2
        assert "Traceback" not in capsys.readouterr().err
        monkeypatch.setenv("KITO_DEBUG", "1")
        assert run("init") == 2
        assert capsys.readouterr().err.startswith("Traceback (most recent call last):\n")

    def test_debug_shows_where_an_error_of_kito_came_from(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("--debug", "verify", str(tmp_path)) == 2
        shown = capsys.readouterr().err
        assert shown.startswith("Traceback")
        assert "\nkito: there is no kito-manifest.json" in shown

    @pytest.mark.parametrize(
        "error, code, says",
        [
            (MemoryError(), 2, "kito: there is not enough memory"),
            (RecursionError("too deep"), 2, "kito: unexpected RecursionError: too deep"),
            (PermissionError(13, "Permission denied", "x"), 2, "kito: [Errno 13] Permission"),
            (KeyboardInterrupt(), 130, ""),
        ],
        ids=lambda x: type(x).__name__,
    )
    def test_has_its_exit_code(
        self,
        broken: Any,
        capsys: pytest.CaptureFixture[str],
        error: BaseException,
        code: int,
        says: str,
    ) -> None:
        broken(error)
        assert run("init") == code
        assert capsys.readouterr().err.startswith(says)


def test_a_reader_that_is_gone_and_a_terminal_that_knows_ascii_only(tmp_path: Path) -> None:
    path = tmp_path / "1.json"
    model = {"passed": True, "reduction": None, "equivalence": None, "speedup": [], "checks": []}
    content = report("\N{PILE OF POO}")
    content |= {"environment": None, "models": [{**content["models"][0], **model}]}
    path.write_text(json.dumps(content))
    kito_main = f"{sys.executable} -c 'from pytest_kito.cli.app import main; main()'"
    for command in (f"{kito_main} summary {path}", f"{kito_main} schema | head -c 10"):
        environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
        made = subprocess.run(command, shell=True, capture_output=True, text=True, env=environ)
        assert (made.returncode, made.stderr) == (0, "")


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
    nothing_built = {**report("w", passed=False), "environment": None}
    (tmp_path / "0.json").write_text(json.dumps(nothing_built))
    capsys.readouterr()
    assert run("merge", *paths[:2]) == 1
    assert json.loads(capsys.readouterr().out)["environment"] == {"device_name": "b"}


def test_merge_says_which_models_were_not_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checked = {"name": "x", "checks": [{"check": "reduction", "outcome": "passed"}]}
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**report("x"), "models": [checked]}))
    assert run("merge", str(path), "--models", "x") == 0
    capsys.readouterr()
    assert run("merge", str(path), "--models", "x, y,z") == 1
    captured = capsys.readouterr()
    assert captured.err == "kito: not checked: y, z\n"
    assert json.loads(captured.out)["missing"] == ["y", "z"]
    # Text that cannot be a name makes no line of its own.
    path.write_text(json.dumps({**report("x"), "missing": ["\n::error::a", "v"]}))
    assert run("merge", str(path), "--models", "w,\n::error::b\x1b[2J") == 1
    assert capsys.readouterr().err == "kito: not checked: w, ::error::b\\x1b[2J, v\n"


@pytest.mark.parametrize(
    "broken",
    [
        [],
        {**report("x"), "schema_version": 2},
        {**report("x"), "passed": "no"},
        {**report("x"), "models": "name"},
        {**report("x"), "models": ["name"]},
        {**report("x"), "models": [{"name": []}]},
    ],
)
def test_merge_refuses_what_is_no_report(
    tmp_path: Path, broken: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.json").write_text(json.dumps(broken))
    assert run("merge", str(tmp_path / "no.json")) == 2
    assert "no.json is not a report" in capsys.readouterr().err


@pytest.mark.parametrize(
    "args, message",
    [
        (["explain", "nothing.keras"], "there is no such file"),
        (["explain", "json:dumps"], "json:dumps"),
        (["explain", "model.keras", "--passes", "fold_everything"], "fold_everything"),
        (["reduce", "model.keras", "-o", "model.h5"], "model.h5 has no suffix of a format"),
        (["reduce", "model.keras", "-o", "no/where.keras"], "there is no directory no"),
        (["reduce", "model.keras", "-o", "./model.keras"], "is the model itself"),
        (["reduce", "model.keras", "-o", "folder.keras"], "is a directory"),
        (["explain", "several_lines:net"], "ValueError: first second"),
        (["compare", "model.keras", "model.keras", "--data", "no.npz"], "there is no file no.npz"),
        (["verify", "."], "there is no kito-manifest.json"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(
    folder: Path, args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "folder.keras").mkdir()
    (folder / "several_lines.py").write_text("def net(): raise ValueError('first\\nsecond')\n")
    before = (folder / "model.keras").read_bytes()
    assert run(*args) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("kito: ")
    assert message in lines[0]
    assert (folder / "model.keras").read_bytes() == before


def test_a_negative_tolerance_is_wrong_use(folder: Path) -> None:
    assert run("compare", "model.keras", "model.keras", "--rtol", "-1") == 2


def test_schema_and_version_need_no_keras() -> None:
    code = (
        "import sys; from pytest_kito.cli.app import main; sys.argv = ['kito', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit as e: code = e.code\n"
        "assert not {'keras', 'tensorflow', 'numpy'} & set(sys.modules); sys.exit(code)"
    )
    for args in (["schema"], ["schema", "--report"], ["--version"], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True
        )
        assert done.stdout
        if args[0] == "schema":
            assert json.loads(done.stdout)["$schema"].endswith("2020-12/schema")


def test_standard_error_holds_nothing_but_what_is_wrong(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    code = "from pytest_kito.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", "model.keras", "missing.keras"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert not done.stdout
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("kito: source 'missing.keras'")


def test_every_command_has_help() -> None:
    assert len(app.registered_commands) == 12
    assert all(command.callback and command.callback.__doc__ for command in app.registered_commands)


def test_merge_artifacts_answers_by_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = b"weights"
    digest = hashlib.sha256(content).hexdigest()
    entry = {"format": "keras", "bytes": len(content), "sha256": digest, "versions": {}}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.keras").write_bytes(content)
        update_manifest(tmp_path / name, [{**entry, "model": name, "file": f"{name}.keras"}])
    folders = [str(tmp_path / name) for name in ("one", "two")]
    target = str(tmp_path / "all")
    assert run("merge-artifacts", *folders, "-o", target, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"files": ["one.keras", "two.keras"]}
    assert run("verify", target) == 0
    assert run("merge-artifacts", *folders, "-o", target) == 2
    (tmp_path / "file").touch()
    assert run("merge-artifacts", *folders, "-o", str(tmp_path / "file" / "all")) == 2
    assert "cannot be filled" in capsys.readouterr().err


def test_merge_artifacts_wants_exactly_what_the_report_proves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()

    def proved(name: str, **more: Any) -> dict[str, Any]:
        artifact = {"format": "keras", "file": f"{name}.keras", "sha256": digest}
        made = {"name": name, "passed": True, "not_run": [], "artifacts": [artifact]}
        return {**made, **more}

    def merge(target: str, *models: dict[str, Any], folders: tuple[str, ...] = ("one",)) -> int:
        path = tmp_path / "report.json"
        path.write_text(json.dumps({**report("x"), "models": list(models)}))
        given = [str(tmp_path / name) for name in folders]
        return run("merge-artifacts", *given, "--report", str(path), "-o", str(tmp_path / target))

    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "one.keras").write_bytes(b"weights")
    entry = {"format": "keras", "bytes": 7, "sha256": digest, "versions": {}}
    update_manifest(folder, [{**entry, "model": "one", "file": "one.keras"}])
    (tmp_path / "empty").mkdir()
    # What a model that was not proved left is no artifact.
    cut = proved("two", not_run=["speedup[1]"])
    assert merge("all", proved("one"), cut, proved("bad", passed=False)) == 0
    assert {x.name for x in (tmp_path / "all").iterdir()} >= {"one.keras", "SHA256SUMS"}
    assert merge("none", cut, folders=()) == 0
    assert merge("none", cut, folders=("empty",)) == 0
    capsys.readouterr()
    for models, folders, message in [
        ((proved("one"), proved("two")), ("one",), "two.keras is in"),
        ((proved("one"),), (), "one.keras is in"),
        ((proved("one"),), ("empty",), "one.keras is in"),
        ((), ("one",), "one.keras is in the directories of artifacts, but not in"),
        ((proved("one", artifacts=[{"file": "one.keras"}]),), ("one",), "is not a report of"),
        (tuple(proved(x) for x in ("one", "b", "c", "d", "e")), ("one",), "c.keras, d.keras, 1 o"),
    ]:
        assert merge("none", *models, folders=folders) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    assert run("merge-artifacts", "-o", str(tmp_path / "none")) == 2
