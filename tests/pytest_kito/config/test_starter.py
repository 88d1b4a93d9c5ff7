"""``kito init``: what it finds in a repository, and what it writes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import yaml

from kito.errors import KitoError
from kito.runtime.model_file import FileInput
from pytest_kito.config.load import Config, load_config
from pytest_kito.config.starter.builders import find_builders
from pytest_kito.config.starter.companions import workflow
from pytest_kito.config.starter.find import fits
from pytest_kito.config.starter.write import Written, write_starter

ROOT = Path(__file__).parents[3]
L = keras.layers


def save(path: Path, size: int | None = 8, inputs: str = "image") -> None:
    """Save a small model of random weights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = keras.Input((size, size, 3), name=inputs)
    x = L.ReLU(name="relu")(L.BatchNormalization(name="bn")(L.Conv2D(4, 3, name="conv")(image)))
    x = L.Dense(2, name="scores")(L.GlobalAveragePooling2D(name="pool")(x))
    model = keras.Model(image, x, name="net")
    rng = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    model.save(path)


def one_file(folder: Path) -> None:
    save(folder / "model.keras")


def folders_with_data(folder: Path) -> None:
    for name in ("small", "1"):
        save(folder / "models" / name / f"{name}.keras")
        arrays = {"image": np.random.default_rng(0).random((6, 8, 8, 3), "float32")}
        np.savez(folder / "models" / name / "data.npz", **arrays)
    save(folder / "models" / "open" / "open.keras", size=None)
    np.savez(folder / "models" / "open" / "data.npz", other=np.zeros((6, 8)), more=np.zeros(6))


def package(folder: Path) -> None:
    (folder / "lab").mkdir()
    (folder / "lab" / "__init__.py").touch()
    (folder / "lab" / "nets.py").write_text(
        dedent("""
        import keras


        def build_digits(width=4):
            x = image = keras.Input((8, 8, 3), name="image")
            x = keras.layers.BatchNormalization()(keras.layers.Conv2D(width, 3)(x))
            return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


        def build_wide(width):
            return build_digits(width)
        """)
    )


REPOSITORIES = [one_file, folders_with_data, package]


def written(folder: Path, **options: bool) -> tuple[Written, Config, dict[str, Any]]:
    """What was written, the kito.yaml as it is read, and its models as plain values."""
    made = write_starter(folder, **options)
    path = folder / "kito.yaml"
    return made, load_config(path), yaml.safe_load(path.read_text("utf-8"))["models"]


def test_one_file_is_declared(tmp_path: Path) -> None:
    one_file(tmp_path)
    made, config, models = written(tmp_path)
    assert (made.models, made.offered) == (("model",), ())
    assert models == {"model": {"source": "model.keras"}}
    [spec] = config.models
    assert spec.speedup is not None
    assert (spec.speedup.device, spec.speedup.minimum) == ("cpu", None)
    assert (tmp_path / "kito.yaml").read_text().count("#") > 5


def test_models_in_folders_are_compared_on_the_data_beside_them(tmp_path: Path) -> None:
    folders_with_data(tmp_path)
    with h5py.File(tmp_path / "models" / "arrays.h5", "w") as file:
        file["x"] = np.zeros(3)
    (tmp_path / "models" / "no.keras").write_text("version https://git-lfs.github.com/spec")
    _, _, models = written(tmp_path)
    text = (tmp_path / "kito.yaml").read_text()
    assert "# It cannot be read here: it is not a zip archive" in text
    assert models == {
        "1": {"source": "models/1/1.keras", "inputs": {"data": "models/1/data.npz"}},
        "open": {
            "source": "models/open/open.keras",
            "inputs": {"shape": {"image": [96, 96, 3]}},
        },
        "no": {"source": "models/no.keras"},
        "small": {
            "source": "models/small/small.keras",
            "inputs": {"data": "models/small/data.npz"},
        },
    }
    assert "# inputs: {data: models/open/data.npz}     # samples of your own, with one " in text


def test_functions_are_declared_where_there_are_no_files(tmp_path: Path) -> None:
    package(tmp_path)
    made, _, models = written(tmp_path)
    assert (made.models, made.offered) == (("digits",), ("lab.nets:build_wide",))
    assert models == {"digits": {"source": "lab.nets:build_digits", "weights": "random"}}
    assert "  #   kwargs: {width: ...}\n" in (tmp_path / "kito.yaml").read_text()


