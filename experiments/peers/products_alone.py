"""The matrix products of the network's epoch and nothing else, by the BLAS that nnscratch uses."""

import nnscratch  # noqa: F401, I001  (first: it chooses the kernels before NumPy is imported)
import numpy as np

VARIANTS = ("products",)
CHUNK = 1024  # rows that nnscratch sends through the network at a time


class Trainer:
    """z1 = x W1, z2 = a W2, dW2 = a^T dz2, da = dz2 W2^T, dW1 = x^T dz1, into memory that stays."""

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
        rng = np.random.default_rng(seed)
        rows = min(batch_size, CHUNK)
        self.passes = -(-batch_size // rows)
        self.x, self.a, self.dz = (rng.random((rows, n), np.float32) for n in (784, hidden, 10))
        self.W1, self.W2 = (
            rng.random((784, hidden), np.float32),
            rng.random((hidden, 10), np.float32),
        )
        self.z1, self.z2, self.da = self.a.copy(), self.dz.copy(), self.a.copy()
        self.dW1, self.dW2 = self.W1.copy(), self.W2.copy()

    def run(self, updates: int) -> float:
        for _ in range(updates * self.passes):
            np.dot(self.x, self.W1, out=self.z1)
            np.dot(self.a, self.W2, out=self.z2)
            np.dot(self.a.T, self.dz, out=self.dW2)
            np.dot(self.dz, self.W2.T, out=self.da)
            np.dot(self.x.T, self.a, out=self.dW1)
        return 0.0
