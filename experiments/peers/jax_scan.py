"""JAX's side of the speed comparison: seconds per update of a 784-hidden-10 sigmoid network.

A run is one compiled program, whose lax.scan goes over the batches and whose weights and optimizer
state are donated, so that they are updated in place; rules by optax. Data stay on the device. The
first run of each number of updates compiles (about half a second).

What was tried, microseconds per update at batch 128, hidden 1000, Adam, 2 cores: this program 2550
to 2790; weights as (in, out) 2670 to 2780; pixels as float32 2720, 230 MB more at the peak; a
Python loop around a jitted step 2840; batches gathered before the scan 2690; one-hot labels 4200.
unroll=2 gained nothing here, at most 10 % at batch 1, and lost a factor of 2.5 at batch 32; XLA's
flags for oneDNN, YNNPACK, fast math, vector width and the scheduler gained nothing. NumPy draws the
order (drawing it inside jit was not tried).

Threads: XLA has no call to set them. Its CPU client reads their number from PJRT_NPROC when it
starts, so this module sets that, from SPEED_THREADS, before it imports jax.
"""

import os

if "SPEED_THREADS" in os.environ:
    os.environ["PJRT_NPROC"] = os.environ["SPEED_THREADS"]
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax.contrib import MuonDimensionNumbers, muon

VARIANTS = ("scan",)

Parameters = dict[str, jax.Array]


# Muon orthogonalizes the matrices, stored as (out, in); AdamW takes the rest.
MATRIX = MuonDimensionNumbers(reduction_axis=1, output_axis=0)
MATRICES = {"w1": MATRIX, "b1": None, "w2": MATRIX, "b2": None}

OPTIMIZERS = {
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.1, momentum=0.9),
    "nesterov": optax.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": optax.adam(1e-3),
    "adamw": optax.adamw(1e-3, weight_decay=1e-2),
    "muon": muon(0.02, adam_learning_rate=1e-3, muon_weight_dimension_numbers=MATRICES),
}


def logits(parameters: Parameters, images: jax.Array) -> jax.Array:
    pixels = images.astype(jnp.float32) / 255
    hidden = jax.nn.sigmoid(pixels @ parameters["w1"].T + parameters["b1"])
    return hidden @ parameters["w2"].T + parameters["b2"]


def mean_loss(parameters: Parameters, images: jax.Array, labels: jax.Array) -> jax.Array:
    scores = logits(parameters, images)
    return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()


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
            raise NotImplementedError(f"optax: no {optimizer} here")
        rule = OPTIMIZERS[optimizer]
        self.batch_size = batch_size
        self.rng = np.random.default_rng(seed)
        self.images = jnp.asarray(images)
        self.labels = jnp.asarray(labels, dtype=jnp.int32)
        glorot = jax.nn.initializers.glorot_uniform()
        key1, key2 = jax.random.split(jax.random.key(seed))
        parameters = {
            "w1": glorot(key1, (hidden, 784)),
            "b1": jnp.zeros(hidden),
            "w2": glorot(key2, (10, hidden)),
            "b2": jnp.zeros(10),
        }
        self.state: tuple[Parameters, Any] = parameters, rule.init(parameters)

        def train(state, images, labels, batches):
            def update(state, batch):
                parameters, memory = state
                loss, gradient = jax.value_and_grad(mean_loss)(
                    parameters, images[batch], labels[batch]
                )
                change, memory = rule.update(gradient, memory, parameters)
                return (optax.apply_updates(parameters, change), memory), loss

            state, losses = jax.lax.scan(update, state, batches)
            return state, losses.mean()

        self.train = jax.jit(train, donate_argnums=0)
        self.predict = jax.jit(lambda p, images: logits(p, images).argmax(axis=1))

    def run(self, updates: int) -> float:
        """Train for so many updates; the mean loss."""
        full = len(self.labels) // self.batch_size  # a scan has batches of one size: drop the rest
        orders = [self.rng.permutation(len(self.labels)) for _ in range(-(-updates // full))]
        used = [order[: full * self.batch_size] for order in orders]
        batches = np.concatenate(used).astype(np.int32).reshape(-1, self.batch_size)[:updates]
        self.state, loss = self.train(self.state, self.images, self.labels, batches)
        jax.block_until_ready(self.state)
        return float(loss)

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        """The share of images that the network classifies rightly."""
        return float(np.mean(np.asarray(self.predict(self.state[0], images)) == labels))
