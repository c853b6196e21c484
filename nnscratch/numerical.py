"""The gradient from its definition, to hold the one from backpropagation against."""

from collections.abc import Callable

import numpy as np

from .arrays import Array


def numerical_gradient(f: Callable[[Array], float], x: Array, h: float = 1e-4) -> Array:
    """The gradient of f at x by central differences.

        df/dx_i = (f(x + h e_i) - f(x - h e_i)) / (2 h)

    x has any shape; it is left as it is, and f may keep what it is given. The result is a new
    float64 array like x. The error is h^2 / 6 times f's third derivative, plus rounding, which
    grows as 1/h: about 1e-12 of f's size at the default h. Two evaluations of f for each element.

    >>> nn.numerical_gradient(lambda x: np.sum(x**3), np.array([1.0, 2.0])).round(6)
    array([ 3., 12.])
    """
    gradient = np.zeros(np.shape(x))
    for i in np.ndindex(gradient.shape):
        above, below = np.array(x, float), np.array(x, float)
        above[i] += h
        below[i] -= h
        gradient[i] = (f(above) - f(below)) / (2 * h)
    return gradient
