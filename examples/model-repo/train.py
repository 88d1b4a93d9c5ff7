"""Train both models; writes what the gate needs into ``models`` and ``data``, beside itself.

python train.py [--output DIR]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from lab.data import TEST, images_and_labels, noisy
from lab.networks import classifier, denoiser

EPOCHS = 15
Build = Callable[[], keras.Model]


def trained(build: Build, loss: str | keras.Loss, x: np.ndarray, y: np.ndarray) -> keras.Model:
    """A network trained on all but the last images, without its optimizer."""
    model = build()
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(x[:-TEST], y[:-TEST], batch_size=32, epochs=EPOCHS, verbose=0)
    plain = build()
    plain.set_weights(model.get_weights())
    return plain


def main() -> None:
    """Train, and save the models and the images that they were not trained on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, metavar="DIR")
    output: Path = parser.parse_args().output
    for name in ("models", "data"):
        (output / name).mkdir(exist_ok=True)
    keras.utils.set_random_seed(0)
    clean, labels = images_and_labels()
    rough = noisy(clean)

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trained(classifier, loss, clean, labels).save(output / "models" / "classifier.keras")
    model = trained(denoiser, "mean_squared_error", rough, clean)
    model.save_weights(output / "models" / "denoiser.weights.h5")

    data = output / "data"
    np.savez_compressed(data / "clean.npz", image=clean[-TEST:])
    np.savez_compressed(data / "noisy.npz", image=rough[-TEST:])
    np.savez_compressed(data / "accuracy.npz", image=clean[-TEST:], label=labels[-TEST:])
    np.savez_compressed(data / "error.npz", image=rough[-TEST:], clean=clean[-TEST:])


if __name__ == "__main__":
    main()
