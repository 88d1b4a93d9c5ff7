from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pydantic
import pytest
import yaml

import pytest_kito
from kito.errors import KitoError
from kito.rewrite.passes.names import DEFAULT_PASSES
from pytest_kito.config.load import Config, ConfigError, ModelSpec, load_config
from pytest_kito.config.schema import config_schema

EVERY_KEY = """\
version: 1
defaults:                        # any key of a model but `source`
  tolerance: {rtol: 1.0e-4}
models:
  mobilenet:
    source: keras.applications.MobileNetV2
    kwargs: {weights: null}
    weights: random
  segmenter:
    source: models/unet.keras
    custom_objects: mylab.layers:CUSTOM_OBJECTS
    inputs:
      samples: 32
      seed: 0
      shape: {image: [256, 256, 3]}
      low: 0.0
      high: 1.0
      data: data/validation.npz
    tolerance: {rtol: 1.0e-4, atol: 0.0, outputs: {mask: {atol: 1.0e-5}}}
    equivalence: {reference: float64}
    reduction: {passes: [drop_identity, fold_affine], target: any, min_folded: 22}
    speedup:
      min: 1.2
      device: gpu
      devices: {"NVIDIA A10G": 1.3}
      batch_size: [1, 32]
      confidence: 0.95
      budget_s: 60
      on_inconclusive: fail
      engines:
        onnx: {min: 1.0}
        openvino: {against: keras, device: any, devices: {EPYC: 1.1}, batch_size: 8}
    artifacts: [keras, saved_model, onnx, openvino, litert]
    metrics:
      iou:
        source: mylab.metrics:iou
        kwargs: {classes: 21}
        data: data/validation.npz
        min: 0.6
        max: 1
        max_drop: 0.001
        higher_is_better: true
"""


