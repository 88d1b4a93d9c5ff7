from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from kito.errors import KitoError
from kito.runtime.load import load_model
from kito.runtime.run import to_numpy
from kito.runtime.weights import apply_weights

FACTORIES = """
import keras


def build(units=3, *, name="built"):
    inputs = keras.Input((4,), name="x")
    return keras.Model(inputs, keras.layers.Dense(units)(inputs), name=name)


def late_import():
    import kito_sources_late

    return kito_sources_late.build()


def raises():
    raise TypeError("no such {thing}")


def leaves():
    raise SystemExit(2)


def unbuilt():
    return keras.Sequential([keras.layers.Dense(2)])


def nothing():
    build()


def layer():
    return keras.layers.Dense(2)


def pair():
    return build(), 1


def the_class():
    return keras.Model


class Subclassed(keras.Model):
    def call(self, x):
        return x


class Scale(keras.layers.Layer):
    def call(self, x):
        return 2.0 * x


def with_custom_layer():
    inputs = keras.Input((4,))
    return keras.Model(inputs, Scale()(inputs))


NUMBER = 5
MODEL = build()
CUSTOM_OBJECTS = {"Scale": Scale}
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository: modules and files."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "kito_sources_zoo.py").write_text(FACTORIES)
    (folder / "kito_sources_late.py").write_text("from kito_sources_zoo import build\n")
    (folder / "broken.keras").write_text("no model")
    (folder / "empty.h5").write_bytes(b"")
    with zipfile.ZipFile(folder / "old.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", json.dumps({"class_name": "Functional"}))
    return folder


@pytest.mark.parametrize("source", ["kito_sources_zoo:build", "kito_sources_zoo.build"])
def test_a_callable_is_called_with_its_kwargs(base: Path, source: str) -> None:
    assert load_model(source, base=base).output_shape == (None, 3)
    model = load_model(source, base=base, kwargs={"units": 5, "name": "five"})
    assert (model.name, model.output_shape) == ("five", (None, 5))


def test_a_network_of_keras(base: Path) -> None:
    kwargs = {"weights": None, "input_shape": (32, 32, 3), "alpha": 0.35, "classes": 2}
    model = load_model("keras.applications.MobileNetV2", base=base, kwargs=kwargs)
    assert model.output_shape == (None, 2)


def test_a_factory_may_import_its_repository_when_called(base: Path) -> None:
    assert load_model("kito_sources_zoo:late_import", base=base).name == "built"


@pytest.mark.parametrize("name", ["unbuilt", "Subclassed"])
def test_models_without_a_graph_are_returned_as_they_are(base: Path, name: str) -> None:
    assert not load_model(f"kito_sources_zoo:{name}", base=base).built


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_file_predicts_the_same(base: Path, ending: str) -> None:
    model = load_model("kito_sources_zoo:build", base=base)
    model.compile("adam", "mse")
    model.save(base / f"saved.{ending}")
    x = np.ones((2, 4), "float32")
    loaded = load_model(f"saved.{ending}", base=base)
    np.testing.assert_array_equal(to_numpy(loaded(x)), to_numpy(model(x)))


def test_a_file_with_custom_objects(base: Path) -> None:
    load_model("kito_sources_zoo:with_custom_layer", base=base).save(base / "custom.keras")
    objects = "kito_sources_zoo:CUSTOM_OBJECTS"
    model = load_model("custom.keras", base=base, custom_objects=objects)
    np.testing.assert_array_equal(model(np.ones((1, 4), "float32")), np.full((1, 4), 2.0))
    with pytest.raises(KitoError, match="'custom_objects' names"):
        load_model("custom.keras", base=base)


@pytest.mark.parametrize("package", ["keras_hub", "keras_cv", "kito_sources_beside"])
def test_a_file_runs_no_module_that_lies_beside_it(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    load_model("kito_sources_zoo:with_custom_layer", base=base).save(tmp_path / "plain.keras")
    with zipfile.ZipFile(tmp_path / "plain.keras") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = content["config.json"].replace(b"kito_sources_zoo", package.encode())
    with zipfile.ZipFile(tmp_path / "named.keras", "w") as archive:
        for name, data in {**content, "config.json": config}.items():
            archive.writestr(name, data)
    (tmp_path / f"{package}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    monkeypatch.delitem(sys.modules, package, raising=False)  # as where it is not installed
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KitoError) as raised:
        load_model("named.keras", base=tmp_path)
    assert not (tmp_path / "ran").exists()
    assert package in str(raised.value)


def test_custom_classes_may_import_their_repository_when_used(base: Path) -> None:
    (base / "kito_sources_lazy.py").write_text(
        "import keras\n"
        "class Lazy(keras.layers.Layer):\n"
        "    def build(self, shape):\n"
        "        import kito_sources_at_last\n"
        "    def call(self, x):\n"
        "        return x\n"
        "def build():\n"
        "    x = keras.Input((4,))\n"
        "    return keras.Model(x, Lazy()(x))\n"
        "OBJECTS = {'Lazy': Lazy}\n"
    )
    (base / "kito_sources_at_last.py").write_text("")
    load_model("kito_sources_lazy:build", base=base).save(base / "lazy.keras")
    del sys.modules["kito_sources_at_last"]
    objects = "kito_sources_lazy:OBJECTS"
    assert load_model("lazy.keras", base=base, custom_objects=objects).count_params() == 0


def test_a_file_builds_no_more_than_it_holds(base: Path) -> None:
    load_model("kito_sources_zoo:build", base=base).save(base / "small.keras")
    with zipfile.ZipFile(base / "small.keras") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = content["config.json"].replace(b'"units": 3', b'"units": 1000000000')
    with zipfile.ZipFile(base / "large.keras", "w") as archive:
        for name, data in {**content, "config.json": config}.items():
            archive.writestr(name, data)
    with pytest.raises(KitoError, match=r"asks for weights of more than .* bytes"):
        load_model("large.keras", base=base)
    # What was patched meanwhile is as it was.
    assert keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).count_params() == 15


def test_a_training_loss_that_is_not_found_is_of_no_matter(base: Path) -> None:
    def own_loss(a: keras.KerasTensor, b: keras.KerasTensor) -> keras.KerasTensor:
        return keras.ops.mean(a - b)

    model = load_model("kito_sources_zoo:build", base=base)
    model.compile("adam", own_loss)
    model.save(base / "own_loss.keras")
    assert load_model("own_loss.keras", base=base).output_shape == (None, 3)


@pytest.mark.parametrize(
    "source, says",
    [
        ("build", "neither package.module:callable nor a .keras or .h5 file"),
        ("absent.keras", "there is no such file in"),
        ("broken.keras", "cannot be loaded as a Keras model"),
        ("empty.h5", "cannot be loaded as a Keras model"),
        ("old.keras", r"written by Keras 2\.15\.0: save it there with model\.save"),
        ("kito_sources_zoo:biuld", "did you mean 'build'"),
        ("kito_sources_zoo:NUMBER", "is an object of type int, not a callable"),
        ("kito_sources_zoo:MODEL", "is an object of type Functional, not a callable"),
        ("kito_sources_zoo:raises", "raised TypeError: no such {thing}"),
        ("kito_sources_zoo:leaves", "raised SystemExit: 2"),
        ("kito_sources_zoo:nothing", "gave None, not a model"),
        ("kito_sources_zoo:layer", r"gave a layer, Dense.*wrap it"),
        ("kito_sources_zoo:pair", "gave an object of type tuple, not a keras.Model"),
        ("kito_sources_zoo:the_class", "gave the class Model, not a keras.Model"),
    ],
)
def test_a_source_that_gives_no_model(base: Path, source: str, says: str) -> None:
    with pytest.raises(KitoError, match=says) as raised:
        load_model(source, base=base)
    assert repr(source) in str(raised.value)


def test_a_model_of_keras_2(base: Path) -> None:
    (base / "kito_sources_old.py").write_text(
        "class Sequential:\n    pass\n\n\nSequential.__module__ = 'tf_keras.engine'\n"
    )
    with pytest.raises(KitoError, match=r"made by tf_keras \(Keras 2\): save it there"):
        load_model("kito_sources_old:Sequential", base=base)


@pytest.mark.parametrize(
    "kwargs, says",
    [
        (
            {"unit": 3},
            "unexpected keyword argument 'unit'; did you mean 'units'. it takes units, name",
        ),
        ({"units": "many"}, "raised ValueError"),
    ],
)
def test_wrong_kwargs(base: Path, kwargs: dict[str, object], says: str) -> None:
    with pytest.raises(KitoError, match=says):
        load_model("kito_sources_zoo:build", base=base, kwargs=kwargs)


def test_custom_objects_must_be_a_dict(base: Path) -> None:
    with pytest.raises(KitoError, match="object of type int; it must be a dict"):
        load_model("broken.keras", base=base, custom_objects="kito_sources_zoo:NUMBER")


class TestApplyWeights:
    inputs: dict[str, np.ndarray] = {"x": np.eye(4, dtype="float32")}  # noqa: RUF012

    def test_as_built(self, base: Path) -> None:
        model = load_model("kito_sources_zoo:build", base=base)
        before = model.get_weights()
        apply_weights(model, "as-built", base=base, inputs=self.inputs, seed=0)
        for old, new in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)

    def test_a_file(self, base: Path) -> None:
        trained = load_model("kito_sources_zoo:build", base=base)
        trained.save_weights(base / "trained.weights.h5")
        model = load_model("kito_sources_zoo:build", base=base)
        apply_weights(model, "trained.weights.h5", base=base, inputs=self.inputs, seed=0)
        for old, new in zip(trained.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)

    def test_random(self, base: Path) -> None:
        models = [load_model("kito_sources_zoo:build", base=base) for _ in range(2)]
        for model in models:
            apply_weights(model, "random", base=base, inputs=self.inputs, seed=3)
        for one, other in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)

    @pytest.mark.parametrize("weights", ["absent.weights.h5", "broken.keras", "other.weights.h5"])
    def test_a_file_that_does_not_fit(self, base: Path, weights: str) -> None:
        other = load_model("kito_sources_zoo:build", base=base, kwargs={"units": 9})
        other.save_weights(base / "other.weights.h5")
        model = load_model("kito_sources_zoo:build", base=base)
        with pytest.raises(KitoError, match=f"weights '{weights}'"):
            apply_weights(model, weights, base=base, inputs=self.inputs, seed=0)
