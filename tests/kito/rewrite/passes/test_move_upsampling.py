"""A convolution reads the tensor before it is up-sampled, and the function stays the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from kito_models import assert_same, feed, outputs, randomize

import kito
from kito.rewrite.passes.move_upsampling import move
from kito.rewrite.passes.move_upsampling.blocks import Axis

L = keras.layers
Rest = Callable[..., Any]
Shape = tuple[int | None, ...]
pytestmark = pytest.mark.backends("tensorflow")  # it is done on no other
IMAGE, LARGE = (5, 4, 6), (10, 8, 3)


@pytest.fixture
def float64() -> Iterator[None]:
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is done for small tensors, too."""
    for price in ("_DEAL", "_ADD", "_READ"):
        monkeypatch.setattr(move, price, -1000)


def model_of(rest: Rest, *shapes: Shape) -> Any:
    images = [keras.Input(shape) for shape in shapes or (IMAGE,)]
    end = L.Activation("tanh", name="end")
    return randomize(keras.Model(images, end(rest(*images))))


def reduce(model: Any, **more: Any) -> kito.Reduction:
    return kito.reduce(model, passes=("move_upsampling",), **more)


def conv(filters: int = 4, kernel: Any = 3, **more: Any) -> Any:
    return L.Conv2D(filters, kernel, **({"padding": "same", "activation": "relu"} | more))


def up(*arguments: Any, **more: Any) -> Any:
    return L.UpSampling2D(*arguments, **more)


def assert_equal(model: Any, reduced: Any) -> None:
    """Both models compute the same in float64."""
    arrays = [x.astype("float64") for x in feed(model)]
    [expected], [found] = outputs(model, arrays), outputs(reduced, arrays)
    assert expected.shape == found.shape
    assert np.abs(expected - found).max() <= 1e-12 * np.abs(expected).max()


ALONE: dict[str, tuple[Shape, Rest]] = {
    "2, 3 x 3": (IMAGE, lambda x: conv()(up(2)(x))),
    "3, 3 x 3": (IMAGE, lambda x: conv()(up(3)(x))),
    "2, 5 x 5": (IMAGE, lambda x: conv(4, 5)(up(2)(x))),
    "3, 5 x 5": (IMAGE, lambda x: conv(4, 5)(up(3)(x))),
    "4, 3 x 3": (IMAGE, lambda x: conv()(up(4)(x))),
    "2 and 3, 3 x 5": (IMAGE, lambda x: conv(4, (3, 5))(up((2, 3))(x))),
    "an even window": (IMAGE, lambda x: conv(4, (4, 6))(up(2)(x))),
    "one axis": (IMAGE, lambda x: conv()(up((1, 2))(x))),
    "the other axis, 3 x 1": (IMAGE, lambda x: conv(4, (3, 1))(up((2, 1))(x))),
    "no bias, linear": (IMAGE, lambda x: conv(use_bias=False, activation=None)(up(2)(x))),
    "one element": ((1, 1, 6), lambda x: conv()(up(3)(x))),
    "a sequence": ((5, 6), lambda x: L.Conv1D(4, 3, padding="same")(L.UpSampling1D(2)(x))),
    "a volume": (
        (2, 3, 4, 2),
        lambda x: L.Conv3D(3, 3, padding="same")(L.UpSampling3D((2, 1, 3))(x)),
    ),
}


@pytest.mark.usefixtures("float64", "always")
@pytest.mark.parametrize("case", ALONE)
def test_moves_behind_the_convolution_that_reads_it(case: str) -> None:
    shape, rest = ALONE[case]
    model = model_of(rest, shape)
    reduction = reduce(model)
    assert len(reduction.rewrites) == 1
    assert "UpSampling" not in "".join(type(x).__name__ for x in reduction.model.layers)
    assert_equal(model, reduction.model)


def join(*parts: Any, **more: Any) -> Any:
    return L.Concatenate(**more)(list(parts))


def joined_twice(x: Any, y: Any) -> Any:
    """Both calls of one layer change, each to one tensor less."""
    layer = L.Concatenate()
    first = conv(3)(layer([up(2)(x), y, L.ReLU()(y)]))
    return conv()(layer([first, up(2)(L.ReLU()(x)), y]))


JOINED: dict[str, tuple[Rest, int]] = {
    "first": (lambda x, y: conv()(join(up(2)(x), y)), 1),
    "last": (lambda x, y: conv(activation=None)(join(y, up(2)(x), axis=3)), 1),
    "between two": (lambda x, y: conv(4, 5)(join(y, up(2)(x), L.ReLU()(y))), 1),
    "twice the other": (lambda x, y: conv(use_bias=False)(join(y, up(2)(x), y)), 1),
    "two of them": (lambda x, y: conv()(join(up(2)(x), y, up(2)(L.ReLU()(x)))), 2),
    "of one layer called twice": (joined_twice, 2),
    "nothing else": (lambda x, y: join(conv()(join(up(2)(x), up(2)(L.ReLU()(x)))), y), 2),
}


@pytest.mark.usefixtures("float64", "always")
@pytest.mark.parametrize("case", JOINED)
def test_moves_out_of_a_concatenation(case: str) -> None:
    rest, count = JOINED[case]
    model = model_of(rest, IMAGE, LARGE)
    reduction = reduce(model)
    assert len(reduction.rewrites) == count
    assert not any(isinstance(x, L.UpSampling2D) for x in reduction.model.layers)
    assert_equal(model, reduction.model)


def twice(layer: Any, x: Any) -> Any:
    return join(layer(x), layer(L.ReLU()(x)))