def load(folder: Path, text: str | bytes) -> Config:
    """The configuration of a kito.yaml with this text, in a folder that holds three files."""
    for name in ("models/unet.keras", "data/validation.npz", "trained.weights.h5"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    path = folder / "kito.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_config(path, root=folder)


def errors(folder: Path, text: str | bytes) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        load(folder, text)
    assert isinstance(raised.value, KitoError)
    assert str(raised.value) == "\n".join(raised.value.errors)
    assert all(len(error.splitlines()) == 1 for error in raised.value.errors)
    return raised.value.errors


def model(folder: Path, keys: str, defaults: str = "{}") -> ModelSpec:
    """The one model of a file with these keys, in flow style, on line 4."""
    text = f"version: 1\ndefaults: {defaults}\nmodels:\n  net: {{source: a.b, {keys}}}\n"
    (spec,) = load(folder, text).models
    return spec


def model_errors(folder: Path, keys: str) -> tuple[str, ...]:
    return errors(folder, f"version: 1\nmodels:\n  net: {{source: a.b, {keys}}}\n")


class TestSpecs:
    def test_every_key(self, tmp_path: Path) -> None:
        config = load(tmp_path, EVERY_KEY)
        assert (config.base, config.shown) == (tmp_path, "kito.yaml")
        mobilenet, segmenter = config.models
        assert mobilenet.name == "mobilenet"
        assert mobilenet.source == "keras.applications.MobileNetV2"
        assert (mobilenet.kwargs, mobilenet.weights) == ({"weights": None}, "random")
        assert segmenter.custom_objects == "mylab.layers:CUSTOM_OBJECTS"
        assert segmenter.inputs.shape == {"image": (256, 256, 3)}
        assert segmenter.inputs.data == "data/validation.npz"
        assert (segmenter.tolerance.rtol, segmenter.tolerance.atol) == (1e-4, 0.0)
        assert segmenter.tolerance.outputs["mask"].rtol is None
        assert segmenter.tolerance.outputs["mask"].atol == 1e-5
        assert segmenter.equivalence.reference == "float64"
        assert segmenter.reduction.passes == ("drop_identity", "fold_affine")
        assert segmenter.reduction.min_folded == 22
        assert segmenter.speedup is not None
        assert (segmenter.speedup.minimum, segmenter.speedup.budget_s) == (1.2, 60.0)
        assert segmenter.speedup.devices == {"NVIDIA A10G": 1.3}
        assert segmenter.speedup.batch_size == (1, 32)
        onnx, openvino = map(segmenter.speedup.in_engine, ("onnx", "openvino"))
        assert (onnx.minimum, onnx.device, onnx.devices) == (1.0, "gpu", {})
        assert (onnx.batch_size, onnx.budget_s) == ((1, 32), 60.0)
        assert (openvino.minimum, openvino.device) == (None, "any")
        assert (openvino.devices, openvino.batch_size) == ({"EPYC": 1.1}, (8,))
        assert segmenter.speedup.engines["openvino"].against == "keras"
        assert segmenter.artifacts == ("keras", "saved_model", "onnx", "openvino", "litert")
        iou = segmenter.metrics["iou"]
        assert (iou.source, iou.kwargs) == ("mylab.metrics:iou", {"classes": 21})
        assert (iou.data, iou.higher_is_better) == ("data/validation.npz", True)
        assert (iou.minimum, iou.maximum, iou.max_drop) == (0.6, 1.0, 0.001)

    def test_defaults_of_a_model_with_a_source_alone(self, tmp_path: Path) -> None:
        spec = model(tmp_path, "")
        assert (spec.kwargs, spec.weights, spec.custom_objects) == ({}, "as-built", None)
        assert (spec.inputs.samples, spec.inputs.seed) == (32, 0)
        assert (spec.inputs.low, spec.inputs.high) == (0.0, 1.0)
        assert (spec.inputs.shape, spec.inputs.data) == ({}, None)
        assert (spec.tolerance.rtol, spec.tolerance.atol, spec.tolerance.outputs) == (
            None,
            None,
            {},
        )
        assert spec.equivalence.reference is None
        assert (spec.reduction.passes, spec.reduction.target) == (DEFAULT_PASSES, "any")
        assert (spec.reduction.min_folded, spec.reduction.max_batchnorms) == (None, None)
        assert spec.speedup is None
        assert spec.artifacts == ("keras",)
        assert spec.metrics == {}

    def test_a_metric_of_the_defaults_is_completed_by_the_model(self, tmp_path: Path) -> None:
        spec = model(
            tmp_path,
            "metrics: {accuracy: {min: 0.9}}",
            "{metrics: {accuracy: {source: a.b, max_drop: 0}, other: {source: c.d}}}",
        )
        assert sorted(spec.metrics) == ["accuracy", "other"]
        accuracy = spec.metrics["accuracy"]
        assert (accuracy.source, accuracy.data, accuracy.kwargs) == ("a.b", None, {})
        assert (accuracy.minimum, accuracy.maximum, accuracy.max_drop) == (0.9, None, 0.0)

    def test_an_empty_speedup_is_measured_without_a_minimum(self, tmp_path: Path) -> None:
        speedup = model(tmp_path, "speedup: {}").speedup
        assert speedup is not None
        assert (speedup.minimum, speedup.devices, speedup.batch_size) == (None, {}, (32,))
        assert (speedup.device, speedup.confidence, speedup.budget_s) == ("gpu", 0.95, "auto")
        assert speedup.on_inconclusive == "fail"

    def test_one_batch_size(self, tmp_path: Path) -> None:
        speedup = model(tmp_path, "speedup: {batch_size: 8}").speedup
        assert speedup is not None
        assert speedup.batch_size == (8,)

    def test_defaults_are_merged_at_every_depth(self, tmp_path: Path) -> None:
        spec = model(
            tmp_path,
            "speedup: {devices: {b: 2}}, artifacts: [onnx],"
            " kwargs: {x: null}, tolerance: {rtol: null}",
            "{speedup: {min: 1.1, devices: {a: 3, b: 4}}, artifacts: [keras, litert],"
            " kwargs: {x: 1}, tolerance: {rtol: 1, atol: 0}}",
        )
        assert spec.speedup is not None
        assert spec.speedup.minimum == 1.1
        assert spec.speedup.devices == {"a": 3, "b": 2}
        assert spec.artifacts == ("onnx",)
        assert spec.kwargs == {"x": None}
        assert (spec.tolerance.rtol, spec.tolerance.atol) == (None, 0.0)

    def test_null_removes_a_default_speedup(self, tmp_path: Path) -> None:
        assert model(tmp_path, "speedup: null", "{speedup: {min: 2}}").speedup is None

    def test_the_line_of_each_model(self, tmp_path: Path) -> None:
        mobilenet, segmenter = load(tmp_path, EVERY_KEY).models
        assert (mobilenet.line, segmenter.line) == (5, 9)

    def test_specs_cannot_be_changed(self, tmp_path: Path) -> None:
        spec = model(tmp_path, "")
        with pytest.raises(pydantic.ValidationError, match="frozen"):
            spec.weights = "random"  # type: ignore[misc]

    def test_scalars_are_those_of_yaml_1_2(self, tmp_path: Path) -> None:
        spec = model(
            tmp_path, "tolerance: {rtol: 1e-4}, kwargs: {a: no, b: 010, c: 0x1f, d: 1:30, e: -.inf}"
        )
        assert spec.tolerance.rtol == 1e-4
        assert spec.kwargs == {"a": "no", "b": 10, "c": 31, "d": "1:30", "e": float("-inf")}

    def test_anchors(self, tmp_path: Path) -> None:
        spec = model(tmp_path, "inputs: {shape: {a: &shape [4, 4], b: *shape}}")
        assert spec.inputs.shape == {"a": (4, 4), "b": (4, 4)}

    def test_a_path_outside_of_the_root_is_shown_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "absent.yaml"
        with pytest.raises(ConfigError, match="there is no such file") as raised:
            load_config(path, root=tmp_path / "elsewhere")
        assert raised.value.errors[0].startswith(f"{path}:1: ")


@pytest.mark.parametrize(
    "keys, says",
    [
        (
            "wieghts: random",
            "wieghts: unknown key; did you mean 'weights'? allowed: kwargs, weights",
        ),
        ("speedup: {mim: 1}", "speedup.mim: unknown key; did you mean 'min'? allowed: min, device"),
        (
            "tolerance: {outputs: {a: {atl: 1}}}",
            "tolerance.outputs.a.atl: unknown key; did you mean",
        ),
        ("kwargs: [1]", "kwargs: [1] is a list; allowed: a mapping"),
        (
            "weights: radnom",
            "weights: there is no file 'radnom'; did you mean 'random'?",
        ),
        ("weights: 3", "weights: 3 is a whole number; allowed: text"),
        (
            "custom_objects: my layers",
            "custom_objects: 'my layers' is not an import path; allowed: ",
        ),
        ("inputs: null", "inputs: null is no value; allowed: a mapping"),
        ("inputs: {samples: 1}", "inputs.samples: 1 is too small; allowed: 2 or more"),
        ("inputs: {samples: '8'}", "inputs.samples: '8' is text; allowed: a whole number"),
        ("inputs: {samples: true}", "inputs.samples: true is a boolean; allowed: a whole number"),
        ("inputs: {seed: -1}", "inputs.seed: -1 is too small; allowed: 0 or more"),
        ("inputs: {seed: 4294967296}", "inputs.seed: 4294967296 is too large; allowed: 4294967295"),
        ("inputs: {shape: {x: 3}}", "inputs.shape.x: 3 is a whole number; allowed: a list"),
        ("inputs: {shape: {x: [3, 0]}}", "inputs.shape.x[1]: 0 is too small; allowed: 1 or more"),
        (
            "inputs: {low: 1, high: 1}",
            "inputs.high: 1.0 is not above 'low', which is 1.0; allowed: low < high",
        ),
        (
            "inputs: {low: 5}",
            "inputs.high: 1.0 is not above 'low', which is 5.0; allowed: low < high",
        ),
        ("inputs: {low: .nan}", "inputs.low: nan is not finite; allowed: a finite number"),
        (
            "inputs: {data: no.npz}",
            "inputs.data: there is no file 'no.npz'; allowed: an .npz file or",
        ),
        (
            "inputs: {data: x.npy/z}",
            "inputs.data: 'x.npy/z' is neither; allowed: an .npz file or package",
        ),
        ("tolerance: {rtol: -1.0e-9}", "tolerance.rtol: -1e-09 is too small; allowed: 0 or more"),
        (
            "tolerance: {outputs: {a: {atol: -1}}}",
            "tolerance.outputs.a.atol: -1 is too small; allowed: 0 or more",
        ),
        (
            "equivalence: {reference: float32}",
            "equivalence.reference: 'float32' is unknown; allowed: 'float64'",
        ),
        (
            "reduction: {passes: [fold_afine]}",
            "reduction.passes[0]: unknown pass 'fold_afine'; did you mean 'fold_affine'",
        ),
        (
            "reduction: {target: tpu}",
            "reduction.target: 'tpu' is unknown; allowed: 'any', 'cpu' or 'gpu'",
        ),
        (
            "reduction: {min_folded: -1}",
            "reduction.min_folded: -1 is too small; allowed: 0 or more",
        ),
        (
            "reduction: {max_batchnorms: 1.5}",
            "reduction.max_batchnorms: 1.5 is a number; allowed: a whole number",
        ),
        ("speedup: {min: -0.1}", "speedup.min: -0.1 is too small; allowed: 0 or more"),
        ("speedup: {devices: {T4: -1}}", "speedup.devices.T4: -1 is too small; allowed: 0 or more"),
        (
            "speedup: {device: tpu}",
            "speedup.device: 'tpu' is unknown; allowed: 'gpu', 'cpu' or 'any'",
        ),
        ("speedup: {batch_size: 0}", "speedup.batch_size[0]: 0 is too small; allowed: 1 or more"),
        ("speedup: {batch_size: []}", "speedup.batch_size: is empty; allowed: 1 or more"),
        (
            "speedup: {batch_size: [1, 1]}",
            "speedup.batch_size: 1 is listed twice; allowed: each once",
        ),
        (
            "speedup: {batch_size: many}",
            "speedup.batch_size: 'many' is neither; allowed: a whole number, or a list",
        ),
        (
            "speedup: {confidence: 1}",
            "speedup.confidence: 1.0 is out of range; allowed: more than 0 and less than 1",
        ),
        (
            "speedup: {budget_s: 0}",
            "speedup.budget_s: 0 is out of range; allowed: a number of seconds, more than 0, or au",
        ),
        ("speedup: {budget_s: .inf}", "speedup.budget_s: inf is out of range; allowed: a number"),
        ("speedup: {budget_s: Auto}", "speedup.budget_s: 'Auto' is neither; allowed: a number of"),
        ("speedup: {budget_s: true}", "speedup.budget_s: true is neither; allowed: a number of"),
        (
            "speedup: {on_inconclusive: skip}",
            "speedup.on_inconclusive: 'skip' is unknown; allowed: 'fail' or 'warn'",
        ),
        (
            "speedup: {engines: {onx: {}}}",
            "speedup.engines: unknown engine 'onx'; did you mean 'onnx'? allowed: saved_model, o",
        ),
        ("speedup: {engines: {keras: {}}}", "speedup.engines: unknown engine 'keras'; "),
        ("speedup: {engines: {onnx: null}}", "speedup.engines.onnx: null is no value; allowed: a"),
        (
            "speedup: {engines: {onnx: {mni: 1}}}",
            "speedup.engines.onnx.mni: unknown key; did you mean 'min'? allowed: min, against",
        ),
        (
            "speedup: {engines: {onnx: {against: litert}}}",
            "speedup.engines.onnx.against: 'litert' is unknown; allowed: 'same' or 'keras'",
        ),
        (
            "speedup: {engines: {onnx: {batch_size: 0}}}",
            "speedup.engines.onnx.batch_size[0]: 0 is too small; allowed: 1 or more",
        ),
        (
            "speedup: {engines: {onnx: {}}}",
            "speedup.engines.onnx: what is timed is the artifact, and 'net' has keras; list 'onnx' "
            "in its artifacts",
        ),
        ("artifacts: keras", "artifacts: 'keras' is text; allowed: a list"),
        (
            "artifacts: [tflite]",
            "artifacts[0]: 'tflite' is unknown; allowed: 'keras', 'saved_model'",
        ),
        ("artifacts: [onnx, onnx]", "artifacts: 'onnx' is listed twice; allowed: each once"),
    ],
)
def test_a_wrong_key_of_a_model(tmp_path: Path, keys: str, says: str) -> None:
    (error,) = model_errors(tmp_path, keys)
    assert error.startswith(f"kito.yaml:3: models.net.{says}")


@pytest.mark.parametrize(
    "metric, says",
    [
        ("{}", "accuracy.source: missing; allowed: package.module:callable, called as"),
        ("{source: accuracy}", "accuracy.source: 'accuracy' is not an import path"),
        ("{source: a.b, data: no.npz}", "accuracy.data: there is no file 'no.npz'"),
        ("{source: a.b, data: x.csv/}", "accuracy.data: 'x.csv/' is neither; allowed: an .npz"),
        ("{source: a.b, minimum: 1}", "accuracy.minimum: unknown key; did you mean 'min'? "),
        ("{source: a.b, min: x}", "accuracy.min: 'x' is text; allowed: a number"),
        ("{source: a.b, max: .inf}", "accuracy.max: inf is not finite"),
        ("{source: a.b, max_drop: -1}", "accuracy.max_drop: -1 is too small; allowed: 0 or more"),
        (
            "{source: a.b, min: 2, max: 1}",
            "accuracy.max: 1.0 is below 'min', which is 2.0; allowed",
        ),
        ("{source: a.b, higher_is_better: 0}", "accuracy.higher_is_better: "),
        ("a.b", "accuracy: 'a.b' is text; allowed: a mapping"),
    ],
)
def test_a_wrong_metric(tmp_path: Path, metric: str, says: str) -> None:
    (error,) = model_errors(tmp_path, f"metrics: {{accuracy: {metric}}}")
    assert error.startswith(f"kito.yaml:3: models.net.metrics.{says}")


@pytest.mark.parametrize("name", ["top-5", "a b", "a]", '""', ".a", "é", "x" * 51, '"a\\n"'])
def test_a_metric_s_name_fits_into_the_name_of_a_check(tmp_path: Path, name: str) -> None:
    head = "version: 1\nmodels:\n  net:\n    source: a.b\n    metrics:\n"
    text = f"{head}      {name}: {{source: c.d}}\n"
    (error,) = errors(tmp_path, text)
    assert error.startswith("kito.yaml:6: models.net.metrics.")
    assert error.endswith(
        "is not a metric's name; allowed: letters, digits, '_' and '.', first no '.', at most 50 "
        "characters"
    )


@pytest.mark.parametrize(
    "source, says",
    [
        ("MobileNetV2", "'MobileNetV2' is neither; allowed: package.module:callable, or a .keras"),
        ("models/unet.onnx", "'models/unet.onnx' is neither; allowed: package.module:callable"),
        ("models/absent.keras", "there is no file 'models/absent.keras'; allowed: "),
        (".keras", "there is no file '.keras'; allowed: "),
        (f"{'x' * 5000}.h5", "there is no file 'xxx"),
        ('"\\0.h5"', "there is no file '\\x00.h5'"),
        ("{a: 1}", "{'a': 1} is a mapping; allowed: text"),
    ],
)
def test_a_wrong_source(tmp_path: Path, source: str, says: str) -> None:
    (error,) = errors(tmp_path, f"version: 1\nmodels:\n  net:\n    source: {source}\n")
    assert error.startswith(f"kito.yaml:4: models.net.source: {says}")


@pytest.mark.parametrize("name", ["a", "_a", "1", "ResNet-50_v1.5", "no", "null", "x" * 100])
def test_a_name(tmp_path: Path, name: str) -> None:
    (spec,) = load(tmp_path, f"version: 1\nmodels: {{{name}: {{source: a.b}}}}").models
    assert spec.name == name


@pytest.mark.parametrize(
    "name",
    [".a", "-a", "a b", "a/b", "..", "é", '""', '"a\\n"', "x" * 101, "con", "Aux.v1", "lpt1"],
)
def test_a_name_that_is_no_safe_file_name(tmp_path: Path, name: str) -> None:
    (error,) = errors(tmp_path, f"version: 1\nmodels: {{? {name} : {{source: a.b}}}}")
    assert "not a safe file name; allowed: letters, digits" in error
    assert error.startswith("kito.yaml:2: models.")


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "1: is empty; write 'version: 1' and 'models:'"),
        ("# nothing\n", "1: is empty; write"),
        ("- a\n", "1: holds ['a'], which is not a mapping; write 'version: 1' and 'models:'"),
        ("models: {a: {source: b.c}}", "1: version: missing; allowed: Version of this format: 1"),
        ("version: 2\nmodels: {a: {source: b.c}}", "1: version: 2 is unknown; allowed: 1"),
        ("version: '1'\nmodels: {a: {source: b.c}}", "1: version: '1' is unknown; allowed: 1"),
        ("version: 1", "1: models: missing; allowed: The models, by name"),
        ("version: 1\nmodels: {}", "2: models: is empty; allowed: 1 or more"),
        ("version: 1\nmodels: [a]", "2: models: ['a'] is a list; allowed: a mapping"),
        (
            "version: 1\nmodels:\n  a: {weights: random}",
            "3: models.a.source: missing; allowed: package.module:callable",
        ),
        ("version: 1\nmodels:\n  a: b.c", "3: models.a: 'b.c' is text; allowed: a mapping"),
        ("version: 1\nmodels:\n", "2: models: has no value; write one, {} for no keys, or null"),
        (
            "version: 1\nmodels:\n  a:\n    source: b.c\n    speedup:\n      # min: 2\n",
            "5: models.a.speedup: has no value; write one",
        ),
        (
            "version: 1\nmodels:\n  a: {source: b.c}\n  b: {source: b.c}\n  a: {source: b.c}",
            "5: models.a: the key is on line 3 already; keep one",
        ),
        (
            "version: 1\nmodels:\n  a: {source: b.c}\n  A: {source: b.c}",
            "4: models.A: the same file name as 'a' where case is ignored; rename one",
        ),
        (
            "version: 1\ndefaults: {source: b.c}\nmodels:\n  a: {source: b.c}",
            "2: defaults.source: unknown key; allowed: kwargs, weights",
        ),
        (
            "version: 1\nmodels:\n  a: {source: b.c, kwargs: {? [1] : 2}}",
            "3: models.a.kwargs: a key that is a list or a mapping; keys are text",
        ),
        (
            "version: 1\nmodels:\n  a:\n    source: !!python/object/apply:os.system [ls]",
            "4: models.a.source: the tag '!!python/object/apply:os.system' is not allowed;",
        ),
        (
            "version: 1\nmodels:\n  a: {source: b.c, kwargs: {n: !!int x}}",
            "3: models.a.kwargs.n: 'x' cannot be read as int",
        ),
        (
            f"version: 1\nmodels:\n  a: {{source: b.c, inputs: {{samples: {'9' * 5000}}}}}",
            "3: models.a.inputs.samples: '999",
        ),
        ("a: [\n", "2: not YAML: while parsing a flow node expected the node content"),
        ("a: 1\n\tb: 2\n", "2: not YAML: while scanning for the next token found character '\\t'"),
        ("a: *b", "1: not YAML: found undefined alias 'b' (column 4)"),
        ("a: 1\n---\nb: 2", "2: not YAML: expected a single document in the stream"),
        ("a: 1\nb: \x07", "2: not YAML: the character '\\x07' is not allowed; remove it"),
        (b"a: 1\nb: \xff\n", "2: not UTF-8; save it in this encoding"),
        ("a: 1\n".encode("utf-16"), "1: not UTF-8; save it in this encoding"),
        ("\n" + "[" * 100_000, "2: nested deeper than 30 levels; write it flatter"),
        ("a: &a [*a]", "1: nested deeper than 30 levels; write it flatter"),
        ("x" * 1_000_001, "1: larger than 1000000 bytes; use 'defaults' for what models share"),
    ],
)
def test_a_wrong_file(tmp_path: Path, text: str | bytes, says: str) -> None:
    (error,) = errors(tmp_path, text)
    assert error.startswith(f"kito.yaml:{says}")


