"""The network before and after: what its plain data says, and what the drawing shows."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import keras
import pytest
from kito_models import randomize

import kito
from kito.drawing.blocks import find_blocks, find_parts
from kito.drawing.layout import lay_out
from kito.drawing.network import describe
from kito.drawing.picture import Picture, read_picture
from kito.drawing.svg import draw
from kito.errors import KitoError

L = keras.layers
HOSTILE = "<script>alert(1)<b onclick=x>"


class Residual(L.Layer):
    def build(self, shape: Any) -> None:
        self.conv = L.Conv2D(shape[-1], 3, padding="same", name="conv")
        self.norm = L.BatchNormalization(name="norm")
        super().build(shape)

    def call(self, x: Any) -> Any:
        return x + self.norm(self.conv(x))


def everything() -> Any:
    """A model with a layer for each thing that can become of a layer."""
    image = keras.Input((16, 16, 3), name="image")
    x = L.ZeroPadding2D(1, name="pad")(image)
    x = L.Conv2D(8, 3, name="conv", use_bias=False)(x)
    x = L.BatchNormalization(name="bn")(x)
    x = L.ReLU(name="relu")(x)
    x = L.Dropout(0.5, name="dropout")(x)
    wide = L.Conv2D(8, 3, padding="same", name="wide")(x)
    narrow = L.Conv2D(8, 1, name="narrow")(x)
    x = L.Add(name="add")([wide, narrow])
    x = L.ReLU(name="relu_2")(x)
    x = Residual(name="block")(x)
    x = L.Softmax(name="softmax")(x)
    x = L.BatchNormalization(name="late")(x)
    x = L.Softmax(name="out")(x)
    return randomize(keras.Model(image, x, name="everything"))


@pytest.fixture(scope="module")
def reduction() -> Any:
    return kito.reduce(everything())


@pytest.fixture(scope="module")
def network(reduction: Any) -> dict[str, Any]:
    return describe(reduction)


@pytest.fixture(scope="module")
def picture(network: dict[str, Any]) -> Picture:
    return read_picture(network)


class Texts(HTMLParser):
    """The texts of the boxes, without titles, and the names of all tags; each must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: Counter[str] = Counter()
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "meta":
            return
        self.tags[tag] += 1
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("text", "tspan"):
            self.found.append(data)


def fate(picture: Picture, name: str) -> tuple[str, list[str]]:
    (layer,) = (x for x in picture.before if x.name == name)
    return layer.fate, [picture.after[j].name for j in layer.hosts]


def notes(picture: Picture, name: str) -> dict[str, str]:
    (layer,) = (x for x in picture.after if x.name == name)
    return dict(layer.notes)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("pad", ("absorbed by", ["conv"])),
        ("bn", ("folded into", ["conv"])),
        ("dropout", ("does nothing in inference", [])),
        ("narrow", ("merged into", ["wide"])),
        ("add", ("merged into", ["wide"])),
        ("block-norm", ("folded into", ["block-conv"])),
        ("conv", ("", [])),
        ("late", ("", [])),
    ],
)
def test_what_became_of_a_layer(picture: Picture, name: str, expected: Any) -> None:
    assert fate(picture, name) == expected


def test_what_stays_says_why(picture: Picture) -> None:
    late = notes(picture, "late")
    assert late["was"] == "BatchNormalization"
    assert "'softmax'" in late["kept"]
    assert picture.opened == [("block", "Residual")]
    assert {x.name for x in picture.before if x.opened == 0} > {"block-conv", "block-norm"}


def test_layers_that_change_places() -> None:
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(16, 1, name="pointwise")(image)
    x = L.AveragePooling2D(2, name="pool")(x)
    model = randomize(keras.Model(image, L.Softmax()(x)))
    picture = read_picture(describe(kito.reduce(model)))
    assert "pool" in notes(picture, "pointwise")["moved"]
    (layout,) = [lay_out(picture, block) for block in find_blocks(picture)]
    rows = {picture.after[j].name: row for j, (row, _) in layout.after.spots.items()}
    assert (rows["pool"], rows["pointwise"]) == (1, 2)


def test_the_graphs_are_those_of_the_models(reduction: Any, picture: Picture) -> None:
    after = [x.name for x in picture.after]
    assert sorted(after) == sorted(x.name for x in [*reduction.model.operations])
    outer = {x.name for x in picture.before if x.opened is None}
    assert outer == {x.name for x in reduction.original.layers} - {"block"}
    edges = {(picture.after[i].name, x.name) for x in picture.after for i in x.inputs}
    expected = {
        (parent.operation.name, operation.name)
        for operation in reduction.model.operations
        for node in operation._inbound_nodes
        for parent in node.parent_nodes
    }
    assert edges == expected


def test_a_nested_model_that_is_called_twice_is_listed_once() -> None:
    x = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), L.Dense(4, name="inside")], name="inner")
    model = keras.Model(x, inner(inner(x)))
    picture = read_picture(describe(kito.reduce(randomize(model))))
    assert [x.name for x in picture.before].count("inside") == 1
    assert [x.name for x in picture.before].count("inner") == 1


def test_the_data_is_json_and_the_same_each_time(reduction: Any, network: Any) -> None:
    assert json.loads(json.dumps(network)) == network
    assert json.dumps(describe(reduction)) == json.dumps(network)
    assert draw(json.loads(json.dumps(network))) == draw(network)


