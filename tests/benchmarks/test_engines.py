"""The topic ``engines``: a cell by real engines, and what is said of stored rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from kito_models import randomize

from benchmarks import networks, rounds
from benchmarks.engine_files import FORMS, Files
from benchmarks.topics import engines
from kito.export.engines.protocol import Facts
from kito.export.formats import exporting

L = keras.layers


def _ratio(median: float) -> dict[str, float]:
    return {"median": median, "low": median - 0.01, "high": median + 0.01}


def _row(*ratios: float) -> dict[str, Any]:
    batches = {
        str(batch): {
            "rounds": 9,
            "ms": dict.fromkeys(FORMS, 2.0),
            "ours": _ratio(ratio),
            "fold": _ratio(1.0),
        }
        for batch, ratio in zip((1, 8), ratios, strict=True)
    }
    return {"missing": {}, "batches": batches}


WITHOUT_ORIGINAL = {
    "missing": {"original": "ValueError: no such operation"},
    "batches": {str(batch): {"rounds": 9, "ms": {"ours": 1.5 * batch}} for batch in (1, 8)},
}
ROWS = {
    "ResNet50/tensorflow": _row(1.0, 1.2),
    "ResNet50/onnx": WITHOUT_ORIGINAL,
    "Xception/tensorflow": _row(1.21, 1.2),
    "Xception/onnx": _row(0.95, 1.5),
    "Xception/litert": {"error": "crashed with SIGSEGV"},
}


def _line(text: str, start: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


def test_the_table_has_a_row_for_each_network_and_the_geometric_means() -> None:
    text = engines.table(ROWS)
    assert _line(text, "ResNet50") == ["ResNet50", "1.00 / 1.20", "1.5 / 12.0 ms", "-", "-"]
    assert _line(text, "Xception") == ["Xception", "1.21 / 1.20", "0.95 / 1.50", "-", "-"]
    means = ["**geometric mean**", "**1.10 / 1.20**", "**0.95 / 1.50**", "-", "-"]
    assert _line(text, "**geometric mean**") == means
    assert "TensorFlow 1.010 (ResNet50, batch 1), ONNX Runtime 0.960 (Xception, batch 1)." in text


def test_the_table_says_what_was_not_measured() -> None:
    text = engines.table(ROWS)
    assert "- ResNet50 in ONNX Runtime, the original: ValueError: no such operation" in text
    assert "- Xception in LiteRT, nothing measured: crashed with SIGSEGV" in text
    assert "Not measured" not in engines.table({"ResNet50/onnx": _row(1, 1)})


def test_the_plot_shows_each_ratio() -> None:
    pytest.importorskip("matplotlib")
    [axes] = engines.plot(ROWS).axes
    assert [x.get_text() for x in axes.get_yticklabels()] == ["ResNet50", "Xception"]
    dots = [np.asarray(x.get_xdata()) for x in axes.lines if x.get_marker() == "o"]
    assert sorted(np.concatenate(dots)) == [0.95, 1.0, 1.2, 1.2, 1.21, 1.5]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network in place of a large one, in a few rounds."""

    def build(network: str, size: int | None) -> Any:
        image = keras.Input((8, 8, 3))
        x = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3, use_bias=False)(image)))
        return randomize(keras.Model(image, L.Dense(3)(L.GlobalAveragePooling2D()(x))))

    monkeypatch.setattr(networks, "build_random", build)
    monkeypatch.setattr(engines, "_use_threads", lambda: None)  # TensorFlow has started already
    monkeypatch.setenv(rounds.QUICK, "1")


@pytest.mark.usefixtures("tiny")
def test_a_cell_of_tensorflow() -> None:
    row = engines.measure("ResNet50/tensorflow")
    for batch in ("1", "8"):
        assert set(row["batches"][batch]) == {"rounds", "ms", "ours", "fold"}
        assert set(row["batches"][batch]["ms"]) == set(FORMS)


@pytest.mark.usefixtures("tiny")
def test_a_cell_of_an_engine_leaves_out_what_cannot_be_exported_loaded_or_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from kito.export.formats import onnx  # noqa: F401 (it writes ours as ever)

    models: list[Any] = []

    def broken(model: Any, path: Path, keras_format: str) -> None:
        models.append(model)
        if len(models) == 1:
            raise ValueError(f"no such\noperation in {path}")
        path.write_bytes(b"no model")

    monkeypatch.setattr(exporting, "export", broken)
    row = engines.measure("ResNet50/onnx")
    assert row["missing"]["original"] == "ValueError: no such operation in original/model.onnx"
    assert row["missing"]["fold"].startswith("ONNX Runtime failed while it loaded the file of form")
    assert set(row["differences"]) == {"ours"}
    for batch in ("1", "8"):
        assert set(row["batches"][batch]) == {"rounds", "ms"}
        assert set(row["batches"][batch]["ms"]) == {"ours"}


@pytest.mark.parametrize("form", ["original", "ours"])
def test_a_file_that_computes_something_else_gives_no_ratio(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files(Path(), dict.fromkeys(FORMS, Path("model.onnx")))
    right = np.array([[1.0, 4.0]])
    monkeypatch.setattr(engines, "_process", lambda engine: FakeProcess({form: right + 2}, right))
    if form == "ours":
        with pytest.raises(engines.EngineCellError, match=r"ours cannot .* off by 0\.5"):
            engines._leave_out_wrong(files, {"image": right}, right, "onnx")
    else:
        differences = engines._leave_out_wrong(files, {"image": right}, right, "onnx")
        assert differences == {"original": 0.5, "fold": 0.0, "ours": 0.0}
        assert set(files.paths) == {"fold", "ours"}
        assert "off by 0.5" in files.missing["original"]


def test_a_file_that_takes_another_input_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(Path(), {form: Path("model.onnx") for form in FORMS})
    right = np.ones((2, 3))
    monkeypatch.setattr(engines, "_process", lambda engine: FakeProcess({}, right))
    with pytest.raises(engines.EngineCellError, match=r"neither can fold, original\): .*'image'"):
        engines._leave_out_wrong(files, {"photo": right}, right, "onnx")


class FakeProcess:
    """Returns the outputs of a form, or those that are right."""

    def __init__(self, wrong: dict[str, np.ndarray], right: np.ndarray) -> None:
        self._wrong, self._right = wrong, right

    def __enter__(self) -> FakeProcess:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def load(self, form: str, path: Path, name: str) -> Facts:
        return Facts(("image",), (frozenset({"y"}),), "1.0", "CPU")

    def run(self, form: str, batch: Any) -> list[np.ndarray]:
        return [self._wrong.get(form, self._right)]
