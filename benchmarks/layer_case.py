"""A small model of stock layers, and another one that computes the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

Weights = list[Any]
Layers = Sequence[Any]


@dataclass(frozen=True)
class Case:
    """A model and its equal.

    Attributes:
        name: which layer becomes which, and the sizes.
        original: the model.
        equal: another one of the same function.
        convert: the weights of the equal from those of the original.
        taken: for which targets ``choose_kernels`` makes this replacement, where running the pass
            cannot answer that; else None.
    """

    name: str
    original: keras.Model
    equal: keras.Model
    convert: Callable[[Weights], Weights]
    taken: str | None = None


def chain(shape: tuple[int, ...], *layers: Any) -> keras.Model:
    x = start = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(start, x)


def case(
    name: str,
    shape: tuple[int, ...],
    original: Layers,
    equal: Layers,
    convert: Callable[[Weights], Weights] = list,
) -> Case:
    return Case(name, chain(shape, *original), chain(shape, *equal), convert)


def listed(**settings: Any) -> str:
    plain = {"multiplier": 1, "padding": "same"}
    named = {k: v for k, v in settings.items() if plain.get(k) != v}
    return ", ".join(f"{k} {v}" for k, v in named.items()) or "strides 1"


def times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
