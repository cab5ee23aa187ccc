"""The reference of the training benchmarks: a script as one writes it with Keras alone, without anything of erroran.

``python -m erroran.benchmarks.plain mnist.npz --seeds 3 --epochs 10`` trains the network of erroran's ``cnn`` in
float32 with ``model.fit`` on arrays; ``--augment`` adds as many runs whose generator dilates 4s and erodes 9s, image by
image, with OpenCV. It prints accuracies on the test images as JSON.
"""

import argparse
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras
import numpy as np
from keras import layers

BATCH = 128


def build_model() -> keras.Model:
    """421,642 parameters; takes float32 images in [0, 1]."""
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Generator(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """Shuffled batches; 12 % of the 4s are dilated, 12 % of the 9s eroded, with square kernels of 1 or 2 pixels."""

    def __init__(self, x: np.ndarray, y: np.ndarray, seed: int) -> None:
        super().__init__()
        self.x, self.y, self.rng = x, y, np.random.default_rng(seed)
        self.order = self.rng.permutation(len(y))

    def __len__(self) -> int:
        return -(-len(self.y) // BATCH)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index * BATCH : (index + 1) * BATCH]
        images, labels = self.x[rows].copy(), self.y[rows]
        for i, label in enumerate(labels):
            if label in (4, 9) and self.rng.random() < 0.12:
                size = int(self.rng.integers(1, 3))
                change = cv2.dilate if label == 4 else cv2.erode
                images[i, :, :, 0] = change(images[i, :, :, 0], np.ones((size, size), np.uint8))
        return images, labels

    def on_epoch_end(self) -> None:
        """Shuffle for the next epoch; Keras calls this."""
        self.rng.shuffle(self.order)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(prog="python -m erroran.benchmarks.plain", description=__doc__)
    parser.add_argument("mnist", help="mnist.npz in Keras layout")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--augment", action="store_true")
    options = parser.parse_args()
    with np.load(options.mnist) as data:
        x_train, y_train, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    x_train, x_test = (x[..., np.newaxis].astype("float32") / 255 for x in (x_train, x_test))
    # The last tenth is for validation, as with validation_split=0.1.
    x_fit, y_fit, x_val, y_val = x_train[:54_000], y_train[:54_000], x_train[54_000:], y_train[54_000:]
    accuracies = []
    for augment in (False, True) if options.augment else (False,):
        for seed in range(options.seeds):
            keras.utils.set_random_seed(seed)
            model = build_model()
            how = {"epochs": options.epochs, "validation_data": (x_val, y_val), "verbose": 0}
            if augment:
                model.fit(Generator(x_fit, y_fit, seed), **how)
            else:
                model.fit(x_fit, y_fit, batch_size=BATCH, **how)
            accuracies.append(model.evaluate(x_test, y_test, verbose=0)[1])
    sys.stdout.write(json.dumps(accuracies) + "\n")


if __name__ == "__main__":
    main()
