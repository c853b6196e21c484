"""Losses against scikit-learn and SciPy, their derivatives, and extreme outputs."""

import numpy as np
import pytest
import scipy.special
import sklearn.metrics

import nnscratch as nn

rng = np.random.default_rng(5)
Z = rng.normal(size=(40, 10)) * 4
LABELS = rng.integers(0, 10, 40)
Y = np.eye(10)[LABELS]
# the sum over the examples, each from its textbook definition
EXPECTED = {
    "softmax_cross_entropy": lambda z: (
        len(z)
        * sklearn.metrics.log_loss(LABELS, scipy.special.softmax(z, axis=1), labels=range(10))
    ),
    "sigmoid_cross_entropy": lambda z: (
        -np.sum(Y * np.log(scipy.special.expit(z)) + (1 - Y) * np.log(scipy.special.expit(-z)))
    ),
    "mean_squared_error": lambda z: 0.5 * np.sum((scipy.special.expit(z) - Y) ** 2),
}
EVERY = pytest.mark.parametrize("name", nn.LOSSES)


def test_every_loss_has_an_independent_definition_here() -> None:
    assert EXPECTED.keys() == nn.LOSSES.keys()


@EVERY
def test_the_loss_is_the_one_of_its_name(name: str) -> None:
    a = np.empty_like(Z)
    assert nn.LOSSES[name]().forward(Z, LABELS, a) == pytest.approx(EXPECTED[name](Z), rel=1e-12)


@EVERY
def test_the_answer_is_softmax_or_sigmoid(name: str) -> None:
    loss, a, b = nn.LOSSES[name](), np.empty_like(Z), np.empty_like(Z)
    loss.forward(Z, LABELS, a)
    loss.output(Z, b)
    softmax, sigmoid = scipy.special.softmax(Z, axis=1), scipy.special.expit(Z)
    expected = softmax if name.startswith("softmax") else sigmoid
    np.testing.assert_allclose(a, expected, rtol=1e-12)
    assert (a == b).all()


@EVERY
def test_the_derivative_is_that_of_the_sum(name: str) -> None:
    loss, a, dz = nn.LOSSES[name](), np.empty_like(Z), np.empty_like(Z)
    loss.forward(Z, LABELS, a)
    loss.backward(a, LABELS, dz)
    numeric = nn.numerical_gradient(EXPECTED[name], Z, h=1e-5)
    np.testing.assert_allclose(dz, numeric, atol=1e-7)


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "sigmoid_cross_entropy"])
def test_the_derivative_of_a_cross_entropy_is_a_minus_y(name: str) -> None:
    loss, a, dz = nn.LOSSES[name](), np.empty_like(Z), np.empty_like(Z)
    loss.forward(Z, LABELS, a)
    loss.backward(a, LABELS, dz)
    assert (dz == a - Y).all()


@EVERY
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [0, 1, 100, 1e4, 1e30, "max"])
def test_no_finite_output_overflows(name: str, dtype: str, size: float | str) -> None:
    value = np.finfo(dtype).max if size == "max" else size
    z = np.array([[value, -value, 0], [-value, value, 0], [value, value, -value]], dtype)
    labels, a, dz = np.array([1, 1, 2]), np.empty_like(z), np.empty_like(z)
    loss = nn.LOSSES[name]()
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        total = loss.forward(z, labels, a)
        loss.backward(a, labels, dz)
    assert np.isfinite(a).all()
    assert np.isfinite(dz).all()
    assert a.dtype == dz.dtype == dtype
    if dtype == "float32":
        assert np.isfinite(total)


def test_a_small_squared_error_keeps_its_digits() -> None:
    """Expanded to a^2 - 2a + 1 it would be lost in rounding."""
    z = np.array([[10.0, -10.0]], np.float32)
    loss = nn.LOSSES["mean_squared_error"]().forward(z, np.array([0]), np.empty_like(z))
    assert loss == pytest.approx(scipy.special.expit(-10.0) ** 2, rel=2e-3)


def test_a_confident_mistake_costs_its_full_margin_in_float32() -> None:
    """log(1e-15) guards, as other code has them, would stop at 34."""
    z, a = np.array([[0, 1000]], np.float32), np.empty((1, 2), np.float32)
    assert nn.LOSSES["softmax_cross_entropy"]().forward(z, np.array([0]), a) == 1000
    assert nn.LOSSES["sigmoid_cross_entropy"]().forward(z, np.array([0]), a) == pytest.approx(
        1000 + np.log(2)
    )
