"""nnscratch, through its public names: with numba, and with NumPy alone."""

import os
from collections.abc import Iterator

import numpy as np

import nnscratch as nn

VARIANTS = ("numba", "numpy")
RATES = {
    "sgd": 0.1,
    "momentum": 0.1,
    "nesterov": 0.1,
}  # all others: their own default, as in PyTorch


class Trainer:
    """784-hidden-10, sigmoid, softmax cross-entropy, float32; images stay bytes until read."""

    def __init__(
        self,
        variant: str,
        optimizer: str,
        hidden: int,
        batch_size: int,
        seed: int,
        threads: int,
        images: np.ndarray,
        labels: np.ndarray,
    ) -> None:
        os.environ["NNSCRATCH_ENGINE"] = variant
        self.split = nn.Split(images, labels, 255.0)
        self.model = nn.MLP([784, hidden, 10], seed=seed)
        rate = {"lr": RATES[optimizer]} if optimizer in RATES else {}
        self.optimizer = nn.OPTIMIZERS[optimizer](**rate)
        self.batch_size, self.seed = batch_size, seed
        self._epochs: dict[int, Iterator[nn.Record]] = {}

    def run(self, updates: int) -> float:
        """So many updates, which are an epoch of as many images as they need."""
        if updates not in self._epochs:
            split = self.split[: updates * self.batch_size]
            loader = nn.mini_batch(split, min(self.batch_size, len(split)), self.seed)
            self._epochs[updates] = nn.fit(self.model, self.optimizer, loader, 1_000_000)
        return next(self._epochs[updates]).train_loss

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        test = nn.Split(images, labels, 255.0)
        return self.model.evaluate(test.x, test.labels).accuracy
