"""Batch normalization as part of the weights, for whoever computes z = x W + b alone."""

import numpy as np

from ..layers import BatchNorm
from ..model import MLP
from .native import arrays_of


def folded(model: MLP) -> MLP:
    """The network that answers as this trained one does, and has no batch normalization.

        W <- W s        b <- beta - mean s        s = gamma / sqrt(variance + eps)

    Computed in double precision and rounded once, so that its answers are those of `model` but for
    rounding. The model itself if it has none. What only training needs is not taken over:
    regularization, and the initializer (`init` says zeros).
    """
    if not model.moving:
        return model
    found = MLP(model.sizes, model.activation, "zeros", model.loss, model.seed, dtype=model.dtype)
    new, old = arrays_of(found), arrays_of(model)
    last = len(model.sizes) - 1
    for k in range(1, last):
        variance = old[f"variance{k}"].astype(np.float64)
        s = old[f"gamma{k}"] / np.sqrt(variance + BatchNorm.EPS)
        new[f"W{k}"][...] = old[f"W{k}"] * s
        new[f"b{k}"][...] = old[f"beta{k}"] - old[f"mean{k}"] * s
    new[f"W{last}"][...] = old[f"W{last}"]
    new[f"b{last}"][...] = old.get(f"b{last}", 0)
    return found
