"""The numerical gradient, and the lecture's descent on x0^2 + x1^2."""

import numpy as np
import pytest

import nnscratch as nn


def bowl(x: np.ndarray) -> float:
    return x[0] ** 2 + x[1] ** 2


def test_the_lectures_hundred_steps_end_at_the_lectures_numbers() -> None:
    """001: from (-3, 4), lr 0.1, 100 steps -> (-6.11110793e-10, 8.14814391e-10)."""
    start = np.array([-3.0, 4.0])
    w, state, descent = start.copy(), {}, nn.OPTIMIZERS["sgd"](lr=0.1)
    for _ in range(100):
        descent.update(w, nn.numerical_gradient(bowl, w), state)
    np.testing.assert_allclose(w, [-6.11110793e-10, 8.14814391e-10], rtol=1e-8)
    assert start.tolist() == [-3.0, 4.0]  # the document's own function moves the caller's point


def test_the_point_is_left_as_it_is_and_may_hold_whole_numbers() -> None:
    x = np.array([3, 4])
    x.flags.writeable = False
    np.testing.assert_allclose(nn.numerical_gradient(bowl, x), [6, 8], rtol=1e-9)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
def test_any_shape_is_understood(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    gradient = nn.numerical_gradient(lambda x: float(np.sum(np.sin(x))), x)
    assert gradient.shape == shape
    np.testing.assert_allclose(gradient, np.cos(x), atol=1e-8)