def test_aliases_that_expand_without_end(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 12):
        again = ", ".join(9 * [f"*a{level - 1}"])
        lines.append(f"a{level}: &a{level} [{again}]")
    (error,) = errors(tmp_path, "\n".join(lines))
    assert "more than 100000 values, aliases expanded" in error


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a file; name a YAML file"):
        load_config(tmp_path)


def test_all_problems_at_once_and_by_line(tmp_path: Path) -> None:
    found = errors(
        tmp_path,
        "vresion: 1\n"
        "version: 3\n"
        "defaults:\n"
        "  inputs: {samples: 1}\n"
        "models:\n"
        "  a b: {source: x.keras, artifacts: []}\n"
        "  c: {speedup: {min: -1, budget_s: no}}\n"
        "  d: {source: a.b, inputs: {seed: x}}\n"
        "  d: {}\n",
    )
    assert [error.split(": ")[:2] for error in found] == [
        ["kito.yaml:1", "vresion"],
        ["kito.yaml:2", "version"],
        # In each model, written once.
        ["kito.yaml:4", "defaults.inputs.samples"],
        ["kito.yaml:6", "models.'a b'"],
        ["kito.yaml:6", "models.'a b'.source"],
        ["kito.yaml:7", "models.c.speedup.min"],
        ["kito.yaml:7", "models.c.speedup.budget_s"],
        ["kito.yaml:7", "models.c.source"],
        ["kito.yaml:8", "models.d.inputs.seed"],
        ["kito.yaml:9", "models.d"],
    ]


