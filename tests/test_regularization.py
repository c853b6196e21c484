"""Penalties and limits on the weights: closed forms, differences, scikit-learn, every optimizer."""

import math

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier
from test_allocations import NUMPYS_OWN, most_allocated
from test_bad_arguments import WRONG, outside

import nnscratch as nn
from nnscratch import model as model_module
from nnscratch.hyper import hypers, values

FIELDS = hypers(nn.Regularization)
TRAINS = [name for name in nn.OPTIMIZERS if name != "newton"]
AROUND = [
    nn.WeightEMA(nn.OPTIMIZERS["sgd"](lr=0.5), 0.9),
    nn.OPTIMIZERS["lookahead"](base=nn.OPTIMIZERS["muon"](), k=2),
    nn.OPTIMIZERS["sam"](base=nn.OPTIMIZERS["schedule_free_sgd"]()),
    nn.DecoupledDecay(nn.OPTIMIZERS["nesterov_lookahead"](lr=0.5), 0.01),
]


def example(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([9, n])
    return rng.normal(size=(n, 6)), rng.integers(0, 4, n)


def network(**limits: float) -> nn.MLP:
    """In double precision, with weights, and biases that are not zero."""
    made = nn.MLP([6, 5, 4], "tanh", regularization=nn.Regularization(**limits), dtype="float64")
    made.w += np.random.default_rng(3).normal(size=len(made.w))
    return made


def matrices(model: nn.MLP) -> list[np.ndarray]:
    return [parameter.w for parameter in model.parameters if parameter.w.ndim == 2]


# --- penalties -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits", [{"l2": 0.3}, {"l1": 0.2}, {"l2": 0.3, "l1": 0.2}], ids=["l2", "l1", "both"]
)
def test_the_penalty_is_that_of_the_formula_and_only_in_training(limits) -> None:
    """For W = ((3, -4)), 25/2 l2 + 7 l1; a bias is free, and an evaluation."""
    model = nn.MLP([1, 2], regularization=nn.Regularization(**limits), dtype="float64")
    model.w = [3.0, -4.0, 100.0, 100.0]
    x, labels = np.array([[0.0], [0.0]]), np.array([0, 1])  # of which W learns nothing
    l2, l1 = limits.get("l2", 0), limits.get("l1", 0)
    loss = model.evaluate(x, labels).loss
    assert loss == pytest.approx(math.log(2), rel=1e-12)
    assert model.loss_and_grad(x, labels) - loss == pytest.approx(12.5 * l2 + 7 * l1, rel=1e-12)
    expected = [3 * l2 + l1, -4 * l2 - l1, 0, 0]
    np.testing.assert_allclose(model.dw, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("chunk", [4, 1024])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_gradient_of_the_penalties_is_that_of_the_loss(chunk, batch_norm, monkeypatch) -> None:
    """A batch that passes in three chunks has them once."""
    monkeypatch.setattr(model_module, "CHUNK", chunk)
    model = nn.MLP(
        [6, 5, 4],
        "tanh",
        batch_norm=batch_norm,
        regularization=nn.Regularization(l2=0.3, l1=0.2),
        dtype="float64",
    )
    w = model.w + np.random.default_rng(3).normal(size=len(model.w))
    assert np.abs(w).min() > 1e-3  # no corner of |w| within a difference
    x, y = example(9)

    def loss(point: np.ndarray) -> float:
        model.w = point
        return model.loss_and_grad(x, y)

    numeric = nn.numerical_gradient(loss, w, h=1e-5)
    penalized = loss(w)
    np.testing.assert_allclose(model.dw, numeric, atol=1e-8)
    sizes = sum(0.15 * np.sum(W**2) + 0.2 * np.sum(np.abs(W)) for W in matrices(model))
    plain = nn.MLP([6, 5, 4], "tanh", batch_norm=batch_norm, dtype="float64")
    plain.w = w
    assert penalized - plain.loss_and_grad(x, y) == pytest.approx(sizes, rel=1e-12)


def test_a_weight_of_zero_is_left_at_zero_by_l1() -> None:
    model = nn.MLP([6, 4], init="zeros", regularization=nn.Regularization(l1=0.5), dtype="float64")
    plain = nn.MLP([6, 4], init="zeros", dtype="float64")
    for one in (model, plain):
        one.loss_and_grad(*example(9))
    assert (model.dw == plain.dw).all()


def test_steps_of_sgd_shrink_the_weights_as_the_closed_form_says() -> None:
    """w <- (1 - lr l2) w - lr dw, which for a matrix is what sgd's own weight_decay does."""
    lr, l2, (x, y) = 0.1, 0.3, example(20)
    penalized, plain, decayed = network(l2=l2), network(), network()
    split = nn.Split(x, y, dtype="float64")
    list(nn.fit(penalized, nn.OPTIMIZERS["sgd"](lr=lr), nn.batch(split), 5))
    for _ in range(5):
        plain.loss_and_grad(x, y)
        for parameter in plain.parameters:
            shrunk = (1 - lr * l2 * (parameter.w.ndim == 2)) * parameter.w
            parameter.w[...] = shrunk - lr * parameter.dw
        decayed.loss_and_grad(x, y)
        for parameter in decayed.parameters:
            decay = l2 * (parameter.w.ndim == 2)
            sgd = nn.OPTIMIZERS["sgd"](lr=lr, weight_decay=decay)
            sgd.update(parameter.w, parameter.dw, {})
    np.testing.assert_allclose(penalized.w, plain.w, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(penalized.w, decayed.w, rtol=1e-12, atol=1e-14)


def test_l2_is_scikit_learns_alpha_over_the_batch_size() -> None:
    rng = np.random.default_rng(0)
    alpha, batch, steps = 0.7, 30, 12
    x, y = rng.normal(size=(steps * batch, 8)), rng.integers(0, 5, steps * batch)
    y[:5] = range(5)
    limits = nn.Regularization(l2=alpha / batch)
    model = nn.MLP([8, 9, 7, 5], "tanh", regularization=limits, dtype="float64")
    other = MLPClassifier(
        (9, 7),
        activation="tanh",
        solver="sgd",
        momentum=0.0,
        alpha=alpha,
        learning_rate_init=0.5,
        batch_size=batch,
        shuffle=False,
    )
    other.partial_fit(x[:batch], y[:batch], classes=range(5))  # makes its arrays
    other.coefs_ = [W.copy() for W in matrices(model)]
    other.intercepts_ = [p.w.copy() for p in model.parameters if p.w.ndim == 1]
    del other._optimizer
    for start in range(0, steps * batch, batch):
        rows = slice(start, start + batch)
        other.partial_fit(x[rows], y[rows])
        model.loss_and_grad(x[rows], y[rows])
        nn.OPTIMIZERS["sgd"](lr=0.5).update(model.w, model.dw, {})
    for ours, theirs in zip(matrices(model), other.coefs_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


# --- the largest norm ----------------------------------------------------------------------------


def lengths(model: nn.MLP) -> np.ndarray:
    """The norm of the weights into each unit of each layer."""
    return np.concatenate([np.linalg.norm(W.astype(float), axis=0) for W in matrices(model)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_only_weights_that_are_too_long_are_shortened_and_they_keep_their_direction(dtype) -> None:
    limit = nn.Regularization(max_norm=2.0)
    model = nn.MLP([50, 30, 20, 4], "tanh", regularization=limit, dtype=dtype)
    rng = np.random.default_rng(3)
    model.w += 0.3 * rng.normal(size=len(model.w))
    before = [W.copy() for W in matrices(model)]
    biases = [p.w.copy() for p in model.parameters if p.w.ndim == 1]
    model.after_update()
    precision = 1e-5 if dtype == "float32" else 1e-12
    long = [np.linalg.norm(W.astype(float), axis=0) > 2 for W in before]
    assert 10 < sum(map(np.sum, long)) < 44  # some of each kind
    for W, old, too_long in zip(matrices(model), before, long, strict=True):
        assert (W[:, ~too_long] == old[:, ~too_long]).all()
        norms = np.linalg.norm(W[:, too_long].astype(float), axis=0)
        np.testing.assert_allclose(norms, 2, rtol=precision)
        unit = old[:, too_long] / np.linalg.norm(old[:, too_long].astype(float), axis=0)
        np.testing.assert_allclose(W[:, too_long], 2 * unit, rtol=precision)
    for b, old in zip((p.w for p in model.parameters if p.w.ndim == 1), biases, strict=True):
        assert (b == old).all()


@pytest.mark.parametrize(
    "optimizer", [*TRAINS, *AROUND], ids=lambda opt: getattr(opt, "full_name", opt)
)
def test_with_every_optimizer_no_weights_are_longer_after_any_update(
    optimizer, toy: nn.Split
) -> None:
    """Where the next gradient is taken, and where the network is evaluated."""
    c = 0.6
    model = nn.MLP([12, 6, 3], "tanh", regularization=nn.Regularization(max_norm=c))
    assert lengths(model).min() > c
    progress = nn.Progress()
    for _ in nn.fit(model, optimizer, nn.mini_batch(toy, 60), 3, every=1, progress=progress):
        assert lengths(model).max() < c * (1 + 1e-5)
        evaluated = model.w.copy()
        model.w = progress.gradient_point(model)
        assert lengths(model).max() < c * (1 + 1e-5)
        model.w = evaluated
    assert lengths(model).max() > 0.9 * c  # it is the limit that holds them


def test_points_of_an_optimizer_of_layers_are_limited_in_their_own_shape(toy: nn.Split) -> None:
    """Lookahead around an optimizer of layers: W and b lie in one matrix, and b is free."""
    lookahead = nn.OPTIMIZERS["lookahead"](base=nn.OPTIMIZERS["kfac"](lr=0.1), k=2)
    model = nn.MLP([12, 6, 3], regularization=nn.Regularization(max_norm=0.5))
    for parameter in model.parameters:
        parameter.w[...] += parameter.w.ndim == 1  # biases of 1
    progress = nn.Progress()
    list(nn.fit(model, lookahead, nn.mini_batch(toy, 60), 2, progress=progress))
    for state, matrix in zip(progress.states, model.matrices, strict=True):
        slow = state["slow"].astype(float)
        assert slow.shape == matrix.w.shape
        assert np.linalg.norm(slow[:-1], axis=0).max() < 0.5 * (1 + 1e-5)
        assert np.abs(slow[-1]).max() > 0.5


def test_points_that_are_never_evaluated_are_limited_too(toy: nn.Split) -> None:
    model = nn.MLP([12, 6, 3], regularization=nn.Regularization(max_norm=0.6))
    progress, loader = nn.Progress(), nn.mini_batch(toy, 60)
    list(nn.fit(model, "schedule_free_sgd", loader, 3, progress=progress))
    model.w = progress.states[0]["z"]
    assert lengths(model).max() < 0.6 * (1 + 1e-5)


def test_a_norm_of_zero_is_no_limit_bit_for_bit(toy: nn.Split) -> None:
    free, plain = nn.MLP([12, 6, 3], regularization=nn.Regularization()), nn.MLP([12, 6, 3])
    for model in (free, plain):
        list(nn.fit(model, nn.OPTIMIZERS["sgd"](lr=3.0), nn.mini_batch(toy, 60), 2))
    assert (free.w == plain.w).all()


def test_a_loop_of_ones_own_has_what_fit_has(toy: nn.Split) -> None:
    limits = nn.Regularization(l2=1e-3, l1=1e-4, max_norm=0.7)
    ours, own = (
        nn.MLP([12, 6, 3], batch_norm=True, regularization=limits, seed=4) for _ in range(2)
    )
    adam, state = nn.OPTIMIZERS["adam"](lr=0.01), {}
    records = list(nn.fit(ours, adam, nn.mini_batch(toy, 60, seed=1), 2))
    loader = nn.mini_batch(toy, 60, seed=1)
    for _ in range(2):
        loss_sum = 0.0
        for x, labels in loader:
            loss_sum += own.loss_and_grad(x, labels) * len(labels)
            adam.update(own.w, own.dw, state)
            own.after_update()
    assert (own.w == ours.w).all()
    assert (own.statistics == ours.statistics).all()
    assert records[-1].train_loss == loss_sum / 300


def test_a_limit_does_not_hide_that_a_training_diverges() -> None:
    """The square of 1e30 is no number of single precision; a column of 0 would go on training."""
    model = nn.MLP([6, 5, 4], "relu", regularization=nn.Regularization(max_norm=2.0))
    model.w = 1e30
    with np.errstate(over="ignore"):
        model.after_update()
    assert (model.w == np.float32(1e30)).all()


# --- all together --------------------------------------------------------------------------------


def test_nothing_is_allocated_for_penalties_and_limits() -> None:
    """But for what the optimizer takes; an array like the large matrix would be as much again."""
    limits = nn.Regularization(l2=1e-3, l1=1e-3, max_norm=0.1)
    model = nn.MLP([16, 1000, 1000, 10], regularization=limits)
    # NumPy's blocks, where there is no numba, are temporary arrays
    bound = NUMPYS_OWN if nn.engine() == "numba" else model.w.nbytes / 2
    assert most_allocated(nn.OPTIMIZERS["adam"](), model, 64) < bound


def test_it_says_what_it_does_in_few_words() -> None:
    assert str(nn.Regularization(dropout=0.5, l2=1e-4)) == "l2 0.0001, dropout 0.5"
    limits = nn.Regularization(max_norm=3.5)
    summary = nn.MLP([784, 10], regularization=limits).summary()
    assert summary.endswith("\nregularization: max_norm 3.5")
    assert "regularization" not in nn.MLP([784, 10]).summary()


@pytest.mark.parametrize("name", FIELDS)
def test_a_number_that_cannot_be_is_refused(name: str) -> None:
    numbers = [float(text) for text in outside(FIELDS[name].interval, whole=False)]
    assert numbers
    for value in [*WRONG, *numbers]:
        with pytest.raises(nn.UsageError) as error:
            nn.Regularization(**{name: value})
        assert name in error.value.what
    assert values(nn.Regularization())[name] == 0


@pytest.mark.parametrize("wrong", [None, "dropout", 0.5, {"dropout": 0.5}, nn.Regularization])
def test_what_is_no_regularization_is_refused(wrong) -> None:
    with pytest.raises(nn.UsageError, match="regularization is"):
        nn.MLP([4, 2], regularization=wrong)