STAYED: dict[str, Rest] = {
    "bilinear": lambda x: conv()(up(2, interpolation="bilinear")(x)),
    "read elsewhere": lambda x: (lambda y: join(conv()(y), y))(up(2)(x)),
    "joined twice": lambda x: (lambda y: conv()(join(y, y)))(up(2)(x)),
    "join read elsewhere": lambda x: (lambda y: join(conv()(y), y))(join(up(2)(x), up(2)(x))),
    "join along a row": lambda x: conv()(join(up(2)(x), up(2)(x), axis=2)),
    "shared convolution": lambda x: twice(conv(), up(2)(x)),
    "strides": lambda x: conv(strides=2)(up(2)(x)),
    "dilation": lambda x: conv(dilation_rate=2)(up(2)(x)),
    "groups": lambda x: conv(groups=2)(up(2)(x)),
    "valid": lambda x: conv(padding="valid")(up(2)(x)),
    "causal": lambda x: L.Conv1D(4, 3, padding="causal")(L.UpSampling1D(2)(L.Reshape((20, 6))(x))),
    "softmax": lambda x: conv(activation="softmax")(up(2)(x)),
    "transposed": lambda x: L.Conv2DTranspose(4, 3, padding="same")(up(2)(x)),
    "something between": lambda x: conv()(L.ReLU()(up(2)(x))),
}


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("case", STAYED)
def test_stays(case: str) -> None:
    assert reduce(model_of(STAYED[case])).rewrites == ()


@pytest.mark.usefixtures("always")
def test_what_the_model_returns_is_up_sampled() -> None:
    image, other = keras.Input(IMAGE), keras.Input(LARGE)
    x = up(2)(image)
    joined = join(up(2)(image), other)
    model = keras.Model([image, other], [x, conv()(x), joined, conv()(joined)])
    assert reduce(randomize(model)).rewrites == ()


@pytest.mark.usefixtures("always")
def test_an_open_size_stays_open() -> None:
    assert reduce(model_of(lambda x: conv()(up(2)(x)), (None, 4, 6))).rewrites == ()


@pytest.mark.usefixtures("always")
def test_a_kernel_out_of_range_is_not_summed() -> None:
    model = model_of(lambda x: conv(activation=None)(up(2)(x)))
    layer = next(x for x in model.layers if isinstance(x, L.Conv2D))
    layer.kernel.assign(np.full(layer.kernel.shape, 3e38))
    assert reduce(model).rewrites == ()


@pytest.mark.usefixtures("always")
def test_the_result_has_the_name_of_the_convolution() -> None:
    image, other = keras.Input(IMAGE), keras.Input(LARGE)
    alone = conv(name="alone")(up(2)(image))
    joined = conv(name="joined")(join(up(2)(image), other))
    model = randomize(keras.Model([image, other], [alone, joined]))
    reduction = reduce(model)
    assert len(reduction.rewrites) == 2
    kinds = {x.name: type(x) for x in reduction.model.layers}
    assert kinds["alone"] is L.Cropping2D
    assert kinds["joined"] is L.Activation
    assert list(reduction.model.output_names) == ["alone", "joined"]
    assert_same(model, reduction.model)


@pytest.mark.usefixtures("always")
def test_a_sequential_model_stays_one_inside_another_model() -> None:
    decoder = keras.Sequential([keras.Input(IMAGE), up(2), conv(), up((2, 3)), conv(3, 5)])
    model = model_of(lambda x: L.ReLU()(decoder(x)))
    reduction = reduce(model)
    assert len(reduction.rewrites) == 2
    [inner] = [x for x in reduction.model.layers if isinstance(x, keras.Sequential)]
    assert not any(isinstance(x, L.UpSampling2D) for x in inner.layers)
    assert_same(model, reduction.model)


def test_it_is_done_where_it_saves_more_than_it_adds() -> None:
    def saved(shape: Shape, filters: int = 8) -> int | None:
        reduction = reduce(model_of(lambda x: conv(filters)(up(2)(x)), shape))
        found = [x.multiplications for x in reduction.patterns if x.multiplications]
        return found[0] if found else None

    assert saved((16, 16, 4)) is None  # to deal out the result takes longer
    assert saved((2, 2, 128)) is None  # most of the blocks are not whole
    assert saved((16, 16, 32)) == 32 * 8 * (9 * 32**2 - 4 * 4 * 17**2)


def test_it_is_not_done_where_it_was_not_measured() -> None:
    model = model_of(lambda x: conv(8)(up(2)(x)), (16, 16, 64))
    assert reduce(model, target="gpu").rewrites == ()
    assert reduce(model, target="cpu").rewrites != ()


@pytest.mark.usefixtures("float64", "always")
def test_batch_normalization_is_folded_first() -> None:
    def decoder(x: Any, y: Any) -> Any:
        return L.ReLU()(L.BatchNormalization()(conv(activation=None)(join(up(2)(x), y))))

    model = model_of(decoder, IMAGE, LARGE)
    reduction = kito.reduce(model)
    assert reduction.batchnorms[1] == 0
    assert {"fold_affine", "move_upsampling"} == {x.pass_name for x in reduction.rewrites}
    assert_equal(model, reduction.model)


@pytest.mark.parametrize("window", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_blocks_read_as_few_elements_as_can_be(factor: int, window: int) -> None:
    axis = Axis(6, factor, window)
    assert axis.sums().sum(axis=0) == pytest.approx(np.ones((factor, window)))
    first = {block * factor - axis.surplus[0] for block in range(axis.blocks)}
    assert min(first) <= 0 < min(first) + factor
    assert 6 * factor <= max(first) + factor < 6 * factor + factor
    assert axis.taps == -(-(factor + window - 1) // factor)