def test_a_default_that_no_model_writes_is_one_object_for_all(tmp_path: Path) -> None:
    defaults = "{kwargs: {a: 1}, inputs: {seed: 3}, tolerance: {rtol: 1.0e-3}}"
    models = "{one: {source: a.b}, two: {source: a.b}, three: {source: a.b, inputs: {samples: 8}}}"
    text = f"version: 1\ndefaults: {defaults}\nmodels: {models}\n"
    one, two, three = load(tmp_path, text).models
    assert one.kwargs is two.kwargs is three.kwargs
    assert one.inputs is two.inputs is not three.inputs
    assert (three.inputs.samples, three.inputs.seed) == (8, 3)


def test_defaults_cannot_make_a_small_file_a_large_one(tmp_path: Path) -> None:
    keys = ", ".join(f"k{i}: 1" for i in range(4800))
    text = f"version: 1\ndefaults: {{kwargs: {{{keys}}}}}\nmodels:\n"
    shared = "".join(f"  m{i}: {{source: a.b}}\n" for i in range(1200))
    assert len(load(tmp_path, text + shared).models) == 1200
    (error,) = errors(tmp_path, text + shared.replace("a.b", "a.b, kwargs: {own: 1}"))
    assert error == (
        "kito.yaml:108: models.m104: with the values of 'defaults', the models have more than "
        "500000; write fewer in 'defaults'"
    )