def test_functions_are_offered_beside_files(tmp_path: Path) -> None:
    one_file(tmp_path)
    package(tmp_path)
    made, _, models = written(tmp_path)
    assert list(models) == ["model"]
    assert made.offered == ("lab.nets:build_digits", "lab.nets:build_wide")
    # Uncommented, what is offered is valid.
    path = tmp_path / "kito.yaml"
    text = re.sub(r"^  # ((?:  )?[a-z].*:.*)$", r"  \1", path.read_text(), flags=re.MULTILINE)
    path.write_text(text)
    assert [x.name for x in load_config(path).models] == ["model", "digits", "wide"]


def test_many_functions_are_not_all_offered(tmp_path: Path) -> None:
    one_file(tmp_path)
    code = "import keras\n" + "".join(f"def build_{i}(): pass\n" for i in range(25))
    (tmp_path / "nets.py").write_text(code)
    made, _, _ = written(tmp_path)
    assert len(made.offered) == 20
    assert (tmp_path / "kito.yaml").read_text().endswith("  # and 5 more functions\n")


def test_there_is_nothing_to_declare(tmp_path: Path) -> None:
    with pytest.raises(KitoError, match=r"no \.keras or \.h5 files here, and no functions"):
        write_starter(tmp_path)
    (tmp_path / "nets.py").write_text("import keras\ndef build_net(size): pass\n")
    with pytest.raises(KitoError, match=r"nets:build_net \(nets.py:2\) needs size"):
        write_starter(tmp_path)
    assert [x.name for x in tmp_path.iterdir()] == ["nets.py"]


@pytest.mark.parametrize(
    "code, found",
    [
        ("def build_net(a, /, b, c=1, *d, e, f=2, **g): pass", ("net", ("a", "b", "e"))),
        ("def get_model(): pass", ("model", ())),
        ("def small_model(): pass", ("small", ())),
        ("def create_unet(): pass", ("unet", ())),
        ("def anything() -> keras.Model: pass", ("anything", ())),
        ("def anything() -> 'keras.Sequential': pass", ("anything", ())),
        ("def anything(x) -> keras.Model: pass", None),
        ("def build_net() -> int: pass", None),
        ("def build_optimizer(): pass", None),
        ("def get_images(): pass", None),
        ("def _build_net(): pass", None),
        ("class A:\n    def build_net(self): pass", None),
        ("async def build_net(): pass", None),
    ],
)
def test_a_function_looks_like_a_builder(
    tmp_path: Path, code: str, found: tuple[str, tuple[str, ...]] | None
) -> None:
    (tmp_path / "nets.py").write_text(f"from keras import layers\n{code}\n")
    builders = [(x.name, x.required) for x in find_builders(tmp_path).builders]
    assert builders == ([] if found is None else [found])


@pytest.mark.parametrize(
    "code, found",
    [
        ("def build_net(): pass", ("net", (), "torch")),
        ("def anything() -> nn.Module: pass", ("anything", (), "torch")),
        ("class Net(nn.Module):\n    def forward(self, x): pass", ("net", (), "torch")),
        (
            "class Net(torch.nn.Module):\n    def __init__(self, a, b=1): pass\n"
            "    def forward(self, x): pass",
            ("net", ("a",), "torch"),
        ),
        ("class Net(nn.Module): pass", None),
        ("class Loss(nn.Module):\n    def forward(self, x): pass", None),
        ("class Net:\n    def forward(self, x): pass", None),
        ("class Block(nn.Module):\n    def forward(self, x): pass\nBlock()", None),
        ("import keras\ndef build_net(): pass", ("net", (), "keras")),
        ("import keras\ndef build_net() -> nn.Module: pass", ("net", (), "torch")),
        ("import keras\ndef build_net() -> nn.Sequential: pass", ("net", (), "torch")),
        ("import keras\ndef build_net() -> keras.Sequential: pass", ("net", (), "keras")),
    ],
)
def test_what_builds_a_module_of_pytorch(
    tmp_path: Path, code: str, found: tuple[str, tuple[str, ...], str] | None
) -> None:
    (tmp_path / "nets.py").write_text(f"import torch\nfrom torch import nn\n{code}\n")
    builders = [(x.name, x.required, x.framework) for x in find_builders(tmp_path).builders]
    assert builders == ([] if found is None else [found])


def test_modules_are_declared_as_such(tmp_path: Path) -> None:
    package(tmp_path)
    (tmp_path / "lab" / "torch_nets.py").write_text("import torch\ndef build_unet(): pass\n")
    made, config, models = written(tmp_path, with_test=True)
    assert made.models == ("digits", "unet")
    assert models["unet"] == {
        "source": "lab.torch_nets:build_unet",
        "framework": "torch",
        "weights": "random",
    }
    assert [x.framework for x in config.models] == ["keras", "torch"]
    tests = (tmp_path / "tests" / "test_kito.py").read_text()
    compile(tests, "test_kito.py", "exec")
    assert "@pytest.mark.kito_model('digits')\ndef test_the_reduced_model_takes_and" in tests
    assert "@pytest.mark.kito_model('unet')\ndef test_the_reduced_module_takes" in tests


