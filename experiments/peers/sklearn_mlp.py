"""scikit-learn's side of the speed comparison: seconds per update of a 784-hidden-10 network.

MLPClassifier on float32 images, which it trains in float32, with alpha=0 for no weight decay. An
epoch is one call of partial_fit, which checks its input once, shuffles the indices and goes through
all batches, and unlike fit keeps the state of the optimizer between calls. It has no early stopping
and no validation part. Fewer updates than an epoch run over a part of the images, a slice without a
copy. assume_finite leaves out the search for NaN.

What was tried, milliseconds per update at batch 128, hidden 1000, 2 cores: Adam 8.1, and 5.7 with
beta_2 a float32; see below.
"""

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

VARIANTS = ("MLPClassifier",)

OPTIMIZERS = {
    "sgd": {"learning_rate_init": 0.1, "momentum": 0.0, "nesterovs_momentum": False},
    "momentum": {"learning_rate_init": 0.1, "momentum": 0.9, "nesterovs_momentum": False},
    "nesterov": {"learning_rate_init": 0.1, "momentum": 0.9, "nesterovs_momentum": True},
    # As a Python float, beta_2 makes the step size a NumPy float64, and NumPy 2 would then compute
    # the update of all weights in float64.
    "adam": {"learning_rate_init": 1e-3, "beta_2": np.float32(0.999)},
}


class Trainer:
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
        if optimizer not in OPTIMIZERS:
            raise NotImplementedError(f"{variant} has no {optimizer}")
        threadpool_limits(threads)
        sklearn.set_config(assume_finite=True)
        self.network = MLPClassifier(
            hidden_layer_sizes=(hidden,),
            activation="logistic",
            solver="adam" if optimizer == "adam" else "sgd",
            alpha=0.0,
            batch_size=batch_size,
            random_state=np.random.RandomState(seed),  # an int would shuffle alike in each call
            **OPTIMIZERS[optimizer],
        )
        self.batch_size = batch_size
        self.images = images.astype(np.float32)
        self.images /= 255
        self.labels = labels
        self.start = 0

    def run(self, updates: int) -> float:
        """Train for so many updates; the mean loss."""
        total, left = 0.0, updates
        while left > 0:
            count = min(left * self.batch_size, len(self.labels))
            if self.start + count > len(self.labels):
                self.start = 0
            part = slice(self.start, self.start + count)
            self.network.partial_fit(self.images[part], self.labels[part], classes=range(10))
            done = -(-count // self.batch_size)
            total += done * float(self.network.loss_)
            left -= done
            self.start += count
        return total / updates

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        """The share of images that the network classifies rightly."""
        return float(np.mean(self.network.predict(images / np.float32(255)) == labels))
