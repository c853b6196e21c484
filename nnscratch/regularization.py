"""Regularization: what keeps a network from learning the training images by heart."""

from dataclasses import dataclass

import numpy as np

from .arrays import Array, scratch
from .hyper import Part, hyper, values


@dataclass(frozen=True)
class Regularization(Part):
    """Penalties and limits on the weights, and units left out at random; 0 is without each.

        loss + l2 / 2 sum W^2 + l1 sum |W|        dW + l2 W + l1 sign(W)
        |W_j| <= max_norm                         W_j the weights into unit j, after each update

    W are the matrices: biases, gamma and beta of a batch normalization go free. What `fit` calls
    the training loss is that of the network with units left out, and has the penalties in it; an
    evaluation is of the whole network, without penalties.

    Raises UsageError for a number out of its range.
    Source: Srivastava et al., JMLR 15, 2014, for max-norm (section 5.1, where it goes with dropout)
    and for dropout (see `layers.Dropout`).
    Note: l2 is Nielsen's lambda / n, twice the l2 of Keras, and the weight_decay of PyTorch's SGD.
    With an optimizer that divides by the size of the gradient, such as Adam, it is another thing
    than decoupled decay. Behind a dropout the weights are those of the trained network, 1 - dropout
    times those that the source learns and limits: its max_norm of 4 is one of 2 behind 0.5 here.

    >>> limits = nn.Regularization(l2=0.5, max_norm=3)
    >>> print(limits)
    l2 0.5, max_norm 3
    >>> model = nn.MLP([2, 2], init=nn.INITIALIZERS["constant"](value=1), regularization=limits)
    >>> x, labels = np.eye(2), np.array([0, 1])
    >>> round(model.loss_and_grad(x, labels) - model.evaluate(x, labels).loss, 6)   # 0.5 / 2 * 4
    1.0
    """

    l2: float = hyper(0.0, "[0, inf)", "strength of the penalty on squared weights")
    l1: float = hyper(0.0, "[0, inf)", "strength of the penalty on absolute weights")
    max_norm: float = hyper(0.0, "[0, inf)", "largest norm of the weights into a unit")
    dropout: float = hyper(0.0, "[0, 1)", "share of the hidden units left out")
    input_dropout: float = hyper(0.0, "[0, 1)", "share of the inputs left out")

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in values(self).items() if value)

    def penalize(self, W: Array, dW: Array) -> float:
        """What a matrix adds to the loss; what it adds to the gradient is added to dW."""
        if not self.l2 and not self.l1:
            return 0.0
        penalty = 0.0
        term = scratch("penalty", W.shape, W.dtype)
        if self.l2:
            dW += np.multiply(W, self.l2, out=term)
            penalty += float(np.vdot(W, term)) / 2
        if self.l1:
            np.sign(W, out=term)
            term *= self.l1
            dW += term
            penalty += float(np.vdot(W, term))
        return penalty

    def limit(self, W: Array) -> None:
        """Shorten the columns of W, (in, units), that are longer than max_norm."""
        if self.max_norm:
            norms = np.sqrt(np.einsum("ij,ij->j", W, W))
            if self.max_norm < norms.max() < np.inf:  # else it has diverged, and no 0 shall hide it
                W *= self.max_norm / np.maximum(norms, self.max_norm)


NONE = Regularization()
