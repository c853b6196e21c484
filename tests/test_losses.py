"""Losses against scikit-learn and SciPy, their derivatives, and extreme outputs."""

import json
from pathlib import Path

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


# --- smoothed labels -----------------------------------------------------------------------------

SMOOTHED = json.loads((Path(__file__).parent / "regularized" / "torch.json").read_text())[
    "smoothed"
]


def smoothing(share: float) -> nn.Loss:
    return nn.LOSSES["softmax_cross_entropy"](smoothing=share)


def test_smoothed_labels_give_a_share_to_every_class() -> None:
    """Two classes, s = 0.2: y = (0.9, 0.1). With a = (3/4, 1/4), L = -0.9 log 3/4 - 0.1 log 1/4."""
    z, labels, a, dz = (
        np.array([[np.log(3), 0.0]]),
        np.array([0]),
        np.empty((1, 2)),
        np.empty((1, 2)),
    )
    loss = smoothing(0.2).forward(z, labels, a)
    assert loss == pytest.approx(-0.9 * np.log(0.75) - 0.1 * np.log(0.25), rel=1e-14)
    smoothing(0.2).backward(a, labels, dz)
    np.testing.assert_allclose(dz, [[0.75 - 0.9, 0.25 - 0.1]], rtol=1e-13)


def test_smoothed_labels_cost_what_they_cost_in_pytorch() -> None:
    z, labels, loss = (
        np.array(SMOOTHED["z"]),
        np.array(SMOOTHED["labels"]),
        smoothing(SMOOTHED["smoothing"]),
    )
    a, dz = np.empty_like(z), np.empty_like(z)
    for i, expected in enumerate(SMOOTHED["losses"]):
        one = loss.forward(z[i : i + 1], labels[i : i + 1], a[i : i + 1])
        assert one == pytest.approx(expected, rel=1e-12)
    loss.backward(a, labels, dz)
    np.testing.assert_allclose(dz, SMOOTHED["dz"], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("share", [0.05, 0.9])
def test_the_derivative_for_smoothed_labels_is_that_of_the_loss(share: float) -> None:
    loss, a, dz = smoothing(share), np.empty_like(Z), np.empty_like(Z)
    loss.forward(Z, LABELS, a)
    loss.backward(a, LABELS, dz)
    numeric = nn.numerical_gradient(lambda z: loss.forward(z, LABELS, np.empty_like(z)), Z, h=1e-5)
    np.testing.assert_allclose(dz, numeric, atol=1e-7)


def test_without_smoothing_the_loss_is_minus_the_logarithm_of_the_right_answer_bit_for_bit() -> (
    None
):
    z = Z.astype(np.float32)
    a, b, dz = np.empty_like(z), np.empty_like(z), np.empty_like(z)
    largest = z.max(axis=1)
    sums = np.exp(z - largest[:, np.newaxis]).sum(axis=1)
    losses = np.log(sums, dtype=np.float64) + largest - z[np.arange(40), LABELS]
    assert smoothing(0).forward(z, LABELS, a) == losses.sum()
    nn.LOSSES["softmax_cross_entropy"]().forward(z, LABELS, b)
    assert (a == b).all()
    smoothing(0).backward(a, LABELS, dz)
    assert (dz == a - Y.astype(np.float32)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [0, 1, 1e4, 1e30, "max"])
def test_smoothed_labels_cost_a_finite_positive_sum_for_every_output(dtype, size) -> None:
    value = np.finfo(dtype).max if size == "max" else size
    z = np.array([[value, value, -value], [-value, value, 0], [value, value, value]], dtype)
    a, dz, labels = np.empty_like(z), np.empty_like(z), np.array([1, 1, 2])
    loss = smoothing(0.1)
    assert loss.forward(z, labels, a) >= 0
    loss.backward(a, labels, dz)
    assert np.isfinite(dz).all()
    assert dz.dtype == dtype


@pytest.mark.parametrize("classes", [2, 10])
def test_a_blind_answer_costs_the_same_whatever_the_smoothing(classes: int) -> None:
    """Over equally frequent classes smoothed labels are spread as evenly as others."""
    labels, a = np.arange(classes), np.empty((classes, classes))
    rng = np.random.default_rng(0)
    answers = [np.tile(rng.normal(size=classes) * scale, (classes, 1)) for scale in (1e-3, 0.1, 1)]
    for share in (0.0, 0.1, 0.9):
        loss = smoothing(share)
        blind = loss.forward(np.zeros((classes, classes)), labels, a) / classes
        assert loss.blind(classes) == pytest.approx(blind, rel=1e-12)
        assert min(loss.forward(z, labels, a) for z in answers) / classes > blind


def test_drawn_classes_do_not_know_of_the_smoothing() -> None:
    a, drawn = scipy.special.softmax(Z, axis=1), []
    for share in (0.0, 0.3):
        dz = np.empty_like(a)
        smoothing(share).sampled_backward(a, np.random.default_rng(5), dz)
        drawn.append(dz)
    assert (drawn[0] == drawn[1]).all()


def test_a_smoothed_network_is_evaluated_with_smoothed_labels(toy: nn.Split) -> None:
    """And is as sure as smoothing lets it be: 1 - s + s / classes."""
    model = nn.MLP([12, 20, 3], "relu", "he_normal", smoothing(0.3))
    list(nn.fit(model, nn.OPTIMIZERS["adam"](lr=0.02), nn.mini_batch(toy, 30), 40))
    right = model.predict_proba(toy.x)[np.arange(300), toy.labels]
    assert right.mean() == pytest.approx(0.8, abs=0.02)
    y = 0.7 * np.eye(3)[toy.labels] + 0.1
    expected = -np.sum(y * np.log(model.predict_proba(toy.x)), axis=1).mean()
    assert model.evaluate(toy.x, toy.labels).loss == pytest.approx(expected, rel=1e-5)