def test_code_is_read_where_it_can_be_imported_and_never_run(tmp_path: Path) -> None:
    code = b"import keras\nopen('ran', 'w')\ndef build_net(): pass\n"
    for name in (
        "nets.py",
        "src/lab/__init__.py",
        "src/lab/deep/nets.py",
        "tests/nets.py",
        "test_nets.py",
        ".venv/nets.py",
        "no-name/nets.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(code)
    (tmp_path / "other.py").write_bytes(code.replace(b"import keras", b"import argparse"))
    for i, broken in enumerate((b"def (", b"\0", b"\xff", b"(" * 10_000, b"'\\d'\n")):
        (tmp_path / f"broken_{i}.py").write_bytes(broken)
    assert [x.source for x in find_builders(tmp_path).builders] == [
        "nets:build_net",
        "lab:build_net",
        "lab.deep.nets:build_net",
    ]
    assert not (tmp_path / "ran").exists()
    assert not Path("ran").exists()


def test_custom_classes_are_named_with_the_dict_that_holds_them(tmp_path: Path) -> None:
    class Block(L.Layer):
        def call(self, x: Any) -> Any:
            return x

    Block.__module__ = "lab.layers"
    x = keras.Input((3,), name="x")
    keras.Model(x, Block()(x)).save(tmp_path / "custom.keras")
    _, _, models = written(tmp_path)
    assert models == {"custom": {"source": "custom.keras"}}
    text = (tmp_path / "kito.yaml").read_text()
    assert "# It needs Block of lab.layers: in a dict" in text
    assert "# custom_objects: package.module:NAME" in text
    (tmp_path / "kito.yaml").unlink()
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "layers.py").write_text("CUSTOM_OBJECTS = {'Block': Block}\n")
    _, _, models = written(tmp_path)
    assert models["custom"]["custom_objects"] == "lab.layers:CUSTOM_OBJECTS"


FLOAT, WHOLE = FileInput((8, None), "float32"), FileInput((4,), "int64")


@pytest.mark.parametrize(
    "headers, inputs, expected",
    [
        ({"x": ((6, 8, 5), "f", 1)}, {"x": FLOAT}, True),
        ({"y": ((6, 8, 5), "f", 1)}, {"x": FLOAT}, True),
        ({"x": ((6, 8, 5), "f", 1), "y": ((6,), "f", 1)}, {"x": FLOAT}, False),
        ({"x": ((6, 8, 5), "f", 1), "y": ((6, 4), "i", 1)}, {"x": FLOAT, "y": WHOLE}, True),
        ({"x": ((5, 8, 5), "f", 1), "y": ((6, 4), "i", 1)}, {"x": FLOAT, "y": WHOLE}, False),
        ({"x": ((6, 4), "f", 1)}, {"x": WHOLE}, False),
        ({"x": ((6, 7, 5), "f", 1)}, {"x": FLOAT}, False),
        ({"x": ((1, 8, 5), "f", 1)}, {"x": FLOAT}, False),
        ({"x": ((6, 8, 5), "U", 1)}, {"x": FLOAT}, False),
        ({"x": ((6, 8, 5), "f", 10**9)}, {"x": FLOAT}, False),
        ({}, {}, False),
    ],
)
def test_arrays_fit_the_inputs(headers: Any, inputs: Any, expected: bool) -> None:
    assert fits(headers, inputs) is expected


def files(folder: Path) -> set[str]:
    return {x.relative_to(folder).as_posix() for x in folder.rglob("*")}


@pytest.mark.parametrize(
    "present, companions",
    [("kito.yaml", False), (".github/workflows/kito.yml", True), ("tests/test_kito.py", True)],
)
def test_nothing_is_overwritten_and_nothing_half_written(
    tmp_path: Path, present: str, companions: bool
) -> None:
    one_file(tmp_path)
    (tmp_path / present).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / present).write_text("mine")
    before = files(tmp_path)
    with pytest.raises(KitoError, match=rf"{present} exists already; kito init overwrites nothing"):
        write_starter(tmp_path, with_workflow=companions, with_test=companions)
    assert files(tmp_path) == before
    assert (tmp_path / present).read_text() == "mine"


def test_all_files_that_are_there_are_named_at_once(tmp_path: Path) -> None:
    one_file(tmp_path)
    write_starter(tmp_path, with_workflow=True, with_test=True)
    with pytest.raises(KitoError, match=r"/kito.yml, .*/tests/test_kito.py exist already"):
        write_starter(tmp_path, with_workflow=True, with_test=True)


