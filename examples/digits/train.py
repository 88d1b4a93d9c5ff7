"""Train a small convolutional classifier of handwritten digits and save what its gate needs.

Run ``python examples/digits/train.py``. It writes, beside itself or into ``--output DIR``,

- ``digits.keras``, the trained model: images ``(batch, 8, 8, 1)`` -> logits ``(batch, 10)``;
- ``test_images.npz``, the test images under the name of the model's input, ``image``;
- ``test.npz``, the test images and their labels, for the metric.

Two runs on one machine give the same weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import data
import keras
import numpy as np
import tensorflow as tf
from keras import layers

SEED = 0
EPOCHS = 25
BATCH_SIZE = 64
FILTERS = (16, 32, 32)


def build() -> keras.Model:
    """Three Conv-BatchNormalization-ReLU blocks, a global average and a dense layer."""
    image = keras.Input((8, 8, 1), name="image")
    x = image
    for index, filters in enumerate(FILTERS):
        strides = 2 if index == 1 else 1
        x = layers.Conv2D(filters, 3, strides, "same", use_bias=False, name=f"conv{index}")(x)
        x = layers.BatchNormalization(name=f"bn{index}")(x)
        x = layers.ReLU(name=f"relu{index}")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dropout(0.1, name="dropout")(x)
    logits = layers.Dense(10, name="logits")(x)
    return keras.Model(image, logits, name="digits")


def train(digits: data.Digits) -> keras.Model:
    """A model trained on the training part, without an optimizer; the same every time."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    model = build()
    steps = EPOCHS * -(-len(digits.train_images) // BATCH_SIZE)
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(digits.train_images, digits.train_labels, BATCH_SIZE, EPOCHS, verbose=0, shuffle=True)
    inference = build()
    inference.set_weights(model.get_weights())
    return inference


def accuracy(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images whose highest logit is that of their label."""
    return float(np.mean(np.argmax(model.predict(images, verbose=0), axis=-1) == labels))


def main() -> None:
    """Train, save, and print the test accuracy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, metavar="DIR")
    output: Path = parser.parse_args().output
    digits = data.load()
    model = train(digits)
    model.save(output / "digits.keras")
    np.savez_compressed(output / "test_images.npz", image=digits.test_images)
    np.savez_compressed(
        output / "test.npz", image=digits.test_images, label=digits.test_labels.astype(np.uint8)
    )
    print(f"test accuracy {accuracy(model, digits.test_images, digits.test_labels):.4f}")


if __name__ == "__main__":
    main()
