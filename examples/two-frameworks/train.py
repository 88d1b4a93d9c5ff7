"""Train both networks on scikit-learn's digits; writes models/ and data/ (30 s on two CPU cores).

python train.py [--output DIR]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from lab.networks import keras_digits, torch_digits


def main() -> None:
    """Train, and save the weights and the images that they were not trained on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, metavar="DIR")
    output: Path = parser.parse_args().output
    for name in ("models", "data"):
        (output / name).mkdir(exist_ok=True)
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8, 1) / 16).astype("float32")
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=360, random_state=0, stratify=labels
    )
    np.savez_compressed(output / "data" / "test.npz", image=test, label=test_labels)

    keras.utils.set_random_seed(0)
    model = keras_digits()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(train, train_labels, batch_size=64, epochs=15, verbose=0)
    model.save_weights(output / "models" / "keras_digits.weights.h5")

    torch.manual_seed(0)
    module = torch_digits()
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    inputs = torch.from_numpy(train.transpose(0, 3, 1, 2).copy())
    targets = torch.from_numpy(train_labels)
    for _ in range(15):
        for batch in torch.randperm(len(inputs)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(inputs[batch]), targets[batch]).backward()
            optimizer.step()
    torch.save(module.state_dict(), output / "models" / "torch_digits.pt")


if __name__ == "__main__":
    main()