def test_what_goes_with_a_kito_yaml_can_be_written_later(tmp_path: Path) -> None:
    (tmp_path / "kito.yaml").write_text("mine")
    made = write_starter(tmp_path, with_workflow=True)
    assert made == Written((Path(".github/workflows/kito.yml"),), (), ())
    assert (tmp_path / "kito.yaml").read_text() == "mine"


def test_a_file_that_cannot_be_written_takes_the_others_with_it(tmp_path: Path) -> None:
    one_file(tmp_path)
    (tmp_path / "tests").touch()  # no folder
    before = files(tmp_path)
    with pytest.raises(OSError, match="tests"):
        write_starter(tmp_path, with_workflow=True, with_test=True)
    assert files(tmp_path) == before


def test_a_file_that_appears_meanwhile_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_file(tmp_path)
    os.symlink(tmp_path / "nowhere", tmp_path / "kito.yaml")  # it is not seen by exists()
    with pytest.raises(KitoError, match=r"kito.yaml exists already"):
        write_starter(tmp_path)
    assert (tmp_path / "kito.yaml").is_symlink()


def test_the_workflow_uses_what_the_actions_declare(tmp_path: Path) -> None:
    text = workflow(tmp_path, with_test=False)
    made = yaml.safe_load(text)
    gate, publish = made["jobs"]["gate"], made["jobs"]["publish"]
    assert made["permissions"] == {}
    assert gate["permissions"] == {"contents": "read"}
    assert publish["needs"] == "gate"
    assert publish["if"] == "startsWith(github.ref, 'refs/tags/')"
    for job, action in ((gate, "action"), (publish, "action/publish")):
        step = job["steps"][-1]
        assert step["uses"] == f"OWNER/pytest-kito/{action}@COMMIT"
        declared = yaml.safe_load((ROOT / action / "action.yml").read_text("utf-8"))["inputs"]
        assert set(step["with"]) <= set(declared)
    # The third-party action is the one that the document names.
    readme = (ROOT / "action" / "README.md").read_text("utf-8")
    [pinned] = re.findall(r"uses: (actions/.*)", text)
    assert f"uses: {pinned}\n" in readme
    for permission in re.findall(r"\w+(?:-\w+)?: write # .*", text):
        assert permission in readme


def test_the_workflow_is_that_of_its_repository(tmp_path: Path) -> None:
    plain = yaml.safe_load(workflow(tmp_path, with_test=False))["jobs"]["gate"]["steps"]
    assert "lfs" not in plain[0]["with"]
    assert not {"requirements", "pytest-args"} & set(plain[1]["with"])
    (tmp_path / ".gitattributes").write_text("*.keras filter=lfs diff=lfs merge=lfs -text\n")
    (tmp_path / "requirements.txt").touch()
    steps = yaml.safe_load(workflow(tmp_path, with_test=True))["jobs"]["gate"]["steps"]
    assert steps[0]["with"]["lfs"] is True
    assert steps[1]["with"]["requirements"] == "requirements.txt"
    assert steps[1]["with"]["pytest-args"] == "tests/test_kito.py"


def run_pytest(folder: Path, *args: str) -> str:
    """The last line of pytest in a folder, in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


@pytest.mark.slow
@pytest.mark.parametrize("make", REPOSITORIES)
def test_what_was_written_passes_as_it_is(tmp_path: Path, make: Any) -> None:
    make(tmp_path)
    made, _, _ = written(tmp_path, with_workflow=True, with_test=True)
    out = run_pytest(tmp_path, "--kito-check", "kito.yaml", "tests/test_kito.py")
    # Four checks of each model, and the test.
    assert f"{5 * len(made.models)} passed" in out


def test_the_command_says_what_it_wrote_and_needs_no_keras(tmp_path: Path) -> None:
    one_file(tmp_path)
    package(tmp_path)
    code = (
        "import sys; from pytest_kito.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as exit_: assert exit_.code == 0\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )

    def init(*options: str) -> str:
        command = [sys.executable, "-c", code, "init", "--workflow", "--test", *options]
        made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return made.stdout

    assert init() == (
        "wrote kito.yaml, .github/workflows/kito.yml, tests/test_kito.py with 1 model\n"
        "2 functions that may build a model: uncomment in kito.yaml what is to be checked\n"
        "replace OWNER and COMMIT in .github/workflows/kito.yml, as its first lines say\n"
        "now run: pytest --kito-check\n"
    )
    names = ["kito.yaml", ".github/workflows/kito.yml", "tests/test_kito.py"]
    for name in names:
        (tmp_path / name).unlink()
    assert json.loads(init("--json")) == {
        "files": names,
        "models": ["model"],
        "offered": ["lab.nets:build_digits", "lab.nets:build_wide"],
    }