def test_of_very_many_problems_the_first_are_listed(tmp_path: Path) -> None:
    text = "version: 1\nmodels:\n" + "".join(f"  m{i}: {{}}\n" for i in range(150))
    found = errors(tmp_path, text)
    assert len(found) == 101
    assert found[-1] == "kito.yaml:103: and 50 more problems; correct those above first"


def test_defaults_are_checked_where_no_model_inherits_them(tmp_path: Path) -> None:
    text = "version: 1\ndefaults: {weights: no.h5}\nmodels: {a: {source: b.c, weights: random}}"
    (error,) = errors(tmp_path, text)
    assert error.startswith("kito.yaml:2: defaults.weights: there is no file 'no.h5'")


def test_no_keras_is_imported() -> None:
    code = (
        "import sys, pytest_kito.config.load, pytest_kito.config.schema\n"
        "print([name for name in ('keras', 'tensorflow', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class TestJsonSchema:
    def test_the_shipped_file_is_the_generated_one(self) -> None:
        shipped = Path(pytest_kito.__path__[0], "config", "kito.schema.json")
        assert json.loads(shipped.read_text("utf-8")) == config_schema(), (
            "write json.dumps(config_schema(), indent=2) to it"
        )

    def test_it_accepts_what_is_valid(self) -> None:
        schema = config_schema()
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(yaml.safe_load(EVERY_KEY), schema, jsonschema.Draft202012Validator)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"version": 2},
            {"models": {}},
            {"models": {"a b": {"source": "b.c"}}},
            {"models": {"a": {}}},
            {"models": {"a": {"source": "b.c", "speedup": {"minimum": 1}}}},
            {"models": {"a": {"source": "b.c", "speedup": {"batch_size": [1, 1]}}}},
            {"models": {"a": {"source": "b.c", "speedup": {"confidence": 1}}}},
            {"models": {"a": {"source": "b.c", "reduction": {"passes": ["fold"]}}}},
            {"models": {"a": {"source": "b.c", "metrics": {"a-b": {"source": "b.c"}}}}},
            {"defaults": {"source": "b.c"}},
        ],
    )
    def test_it_refuses_what_is_not(self, wrong: dict[str, Any]) -> None:
        file = {"version": 1, "models": {"a": {"source": "b.c"}}, **wrong}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(file, config_schema(), jsonschema.Draft202012Validator)

    def test_every_key_is_described(self) -> None:
        schema = config_schema()
        definitions = schema["$defs"]
        for section in (schema, *definitions.values()):
            for key, value in section["properties"].items():
                references = [value, *value.get("anyOf", [])]
                names = [r["$ref"].rpartition("/")[2] for r in references if "$ref" in r]
                described = [value, *(definitions[name] for name in names)]
                assert any("description" in part for part in described), key
                assert any("title" in part for part in described), key