def test_the_drawing_tells_what_went_where(network: Any) -> None:
    texts = Texts(draw(network))
    lines = " ".join(texts.found)
    for line in (
        "→ folded into conv",
        "→ absorbed by conv",
        "→ merged into wide",
        "→ does nothing in inference",
        "+ ZeroPadding2D",
        "+ BatchNormalization",
        "Residual block: inlined",
        "was BatchNormalization",
        "stays:",
    ):
        assert line in lines
    names = Counter(texts.found)
    # The reduced network shows the same text again, by reference, where nothing has changed.
    assert all(names[x[0]] >= 1 for x in network["before"])
    assert names["relu"] == 1
    summary = re.findall(r"<span>(.*?)</span>", draw(network))
    assert "2 BatchNormalization folded" in summary


def test_every_use_has_its_definition(network: Any) -> None:
    text = draw(network)
    ids = re.findall(r" id=(\w+)", text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"href=#(\w+)", text)) == set(ids)


def chain(blocks: int) -> Any:
    x = image = keras.Input((8, 8, 4), name="image")
    for i in range(blocks):
        y = L.Conv2D(4, 3, padding="same", name=f"block_{i}_conv")(x)
        y = L.BatchNormalization(name=f"block_{i}_bn")(y)
        y = L.Softmax(name=f"block_{i}_softmax")(y)
        y = L.Conv2D(4, 1, name=f"block_{i}_conv2")(y)
        y = L.BatchNormalization(name=f"block_{i}_bn2")(y)
        x = L.Add(name=f"block_{i}_add")([x, y])
        x = L.Softmax(name=f"block_{i}_out")(x)
    return randomize(keras.Model(image, x))


def test_a_large_network_collapses_by_block() -> None:
    picture = read_picture(network := describe(kito.reduce(chain(8))))
    blocks = find_blocks(picture)
    assert [x.title for x in blocks[1:]] == [f"block_{i}" for i in range(1, 8)]
    for layers, side in ((picture.before, "before"), (picture.after, "after")):
        listed = [i for block in blocks for i in getattr(block, side)]
        assert sorted(listed) == list(range(len(layers)))
    text = draw(network)
    assert text.count("<details>") == 8
    # Blocks of one shape share their lines and boxes.
    assert text.count("<g id=") == 2
    assert len(text) < 22_000


def cell(branches: int) -> Any:
    """A cell as NASNet has it: one layer, pairs of branches that are added, one that joins them."""
    x = image = keras.Input((8, 8, 4), name="image")
    x = L.ReLU(name="fork")(x)
    sums = []
    for i in range(branches):
        pair = []
        for side in ("left", "right"):
            y = L.Conv2D(4, 3, padding="same", name=f"conv_{side}{i}")(x)
            pair.append(L.BatchNormalization(name=f"bn_{side}{i}")(y))
        sums.append(L.Softmax(name=f"softmax_{i}")(L.Add(name=f"add_{i}")(pair)))
    x = L.Concatenate(name="join")(sums)
    return randomize(keras.Model(image, L.Softmax(name="out")(x)))


def test_a_wide_block_is_drawn_in_parallel_parts() -> None:
    picture = read_picture(network := describe(kito.reduce(cell(4), passes=("fold_affine",))))
    (block,) = find_blocks(picture)
    parts = find_parts(picture, block)
    names = [[picture.before[i].name for i in part.before] for part in parts]
    assert names[0] == ["image", "fork"]
    assert sorted(part[-1] for part in names[1:-1]) == [f"softmax_{i}" for i in range(4)]
    assert names[-1] == ["join", "out"]
    assert sorted(j for part in parts for j in part.after) == sorted(block.after)
    text = draw(network)
    assert text.count("<details") == 1
    # Before stands beside after, with lines between them: it fits the page.
    assert max(int(x) for x in re.findall(r"<svg role=img .*? width=(\d+)", text)) < 1200
    assert text.count("class=kdr") >= 1


def test_no_two_boxes_are_in_one_place(picture: Picture) -> None:
    for block in find_blocks(picture):
        layout = lay_out(picture, block)
        for side in (layout.before, layout.after):
            spots = sorted(side.spots.values())
            pairs = itertools.pairwise(spots)
            assert not any(a[0] == b[0] and b[1] - a[1] < 0.99 for a, b in pairs)
            assert all(side.spots[a][0] < side.spots[b][0] for a, b in side.edges)


def test_hostile_names_stay_text() -> None:
    image = keras.Input((8, 8, 3), name=f"{HOSTILE}image")
    x = L.Conv2D(4, 3, name=f"{HOSTILE}conv")(image)
    x = L.BatchNormalization(name=f"{HOSTILE}\u202e&bn")(x)
    x = L.Softmax(name=f"'{HOSTILE}\"")(x)
    x = L.BatchNormalization(name=f"{HOSTILE}late")(x)
    model = randomize(keras.Model(image, L.Softmax(name=f"{HOSTILE}out")(x), name=f"{HOSTILE}net"))
    text = draw(describe(kito.reduce(model)))
    assert set(Texts(text).tags) <= {
        *("div", "style", "svg", "defs", "g", "path", "use", "text", "tspan", "title"),
        *("details", "summary", "b", "s", "u", "em", "i", "span"),
    }
    assert "\u202e" not in text


def test_a_missing_extra_is_an_error(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kito.drawing.layout.is_installed", lambda: False)
    with pytest.raises(KitoError, match=r"pip install 'pytest-kito\[report\]'"):
        draw(network)


@pytest.mark.nightly
def test_a_very_large_network_is_small() -> None:
    reduction = kito.reduce(randomize(keras.applications.NASNetLarge(weights=None)))
    network = describe(reduction)
    assert len(json.dumps(network, separators=(",", ":"))) < 150_000
    text = draw(network)
    assert len(text.encode()) < 400_000
    assert text.count("<details>") > 10
