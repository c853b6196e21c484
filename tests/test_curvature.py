"""The Hessian of a network, against second differences of its loss and closed forms."""

import numpy as np
import pytest

import nnscratch as nn
from nnscratch.curvature import Hessian


def network(activation: str = "sigmoid", loss: str = "softmax_cross_entropy", **more) -> nn.MLP:
    return nn.MLP([4, 3, 3], activation, loss=loss, dtype="float64", seed=2, **more)


@pytest.fixture
def examples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 4)), rng.integers(0, 3, 20)


def second_differences(model: nn.MLP, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The matrix of second derivatives, from values of the loss alone."""
    w, n, h = model.w.copy(), len(model.w), 1e-3

    def loss(i: int, a: float, j: int, b: float) -> float:
        moved = w.copy()
        moved[i] += a
        moved[j] += b
        model.w = moved
        return model.evaluate(x, labels).loss

    matrix = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            corners = loss(i, h, j, h) - loss(i, h, j, -h) - loss(i, -h, j, h) + loss(i, -h, j, -h)
            matrix[i, j] = corners / (4 * h * h)
    model.w = w
    return matrix


def test_penalties_bend_the_loss_and_units_left_out_do_not(examples) -> None:
    limits = nn.Regularization(l2=0.3, dropout=0.5, input_dropout=0.5)
    plain, limited = network(), network(regularization=limits)
    v = np.random.default_rng(1).normal(size=len(plain.w))
    is_weight = np.concatenate([np.full(p.w.size, p.name[0] == "W") for p in plain.parameters])
    bent = Hessian(limited, *examples) @ v - Hessian(plain, *examples) @ v
    np.testing.assert_allclose(bent, 0.3 * v * is_weight, atol=1e-7)


def test_the_curvature_of_a_normalized_network_is_that_of_its_training_loss(examples) -> None:
    model = network(batch_norm=True)
    rng = np.random.default_rng(1)
    model.w = model.w + 0.1 * rng.normal(size=len(model.w))
    v, w, h = rng.normal(size=len(model.w)), model.w.copy(), 1e-3
    losses = []
    for step in (-h, 0, h):
        model.w = w + step * v
        losses.append(model.loss_and_grad(*examples))
    model.w = w
    along = (losses[0] - 2 * losses[1] + losses[2]) / h**2
    assert v @ (Hessian(model, *examples) @ v) == pytest.approx(along, rel=1e-4)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "gelu"])
@pytest.mark.parametrize("loss", list(nn.LOSSES))
def test_products_with_unit_vectors_are_the_columns_of_the_matrix(activation, loss, examples):
    model = network(activation, loss)
    hessian = Hessian(model, *examples)
    columns = np.array([hessian @ unit for unit in np.eye(len(model.w))]).T
    expected = second_differences(model, *examples)
    np.testing.assert_allclose(columns, expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(columns, columns.T, atol=1e-8 * np.abs(columns).max())


def test_a_long_vector_and_a_short_one_get_the_same_answer(examples):
    hessian = Hessian(network(), *examples)
    v = np.random.default_rng(1).normal(size=hessian.shape[0])
    for factor in (1e-9, 1e6):
        np.testing.assert_allclose(hessian @ (factor * v), factor * (hessian @ v), rtol=1e-6)
    assert not (hessian @ np.zeros_like(v)).any()


def test_the_largest_eigenvalue_is_that_of_the_matrix(examples):
    model = network()
    values, vectors = np.linalg.eigh(second_differences(model, *examples))
    found = Hessian(model, *examples).largest()
    assert found.value == pytest.approx(values[-1], rel=3e-3)
    assert abs(found.vector @ vectors[:, -1]) == pytest.approx(1, abs=0.02)
    assert np.linalg.norm(found.vector) == pytest.approx(1)
    assert found.residual < 1e-3


def test_a_negative_eigenvalue_that_is_larger_in_size_is_not_taken_for_the_largest(examples):
    """Wrong labels, given with confidence: squares of the error curve downwards."""
    model = network(loss="mean_squared_error", bias=False)
    for seed in range(50):
        model.w = 3 * np.random.default_rng(seed).normal(size=len(model.w))
        values = np.linalg.eigvalsh(second_differences(model, *examples))
        if -values[0] > 1.3 * values[-1]:
            break
    else:
        pytest.fail("no network whose most negative curvature is the largest in size")
    found = Hessian(model, *examples).largest(seed=5)
    assert found.value == pytest.approx(values[-1], rel=2e-2)


def test_a_network_without_hidden_layer_has_the_curvature_of_its_inputs():
    """At zero weights softmax regression has H = x^T x / n times (1 - 1/k) and -1/k, over k."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(30, 5)), rng.integers(0, 4, 30)
    model = nn.MLP([5, 4], init="zeros", bias=False)
    expected = np.linalg.eigvalsh(x.T @ x / 30)[-1] / 4
    assert Hessian(model, x, labels).largest().value == pytest.approx(expected, rel=0.01)


class Diagonal(Hessian):
    """A matrix whose eigenvalues are known."""

    def __init__(self, values) -> None:
        self._w = np.asarray(values, float)

    def __matmul__(self, v):
        return self._w * np.asarray(v).reshape(-1)


@pytest.mark.parametrize(
    "values",
    [
        [1, 1, 1, -1, -1, -1],
        [-10, *np.linspace(0, 3, 50)],
        [1.0, *np.linspace(0, 0.99, 1000)],
        [10, 9.99, *[9.9] * 400],
        [-3, -2, -1],
    ],
)
def test_neither_a_negative_eigenvalue_nor_a_crowd_of_others_hides_the_largest(values) -> None:
    for seed in range(5):
        found = Diagonal(values).largest(seed)
        assert found.value == pytest.approx(max(values), rel=2e-3)


def test_the_network_stays_as_it_is_in_single_precision_too(examples):
    x, labels = examples
    model = nn.MLP([4, 3, 3], seed=1)
    model.loss_and_grad(x, labels)
    w, dw = model.w.copy(), model.dw.copy()
    found = Hessian(model, x, labels).largest()
    double = nn.MLP([4, 3, 3], dtype="float64")
    double.w = model.w
    assert found.value == Hessian(double, x, labels).largest().value
    np.testing.assert_array_equal(model.w, w)
    np.testing.assert_array_equal(model.dw, dw)


def test_images_of_a_split_can_be_given_as_they_are(toy):
    model = nn.MLP([12, 4, 3])
    as_pixels = Hessian(model, toy.x, toy.labels).largest().value
    assert as_pixels == pytest.approx(
        Hessian(model, toy.x[:].astype(float), toy.labels).largest().value, rel=1e-4
    )


def test_a_network_that_is_flat_everywhere_has_no_curvature(examples):
    model = nn.MLP([4, 3], "identity", "zeros", bias=False)
    found = Hessian(model, np.zeros((5, 4)), np.zeros(5, int)).largest()
    assert (found.value, found.residual) == (0.0, 0.0)
    assert np.linalg.norm(found.vector) == pytest.approx(1)


def test_wrong_arguments_are_told(examples):
    model = network()
    hessian = Hessian(model, *examples)
    with pytest.raises(nn.UsageError, match="v has shape"):
        hessian @ np.zeros(3)
    model.w[0] = np.nan
    with pytest.raises(nn.DivergedError, match="not finite"):
        Hessian(model, *examples)