def test_an_engine_of_the_defaults_is_reported_where_it_is_written(tmp_path: Path) -> None:
    text = """\
version: 1
defaults:
  speedup:
    engines: {litert: {}}
models:
  a: {source: "nets:a", artifacts: [litert]}
  b: {source: "nets:b"}
"""
    (error,) = errors(tmp_path, text)
    assert error.startswith("kito.yaml:4: defaults.speedup.engines.litert: what is timed is the")
    assert error.endswith("and 'b' has keras; list 'litert' in its artifacts")


class TestPackagesOfFormats:
    TEXT = """\
version: 1
defaults: {artifacts: [keras, onnx]}
models:
  a: {source: "nets:a"}
  b:
    source: nets:b
    artifacts: [litert, openvino]
    weights: nowhere.h5
"""

    def test_a_missing_package_is_reported_with_all_other_problems(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in ("onnxruntime", "ai_edge_litert"):
            monkeypatch.setitem(sys.modules, module, None)
        path = tmp_path / "kito.yaml"
        path.write_text(self.TEXT)
        with pytest.raises(ConfigError) as caught:
            load_config(path, root=tmp_path, formats=True)
        needs = "needs packages that are not installed; install them with: pip install"
        assert [x.partition("; allowed")[0] for x in caught.value.errors] == [
            f"kito.yaml:2: defaults.artifacts[1]: 'onnx' {needs} 'pytest-kito[onnx]'",
            f"kito.yaml:7: models.b.artifacts[0]: 'litert' {needs} 'pytest-kito[litert]'",
            "kito.yaml:8: models.b.weights: there is no file 'nowhere.h5'",
        ]

    def test_a_format_that_the_backend_cannot_write_is_reported(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("kito.export.formats.names.chosen_backend", lambda: "torch")
        path = tmp_path / "kito.yaml"
        path.write_text(
            "version: 1\nmodels:\n  a:\n    source: x:y\n    artifacts: [keras, onnx]\n"
        )
        with pytest.raises(ConfigError) as caught:
            load_config(path, root=tmp_path, formats=True)
        assert caught.value.errors == (
            "kito.yaml:5: models.a.artifacts[1]: 'onnx' cannot be written by Keras on 'torch', "
            "which writes keras; set KERAS_BACKEND=tensorflow, or leave it out",
        )

    def test_packages_are_needed_only_to_write_artifacts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        schema = config_schema()
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        assert model(tmp_path, "artifacts: [onnx]").artifacts == ("onnx",)
        assert config_schema() == schema
