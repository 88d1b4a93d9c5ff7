"""Broken, bomb-like and malicious ``.keras`` and ``.h5`` files, each made of a valid one.

Code that a file brings, or that lies beside it, writes a file ``ran`` into the current folder.
"""

from __future__ import annotations

import base64
import io
import json
import marshal
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Build = Callable[[Path, Path], None]
"""Writes a file, given its path and the folder of valid files."""

KERAS_FILES: dict[str, Build] = {}
H5_FILES: dict[str, Build] = {}
HARMLESS = {
    "a_name_that_is_long",
    "input_of_a_batch_of_1e12",
    "names_that_act",
    "nan_in_the_config",
    "nested_models",
    "version_is_numbers",
}
"""Files that are odd, and can be loaded."""
CODE = "open('ran', 'w').close()\n"
ODD_NAME = "bn\n::error::x\x1b[31m\x07\u202egro\u2066"


def keras_file(build: Build) -> Build:
    """Register a ``.keras`` file under the name of its builder."""
    KERAS_FILES[build.__name__] = build
    return build


def h5_file(build: Build) -> Build:
    """Register an ``.h5`` file under the name of its builder."""
    H5_FILES[build.__name__] = build
    return build


def members(valid: Path) -> dict[str, bytes]:
    """The members of the valid ``.keras`` file."""
    with zipfile.ZipFile(valid / "model.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, content: dict[str, bytes], packed: bool = False) -> None:
    """Write a zip archive of these members."""
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind, compresslevel=1) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def with_config(path: Path, valid: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Write the valid file with its configuration edited, in place or by what is returned."""
    content = members(valid)
    config = json.loads(content["config.json"])
    edited = edit(config)
    content["config.json"] = json.dumps(config if edited is None else edited).encode()
    write(path, content)


def with_layer(path: Path, valid: Path, class_name: str, **more: Any) -> None:
    """Write the valid file with its layer ``relu`` replaced."""

    def edit(config: dict[str, Any]) -> None:
        layer = config["config"]["layers"][3]
        assert layer["name"] == "relu"
        layer.update({"class_name": class_name, "registered_name": None, "build_config": None})
        layer.update(more)
        layer["config"]["name"] = "relu"

    with_config(path, valid, edit)


def with_weights(path: Path, valid: Path, make: Callable[[h5py.File], None]) -> None:
    """Write the valid file with its file of weights edited."""
    content = members(valid)
    weights = io.BytesIO(content["model.weights.h5"])
    with h5py.File(weights, "a") as file:
        make(file)
    content["model.weights.h5"] = weights.getvalue()
    write(path, content)


def raw(name: str, data: bytes) -> None:
    """Register a file of these bytes, as both kinds."""

    def build(path: Path, valid: Path) -> None:
        path.write_bytes(data)

    KERAS_FILES[name] = H5_FILES[name] = build


raw("empty", b"")
raw("text", b"no model\n")
raw("an_end_of_zip_alone", b"PK\x05\x06" + bytes(18))
raw("a_signature_of_hdf5_alone", b"\x89HDF\r\n\x1a\n" + bytes(100))


def cut(part: float) -> Build:
    """A builder of the first part of the valid file."""

    def build(path: Path, valid: Path) -> None:
        data = (valid / f"model{path.suffix}").read_bytes()
        path.write_bytes(data[: int(len(data) * part)])

    return build


for _part in (0.1, 0.5, 0.99):
    KERAS_FILES[f"cut_{_part}"] = H5_FILES[f"cut_{_part}"] = cut(_part)


def config_text(name: str, text: bytes | Callable[[], bytes]) -> None:
    """Register a file whose configuration is this text, and one where it is packed."""

    def build(path: Path, valid: Path) -> None:
        data = text if isinstance(text, bytes) else text()
        write(path, {**members(valid), "config.json": data}, packed=True)

    KERAS_FILES[f"config_{name}"] = build


for _name, _text in {
    "empty": b"",
    "broken": b'{"class_name": ',
    "list": b"[]",
    "null": b"null",
    "number": b"1",
    "not_utf8": b"\xff\xfe\x00",
    "without_class": b'{"config": {}}',
    "of_strings": b'{"class_name": "Functional", "config": "x", "module": "keras"}',
    "huge_int": b'{"class_name": "Functional", "config": {"layers": [%s]}}' % (b"9" * 10_000),
    "class_is_a_list": b'{"class_name": ["x"], "config": {}, "module": "keras"}',
    "module_is_a_number": b'{"class_name": "x", "config": {}, "module": 7}',
}.items():
    config_text(_name, _text)
config_text("deep", lambda: b"[" * 100_000 + b"]" * 100_000)
config_text("deep_mappings", lambda: b'{"a":' * 20_000 + b"1" + b"}" * 20_000)
config_text("of_spaces", lambda: b" " * 200_000_000)
config_text("of_lists", lambda: b"[" + b"[]," * 20_000_000 + b"1]")


@keras_file
def no_config(path: Path, valid: Path) -> None:
    content = members(valid)
    del content["config.json"]
    write(path, content)


@keras_file
def no_weights(path: Path, valid: Path) -> None:
    content = members(valid)
    del content["model.weights.h5"]
    write(path, content)


@keras_file
def metadata_is_a_list(path: Path, valid: Path) -> None:
    write(path, {**members(valid), "metadata.json": b"[]", "config.json": b"{}"})


@keras_file
def version_that_acts(path: Path, valid: Path) -> None:
    version = json.dumps({"keras_version": "2.\x1b[31m\n::error::"}).encode()
    write(path, {**members(valid), "metadata.json": version, "config.json": b"{}"})


@keras_file
def two_configs(path: Path, valid: Path) -> None:
    shutil.copy(valid / "model.keras", path)
    with zipfile.ZipFile(path, "a") as archive:
        member = zipfile.ZipInfo("config.json")
        archive.filelist.append(member)  # so that no warning is raised
        archive.NameToInfo.clear()
        archive.filelist.pop()
        archive.writestr(member, b"{}")


def patched(name: str, find: bytes, offset: int, change: bytes, last: bool = False) -> None:
    """Register the valid file with some bytes of a zip header changed."""

    def build(path: Path, valid: Path) -> None:
        data = bytearray((valid / "model.keras").read_bytes())
        at = (data.rindex(find) if last else data.index(find)) + offset
        data[at : at + len(change)] = change
        path.write_bytes(data)

    KERAS_FILES[name] = build


_CENTRAL, _END = b"PK\x01\x02", b"PK\x05\x06"
patched("zip_encrypted", _CENTRAL, 8, b"\x01\x00")
patched("zip_unknown_method", _CENTRAL, 10, b"\x63\x00")
patched("zip_deflated_not", _CENTRAL, 10, b"\x08\x00")
patched("zip_huge_size", _CENTRAL, 20, b"\xfe\xff\xff\x7f" * 2)
patched("zip_wrong_sum", _CENTRAL, 16, b"\0\0\0\0")
patched("zip_offset_beyond", _CENTRAL, 42, b"\xff\xff\xff\x7f", last=True)
patched("zip_directory_beyond", _END, 16, b"\xff\xff\xff\x7f")
patched("zip_local_header", b"PK\x03\x04", 26, b"\xff\xff\xff\xff", last=True)


@keras_file
def weights_are_text(path: Path, valid: Path) -> None:
    write(path, {**members(valid), "model.weights.h5": b"no weights"})


@keras_file
def weights_of_zeros(path: Path, valid: Path) -> None:
    write(path, {**members(valid), "model.weights.h5": bytes(300_000_000)}, packed=True)


@keras_file
def weights_npz_of_zeros(path: Path, valid: Path) -> None:
    content = members(valid)
    del content["model.weights.h5"]
    inner = io.BytesIO()
    np.savez_compressed(inner, **{"layers/dense/vars": np.zeros((25_000_000, 2), "float32")})
    write(path, {**content, "model.weights.npz": inner.getvalue()})


@keras_file
def weights_of_another_shape(path: Path, valid: Path) -> None:
    def make(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = np.ones((9, 9), "float32")

    with_weights(path, valid, make)


@keras_file
def weights_that_claim_much(path: Path, valid: Path) -> None:
    def make(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        place = file["layers/dense/vars"]
        place.create_dataset("0", (10**6, 10**6), "float32", chunks=(1000, 1000), compression=9)

    with_weights(path, valid, make)


@keras_file
def weights_that_unpack_to_much(path: Path, valid: Path) -> None:
    def make(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        place = file["layers/dense/vars"]
        much = place.create_dataset(
            "0", (10**5, 500), "float32", chunks=(10**4, 500), compression=9
        )
        packed = zlib.compress(bytes(2 * 10**7))
        for row in range(0, 10**5, 10**4):
            much.id.write_direct_chunk((row, 0), packed)

    with_weights(path, valid, make)


@keras_file
def weights_of_text(path: Path, valid: Path) -> None:
    def make(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars"]["0"] = "text of any length"

    with_weights(path, valid, make)


@keras_file
def weights_behind_links(path: Path, valid: Path) -> None:
    def make(file: h5py.File) -> None:
        del file["layers/dense"]
        file["layers/dense"] = h5py.ExternalLink(str(valid / "net.weights.h5"), "/layers/dense")

    with_weights(path, valid, make)


@keras_file
def weights_in_another_file(path: Path, valid: Path) -> None:
    def make(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars"].create_dataset(
            "0", (4, 3), "float32", external=[("/etc/passwd", 0, 48)]
        )

    with_weights(path, valid, make)


@keras_file
def weights_that_are_virtual(path: Path, valid: Path) -> None:
    def make(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        layout = h5py.VirtualLayout((4, 3), "float32")
        layout[:] = h5py.VirtualSource(str(valid / "net.weights.h5"), "x", (4, 3))
        file["layers/dense/vars"].create_virtual_dataset("0", layout)

    with_weights(path, valid, make)


@keras_file
def weights_in_a_circle(path: Path, valid: Path) -> None:
    def make(file: h5py.File) -> None:
        del file["layers/dense/vars"]
        file["layers/dense/vars"] = file["layers"]

    with_weights(path, valid, make)


@keras_file
def asset_that_climbs(path: Path, valid: Path) -> None:
    write(path, {**members(valid), "assets/../../../ran": b"x", "/tmp/ran": b"x"})


@keras_file
def asset_of_zeros(path: Path, valid: Path) -> None:
    write(path, {**members(valid), "assets/zeros": bytes(300_000_000)}, packed=True)


@keras_file
def many_members(path: Path, valid: Path) -> None:
    write(path, members(valid) | {f"assets/{i}": b"" for i in range(25_000)})


def edited(name: str, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Register the valid file with its configuration edited."""
    KERAS_FILES[name] = lambda path, valid: with_config(path, valid, edit)


def _first(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of the first Dense layer."""
    layer: dict[str, Any] = config["config"]["layers"][1]
    assert layer["name"] == "first"
    return layer


def _units(units: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: _first(config)["config"].update(units=units)


def _input(*shape: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["config"]["layers"][0]["config"].update(batch_shape=list(shape))


edited("units_1e9", _units(10**9))
edited("units_1e30", _units(10**30))
edited("units_negative", _units(-3))
edited("units_text", _units("three"))
edited("units_list", _units([[]]))
edited("units_float", _units(1e300))
edited("input_of_1e15", _input(None, 10**15))
edited("input_of_1e30", _input(None, 10**30))
edited("input_negative", _input(None, -4))
edited("input_text", _input(None, "four"))
edited("input_scalar", _input())
edited("input_of_many_dimensions", _input(None, *[1] * 300))
edited("input_of_a_batch_of_1e12", _input(10**12, 4))
edited(
    "build_of_1e12", lambda config: _first(config)["build_config"].update(input_shape=[1, 10**12])
)
edited("no_layers", lambda config: config["config"].update(layers=[]))
edited("layers_are_numbers", lambda config: config["config"].update(layers=[1, 2]))
edited("layer_twice", lambda config: config["config"]["layers"].append(_first(config)))
edited("outputs_of_nothing", lambda config: config["config"].update(output_layers=[["none", 0, 0]]))
edited(
    "outputs_of_node_1e9", lambda config: config["config"].update(output_layers=[["y", 10**9, 0]])
)
edited(
    "a_layer_takes_itself",
    lambda config: _first(config)["inbound_nodes"][0]["args"][0]["config"].update(
        keras_history=["first", 0, 0]
    ),
)
edited("nodes_are_text", lambda config: _first(config).update(inbound_nodes="x"))
edited("dtype_is_unknown", lambda config: _first(config)["config"].update(dtype="int3"))
edited(
    "activation_is_unknown", lambda config: _first(config)["config"].update(activation="none such")
)
edited("activation_is_a_list", lambda config: _first(config)["config"].update(activation=[1]))
edited("unknown_argument", lambda config: _first(config)["config"].update({"\x1b[31m": 1}))
edited(
    "nan_in_the_config",
    lambda config: config["config"]["layers"][2]["config"].update(momentum=float("nan")),
)


def _shared(config: dict[str, Any]) -> None:
    config["shared_object_id"] = 1
    inner = {"class_name": "Functional", "config": {}, "shared_object_id": 1}
    _first(config)["config"] = inner


edited("shared_with_itself", _shared)


@keras_file
def names_that_act(path: Path, valid: Path) -> None:
    content = members(valid)
    text = content["config.json"].decode().replace('"bn"', json.dumps(ODD_NAME))
    write(path, {**content, "config.json": text.encode()})


@keras_file
def a_name_that_is_long(path: Path, valid: Path) -> None:
    content = members(valid)
    text = content["config.json"].decode().replace('"bn"', json.dumps("b" * 100_000))
    write(path, {**content, "config.json": text.encode()})


@keras_file
def nested_models(path: Path, valid: Path) -> None:
    def nest(config: dict[str, Any]) -> Any:
        layers = "layers"
        one: Any = {"class_name": "ReLU", "module": "keras.layers", "config": {"name": "inner"}}
        for number in range(1, 20):
            inner = {"name": f"s{number}", layers: [one]}
            one = {"class_name": "Sequential", "module": "keras", "config": inner}
        config["config"]["layers"][3].update(
            class_name="Sequential",
            module="keras",
            config={"name": "relu", layers: [one]},
            build_config=None,
        )

    with_config(path, valid, nest)


# ---- code that must not run ---------------------------------------------------------------------

_COMPILED = base64.b64encode(marshal.dumps(compile(CODE, "x", "exec"))).decode()


def layer(name: str, class_name: str, **more: Any) -> None:
    """Register the valid file with one layer replaced."""
    KERAS_FILES[name] = lambda path, valid: with_layer(path, valid, class_name, **more)


_LAMBDA = {"class_name": "__lambda__", "config": {"value": [_COMPILED, None, None]}}
_FUNCTION = {
    "class_name": "function",
    "config": "system",
    "module": "os",
    "registered_name": "system",
}
layer("lambda", "Lambda", module="keras.layers", config={"function": _LAMBDA})
layer("lambda_of_a_function", "Lambda", module="keras.layers", config={"function": _FUNCTION})
layer("lambda_value", "Activation", module="keras.layers", config={"activation": _LAMBDA})
layer("function_of_os", "Activation", module="keras.layers", config={"activation": _FUNCTION})
layer("class_of_subprocess", "Popen", module="subprocess", config={"args": ["touch", "ran"]})
layer("module_beside", "Evil", module="evil", config={})
layer("keras_hub_beside", "Evil", module="keras_hub", config={})
layer("keras_hub_module_beside", "Evil", module="keras_hub.evil", config={})
layer("keras_cv_beside", "Evil", module="keras_cv.layers", config={})
layer("keras_nlp_beside", "Evil", module="keras_nlp.evil", config={}, registered_name="evil>Evil")
layer("registered_elsewhere", "Evil", module="evil", config={}, registered_name="evil>Evil")
layer("saved_model_of_a_folder", "TFSMLayer", module="keras.layers", config={"filepath": "evil"})
layer("torch_module", "TorchModuleWrapper", module="keras.layers", config={"module": _COMPILED})
layer("keras_internals", "func_load", module="keras.src.utils.python_utils", config={})
layer(
    "a_download",
    "Activation",
    module="keras.layers",
    config={
        "activation": {
            "class_name": "function",
            "config": "get_file",
            "module": "keras.utils",
            "registered_name": "get_file",
        }
    },
)
layer(
    "words_of_a_file", "StringLookup", module="keras.layers", config={"vocabulary": "/etc/passwd"}
)
layer("long_unrolled", "LSTM", module="keras.layers", config={"units": "x", "unroll": True})


def put_beside(folder: Path) -> None:
    """Put modules into a folder that a file could name; each leaves a trace when it runs."""
    for name in ("evil", "keras_hub", "keras_cv", "keras_nlp"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(CODE)
        (folder / name / "evil.py").write_text(CODE)


# ---- HDF5 --------------------------------------------------------------------------------------


def h5_edited(name: str, make: Callable[[h5py.File], None]) -> None:
    """Register the valid ``.h5`` file, edited."""

    def build(path: Path, valid: Path) -> None:
        shutil.copy(valid / "model.h5", path)
        with h5py.File(path, "a") as file:
            make(file)

    H5_FILES[name] = build


def _set(key: str, value: Any) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.__setitem__(key, value)


def _in_config(edit: Callable[[dict[str, Any]], None]) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        config = json.loads(file.attrs["model_config"])
        edit(config)
        file.attrs["model_config"] = json.dumps(config)

    return make


def _dataset(file: h5py.File) -> str:
    names: list[str] = []
    file["model_weights/first"].visititems(
        lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
    )
    return f"model_weights/first/{names[0]}"


def _replace(**how: Any) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        name = _dataset(file)
        del file[name]
        file.create_dataset(name, **how)

    return make


def _link(link: Any) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        del file["model_weights/first"]
        file["model_weights/first"] = link

    return make


h5_edited("without_config", lambda file: file.attrs.__delitem__("model_config"))
h5_edited("config_is_a_number", _set("model_config", 7))
h5_edited("config_is_numbers", _set("model_config", np.arange(9)))
h5_edited("config_is_broken", _set("model_config", '{"class_name":'))
h5_edited("config_is_deep", _set("model_config", "[" * 20_000))
h5_edited("config_is_a_list", _set("model_config", "[]"))
h5_edited("version_is_numbers", _set("keras_version", np.arange(3)))
h5_edited(
    "names_are_numbers",
    lambda file: file["model_weights"].attrs.__setitem__("layer_names", np.arange(3)),
)
h5_edited(
    "names_of_nothing",
    lambda file: file["model_weights"].attrs.__setitem__("layer_names", [b"no", b"such"]),
)
h5_edited(
    "names_climb",
    lambda file: file["model_weights"].attrs.__setitem__("layer_names", [b"../..", b"/"]),
)
h5_edited("without_weights", lambda file: file.__delitem__("model_weights"))
h5_edited(
    "claims_much",
    _replace(shape=(10**6, 10**6), dtype="float32", chunks=(1000, 1000), compression=9),
)
h5_edited("another_shape", _replace(data=np.ones((9, 9), "float32")))
h5_edited("weights_are_text", _replace(data="text"))
h5_edited(
    "in_another_file", _replace(shape=(4, 3), dtype="float32", external=[("/etc/passwd", 0, 48)])
)
h5_edited("external_link", _link(h5py.ExternalLink("/etc/passwd", "/x")))
h5_edited("soft_link_to_itself", _link(h5py.SoftLink("/model_weights/first")))
h5_edited("legacy_units_1e9", _in_config(_units(10**9)))
h5_edited(
    "legacy_lambda",
    _in_config(
        lambda config: config["config"]["layers"][3].update(
            class_name="Lambda",
            module="keras.layers",
            config={"name": "relu", "function": [_COMPILED, None, None], "function_type": "lambda"},
        )
    ),
)
h5_edited(
    "legacy_lambda_of_today",
    _in_config(
        lambda config: config["config"]["layers"][3].update(
            class_name="Lambda", module="keras.layers", config={"name": "relu", "function": _LAMBDA}
        )
    ),
)
h5_edited(
    "legacy_module_beside",
    _in_config(
        lambda config: config["config"]["layers"][3].update(
            class_name="Evil", module="keras_hub", config={"name": "relu"}
        )
    ),
)
h5_edited(
    "legacy_folder",
    _in_config(
        lambda config: config["config"]["layers"][3].update(
            class_name="TFSMLayer",
            module="keras.layers",
            config={"name": "relu", "filepath": "evil"},
        )
    ),
)


@h5_file
def a_flipped_superblock(path: Path, valid: Path) -> None:
    data = bytearray((valid / "model.h5").read_bytes())
    data[8:48] = b"\xff" * 40
    path.write_bytes(data)


@h5_file
def of_random_bytes(path: Path, valid: Path) -> None:
    data = bytearray((valid / "model.h5").read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(64, len(data), 400):
        data[at] = rng.integers(256)
    path.write_bytes(data)


@h5_file
def a_heap_without_end(path: Path, valid: Path) -> None:
    data = bytearray((valid / "model.h5").read_bytes())
    index_of_first, sizes_of_first = data.index(b"GCOL") + 16, data.index(b"GCOL") + 24
    data[index_of_first : index_of_first + 2] = bytes(2)  # free space
    data[sizes_of_first : sizes_of_first + 8] = bytes(8)
    path.write_bytes(data)
