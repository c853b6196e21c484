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


# --- labels drawn from the network's own answers -------------------------------------------------

DRAWS = 40_000


def drawn(name: str, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The answers for one example, and dz for many labels drawn from them."""
    many = np.repeat(z[np.newaxis], DRAWS, axis=0)
    a, dz = np.empty_like(many), np.empty_like(many)
    loss = nn.LOSSES[name]()
    loss.output(many, a)
    loss.sampled_backward(a, np.random.default_rng(5), dz)
    return a[0], dz


ONE = np.array([0.3, -1.2, 1.5])


def test_drawn_classes_come_as_often_as_softmax_says() -> None:
    a, dz = drawn("softmax_cross_entropy", ONE)
    labels = (a - dz).argmax(axis=1)
    np.testing.assert_allclose(a - dz, np.eye(3)[labels], atol=1e-12)
    np.testing.assert_allclose(np.bincount(labels) / DRAWS, a, atol=0.01)


def test_the_last_class_is_drawn_where_rounding_leaves_none() -> None:
    class Largest:
        def random(self, shape):
            return np.full(shape, 1.0)

    a, dz = np.array([[0.5, 0.5]]), np.empty((1, 2))
    nn.LOSSES["softmax_cross_entropy"]().sampled_backward(a, Largest(), dz)
    assert dz.tolist() == [[0.5, -0.5]]


def test_drawn_yes_and_no_come_as_often_as_sigmoid_says() -> None:
    a, dz = drawn("sigmoid_cross_entropy", ONE)
    y = a - dz
    assert set(np.unique(y.round(12))) == {0.0, 1.0}
    np.testing.assert_allclose(y.mean(axis=0), a, atol=0.01)
    assert abs(np.corrcoef(y.T)[0, 1]) < 0.02


@pytest.mark.parametrize("name", nn.LOSSES)
def test_the_mean_of_drawn_gradients_is_zero_and_their_square_the_fisher_matrix(name: str) -> None:
    """E[dz dz^T]: diag(a) - a a^T, diag(a (1 - a)), and diag((a (1 - a))^2)."""
    a, dz = drawn(name, ONE)
    fisher = {
        "softmax_cross_entropy": np.diag(a) - np.outer(a, a),
        "sigmoid_cross_entropy": np.diag(a * (1 - a)),
        "mean_squared_error": np.diag((a * (1 - a)) ** 2),
    }[name]
    np.testing.assert_allclose(dz.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(dz.T @ dz / DRAWS, fisher, atol=0.01)


@pytest.mark.parametrize("name", nn.LOSSES)
@pytest.mark.parametrize("classes", [2, 10])
def test_the_loss_of_a_blind_answer_is_the_least_that_one_answer_for_all_can_have(name, classes):
    loss, labels = nn.LOSSES[name](), np.arange(classes)
    a = np.empty((classes, classes))
    answers = [np.full((classes, classes), z) for z in np.linspace(-5, 1, 6001)]
    least = min(loss.forward(z, labels, a) for z in answers) / classes
    assert loss.blind(classes) == pytest.approx(least, rel=1e-6)


def test_a_loss_of_ones_own_need_not_say_what_a_blind_answer_costs() -> None:
    class Own(nn.Loss):
        output = forward = backward = sampled_backward = None

    assert Own().blind(10) is None
