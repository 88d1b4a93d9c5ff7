"""Draw each pass on a tiny model into docs/drawings/: ``python .ci/draw_rewrites.py``.

The drawings are what ``kito explain --html`` shows of these models, as files that a page can hold.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import keras
from keras import layers as L  # noqa: N812 - short, as the models are

import kito
from kito.drawing.blocks import find_blocks
from kito.drawing.marks import Marks
from kito.drawing.network import describe
from kito.drawing.paint import Drawing
from kito.drawing.picture import read_picture
from kito.drawing.style import STYLE

FOLDER = Path(__file__).parent.parent / "docs" / "drawings"
_PAGE = ".kd{--kd-page:#fff}@media(prefers-color-scheme:dark){.kd{--kd-page:#15181b}}"
_PAGE += ".page{fill:var(--kd-page)}"
"""A background of its own: a site may be dark where the system is light."""


def drop_identity(x: Any) -> Any:
    x = L.Conv2D(8, 3, name="conv")(x)
    x = L.Activation("linear", name="linear")(x)
    x = L.ReLU(name="relu")(x)
    x = L.Dropout(0.5, name="dropout")(x)
    return L.Conv2D(8, 3, name="conv_2")(x)


def fold_affine(x: Any) -> Any:
    x = L.Rescaling(1 / 255, name="rescale")(x)
    x = L.Conv2D(8, 3, name="conv", use_bias=False)(x)
    x = L.BatchNormalization(name="bn")(x)
    return L.ReLU(name="relu")(x)


def fold_batchnorm(x: Any) -> Any:
    x = L.Conv2D(8, 3, name="conv", use_bias=False)(x)
    x = L.BatchNormalization(name="bn_1")(x)
    x = L.ReLU(name="relu")(x)
    return L.BatchNormalization(name="bn_2")(x)


def absorb_padding(x: Any) -> Any:
    x = L.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(x)
    x = L.Conv2D(8, 3, strides=2, name="conv")(x)
    return L.ReLU(name="relu")(x)


def merge_branches(x: Any) -> Any:
    wide = L.Conv2D(8, 3, padding="same", name="wide")(x)
    narrow = L.Conv2D(8, 1, name="narrow")(x)
    return L.ReLU(name="relu")(L.Add(name="add")([wide, narrow]))


def move_pointwise(x: Any) -> Any:
    x = L.Conv2D(8, 1, name="pointwise")(x)
    x = L.AveragePooling2D(2, name="pool")(x)
    return L.ReLU(name="relu")(x)


def move_strides(x: Any) -> Any:
    x = L.Conv2D(8, 1, name="conv")(x)
    x = L.ReLU(name="relu")(x)
    main = L.Conv2D(8, 1, strides=2, name="main")(x)
    shortcut = L.Conv2D(8, 1, strides=2, name="shortcut")(x)
    return L.Concatenate(name="join")([main, shortcut])


def collapse_linear(x: Any) -> Any:
    x = L.Conv2D(64, 3, name="conv")(x)
    x = L.Conv2D(8, 1, name="project")(x)
    return L.ReLU(name="relu")(x)


def move_upsampling(x: Any) -> Any:
    x = L.Conv2D(32, 3, padding="same", activation="relu", name="before")(x)
    x = L.UpSampling2D(2, name="up")(x)
    return L.Conv2D(32, 3, padding="same", activation="relu", name="conv")(x)


def choose_kernels(x: Any) -> Any:
    x = L.Conv2D(3, 3, groups=3, padding="same", name="grouped")(x)
    return L.ReLU(name="relu")(x)


MODELS: dict[str, Callable[[Any], Any]] = {
    x.__name__: x
    for x in (
        *(drop_identity, fold_affine, absorb_padding, merge_branches, move_pointwise),
        *(move_strides, collapse_linear, move_upsampling, choose_kernels, fold_batchnorm),
    )
}
"""For each pass, what makes the outputs of its model from the input."""


def draw_pass(name: str) -> str:
    """A pass, and nothing else, at work on its model, as the text of an SVG file."""
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3), name="image")
    model = keras.Model(image, MODELS[name](image), name=name)
    picture = read_picture(describe(kito.reduce(model, passes=(name,))))
    (block,) = find_blocks(picture)
    drawing, marks = Drawing(picture, block), Marks(name)
    size = f"width={drawing.width} height={drawing.height}"
    shown = drawing.svg(f"{name}: a network before and after", marks)
    file = _File()
    file.feed(
        f'<svg xmlns="http://www.w3.org/2000/svg" class=kd {size}><style>{STYLE}{_PAGE}</style>'
        f"<rect class=page {size} rx=6 />{marks.definitions()}{shown}</svg>"
    )
    return "".join(file.parts).strip() + "\n"


class _File(HTMLParser):
    """Rewrites SVG in HTML as XML, with a line for each element."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append(f"{_line(tag)}<{tag}{''.join(_attributes(attrs))}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append(f"{_line(tag)}<{tag}{''.join(_attributes(attrs))}/>")

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.parts.append(html.escape(data, quote=False))


def _line(tag: str) -> str:
    return "" if tag == "tspan" else "\n"


def _attributes(attrs: list[tuple[str, str | None]]) -> Iterator[str]:
    for name, value in attrs:
        yield f' {"viewBox" if name == "viewbox" else name}="{html.escape(value or "")}"'


def main() -> None:
    """Write every drawing."""
    FOLDER.mkdir(exist_ok=True)
    for name in MODELS:
        (FOLDER / f"{name}.svg").write_text(draw_pass(name), encoding="utf-8")


if __name__ == "__main__":
    main()
