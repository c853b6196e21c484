"""PyTorch's side of the speed comparison: seconds per update of a 784-hidden-10 sigmoid network.

Written as PyTorch's tuning guide advises for a data set that fits into memory. It is one tensor,
gathered by index_select; a DataLoader would collate image by image. Gradients are set to None, the
loss is read once at the end of a run, and the optimizer comes in all the ways that torch.optim has:

    default    one parameter after the other, what one gets on a CPU without asking
    foreach    foreach=True, an operation on all parameters at once
    fused      fused=True, the whole rule in one pass over memory
    compiled   torch.compile around the batch, the loss, its gradients and the step

What was tried, microseconds per update on 2 cores, Adam. Batch 128, hidden 1000: default 4200,
foreach 4000, fused 3100, compiled 3000. Batch 1, hidden 100: 470, 460, 320, 230; there compiling
loss and backward() apart takes 490 and gradients by torch.func 390; the C++ wrapper gains 3 %,
max-autotune nothing. A compiled Adam step takes twice as long as the fused one, which is used
instead: Inductor recomputes both powers of the bias correction for every 16 weights.

Pixels stay uint8: at batch 128 the same speed as float32, 2 to 5 % slower at batch 1, 140 MB less.
Flushing denormals made no difference that could be seen. All is float32, except that Muon
orthogonalizes in bfloat16.
"""

import os

# PyTorch's own switch for huge pages under large tensors, read at the first allocation: 16 % at
# batch 60,000, 8 % at hidden 8000, nothing at batch 128.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim

VARIANTS = ("default", "foreach", "fused", "compiled")

OPTIMIZERS: dict[str, tuple[type[optim.Optimizer], dict[str, Any]]] = {
    "sgd": (optim.SGD, {"lr": 0.1}),
    "momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "nesterov": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": (optim.Adam, {"lr": 1e-3}),
    "adamw": (optim.AdamW, {"lr": 1e-3, "weight_decay": 1e-2}),
    "amsgrad": (optim.Adam, {"lr": 1e-3, "amsgrad": True}),
    "adagrad": (optim.Adagrad, {}),
    "adadelta": (optim.Adadelta, {}),
    "adafactor": (optim.Adafactor, {}),
    "adamax": (optim.Adamax, {}),
    "nadam": (optim.NAdam, {}),
    "radam": (optim.RAdam, {}),
    "rmsprop": (optim.RMSprop, {}),
    "rprop": (optim.Rprop, {}),
}


def make_optimizers(
    name: str, parameters: list[Tensor], **flags: bool
) -> tuple[optim.Optimizer, ...]:
    """One optimizer, or two for Muon: it is for matrices alone."""
    if name != "muon":
        kind, settings = OPTIMIZERS[name]
        return (kind(parameters, **settings, **flags),)
    matrices = [p for p in parameters if p.ndim == 2]
    vectors = [p for p in parameters if p.ndim != 2]
    return (
        optim.Muon(matrices, lr=0.02, weight_decay=0.0, **flags),
        optim.AdamW(vectors, lr=1e-3, weight_decay=0.0, **flags),
    )


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
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(784, hidden), nn.Sigmoid(), nn.Linear(hidden, 10))
        self.parameters = list(self.network.parameters())

        compiled = variant == "compiled"
        fused = variant == "fused" or (compiled and optimizer in ("adam", "adamw", "amsgrad"))
        flags = {"fused": True} if fused else {"foreach": True} if variant == "foreach" else {}
        try:
            self.optimizers = make_optimizers(optimizer, self.parameters, **flags)
        except (KeyError, TypeError) as error:
            raise NotImplementedError(f"torch.optim has no {variant} {optimizer}") from error

        self.update: Callable[[Tensor], Tensor] = self._update
        if compiled:
            torch.compiler.reset()  # it gives up after eight networks in one process
            # One graph with the backward pass in it, where backward() would split it into three.
            torch._dynamo.config.trace_autograd_ops = True
            self.loss_and_gradients = torch.compile(
                self._loss_and_gradients, fullgraph=True, dynamic=False
            )
            self.steps = [o.step if fused else torch.compile(o.step) for o in self.optimizers]
            self.update = self._update_compiled

        self.images = torch.tensor(images)
        self.labels = torch.tensor(labels, dtype=torch.int64)
        # A short last batch would have to be compiled by itself.
        last = len(labels) % batch_size if compiled else 0
        self.batches = self._shuffled(batch_size, len(labels) - last)

    def _shuffled(self, batch_size: int, stop: int) -> Iterator[Tensor]:
        while True:
            order = torch.randperm(len(self.labels))[:stop]
            for start in range(0, stop, batch_size):
                yield order[start : start + batch_size]

    def _loss(self, batch: Tensor) -> Tensor:
        pixels = self.images.index_select(0, batch) * (1 / 255)
        return F.cross_entropy(self.network(pixels), self.labels.index_select(0, batch))

    def _update(self, batch: Tensor) -> Tensor:
        loss = self._loss(batch)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def _loss_and_gradients(self, batch: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        loss = self._loss(batch)
        return loss.detach(), torch.autograd.grad(loss, self.parameters)

    def _update_compiled(self, batch: Tensor) -> Tensor:
        loss, gradients = self.loss_and_gradients(batch)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        for step in self.steps:
            step()
        return loss

    def run(self, updates: int) -> float:
        """Train for so many updates; the mean loss."""
        total = torch.zeros((), dtype=torch.float64)
        for batch in islice(self.batches, updates):
            total += self.update(batch)
        return total.item() / updates

    @torch.inference_mode()
    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        """The share of images that the network classifies rightly."""
        guess = self.network(torch.tensor(images) * (1 / 255)).argmax(dim=1)
        return (guess == torch.tensor(labels)).double().mean().item()
