"""Batch normalization and dropout: against the papers, PyTorch and differences of the loss."""

import copy
import itertools
import json
import math
import pickle
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from test_allocations import NUMPYS_OWN, most_allocated
from test_bad_arguments import check_refused

import nnscratch as nn
from nnscratch import loop, train
from nnscratch import model as model_module
from nnscratch.layers import Activate, BatchNorm, Dropout

RECORDED = json.loads((Path(__file__).parent / "regularized" / "torch.json").read_text())
SIZES = {"one hidden layer": [6, 5, 4], "two hidden layers": [6, 5, 7, 4]}
HALF = nn.Regularization(dropout=0.5, input_dropout=0.2)
TRAINS = [name for name in nn.OPTIMIZERS if name not in ("newton", "kfac")]


def example(n: int, draw: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """n rows for a network of 6 inputs and 4 outputs; each draw is another one."""
    rng = np.random.default_rng([9, n, draw])
    return rng.normal(size=(n, 6)), rng.integers(0, 4, n)


def scattered(model: nn.MLP) -> nn.MLP:
    """All weights, gamma and beta are away from where they begin."""
    model.w += np.random.default_rng(3).normal(size=len(model.w)) * 0.5
    return model


def norms(model: nn.MLP) -> list[BatchNorm]:
    return [layer for layer in model.layers if isinstance(layer, BatchNorm)]


def layer(x: np.ndarray) -> BatchNorm:
    """One alone, for rows like these, with numbers in all of its vectors."""
    vectors = np.random.default_rng(8).normal(size=(6, x.shape[1])).astype(x.dtype)
    return BatchNorm(*vectors[:5], variance=vectors[5] ** 2 + 0.1)


def most_wrong(model: nn.MLP, loss, x: np.ndarray, y: np.ndarray, seed: int = 0) -> float:
    """The largest error of a gradient beside differences of the loss, as a share of its norm."""
    w = model.w.copy()

    def at(point: np.ndarray) -> float:
        model.w = point
        return loss(model, x, y)

    numeric = nn.numerical_gradient(at, w, h=1e-5)
    model.w = w
    model.loss_and_grad(x, y, np.random.default_rng(seed))
    assert np.linalg.norm(numeric) > 0.01  # of one example normalized alone it would be 0
    return float(np.abs(model.dw - numeric).max() / np.linalg.norm(numeric))


# --- batch normalization: its gradient -----------------------------------------------------------


def twin(
    x: list[list[float]], gamma: list[float], beta: list[float], dy: list[list[float]], eps: float
) -> tuple[list[list[float]], list[list[float]], list[float], list[float]]:
    """y, dx, dgamma and dbeta with plain floats, one unit at a time.

    Source: S. Ioffe and C. Szegedy, arXiv:1502.03167, algorithm 1, and the six derivatives of
    section 3 in their order and under their names.
    """
    m, units = len(x), len(gamma)
    y, dx = [[0.0] * units for _ in x], [[0.0] * units for _ in x]
    dgamma, dbeta = [0.0] * units, [0.0] * units
    for k in range(units):
        mu = sum(x[i][k] for i in range(m)) / m
        var = sum((x[i][k] - mu) ** 2 for i in range(m)) / m
        x_hat = [(x[i][k] - mu) / math.sqrt(var + eps) for i in range(m)]
        for i in range(m):
            y[i][k] = gamma[k] * x_hat[i] + beta[k]
        dl_dx_hat = [dy[i][k] * gamma[k] for i in range(m)]
        dl_dvar = sum(dl_dx_hat[i] * (x[i][k] - mu) * -0.5 * (var + eps) ** -1.5 for i in range(m))
        dl_dmu = sum(dl_dx_hat[i] * -1 / math.sqrt(var + eps) for i in range(m))
        dl_dmu += dl_dvar * sum(-2 * (x[i][k] - mu) for i in range(m)) / m
        for i in range(m):
            dx[i][k] = dl_dx_hat[i] / math.sqrt(var + eps)
            dx[i][k] += dl_dvar * 2 * (x[i][k] - mu) / m + dl_dmu / m
            dgamma[k] += dy[i][k] * x_hat[i]
            dbeta[k] += dy[i][k]
    return y, dx, dgamma, dbeta


@pytest.mark.parametrize("n", [2, 3, 9])
def test_batch_normalization_is_that_of_the_paper(n: int) -> None:
    rng = np.random.default_rng(n)
    x, dy = 5 + 3 * rng.normal(size=(n, 4)), rng.normal(size=(n, 4))
    norm = layer(x)
    y, dx, dgamma, dbeta = twin(
        x.tolist(), norm.gamma.tolist(), norm.beta.tolist(), dy.tolist(), eps=1e-5
    )
    np.testing.assert_allclose(norm.forward_training(x, None), y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(norm.backward(dy), dx, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(norm.dgamma, dgamma, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(norm.dbeta, dbeta, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("way", ["forward", "forward_training"])
def test_backward_belongs_to_the_last_pass_of_whichever_kind(way: str) -> None:
    """A trained network does not normalize by the batch, and each example has its own dx."""
    x, dy = np.random.default_rng(1).normal(size=(2, 5, 3))
    norm = layer(x)

    def out(x: np.ndarray) -> np.ndarray:
        return norm.forward(x) if way == "forward" else norm.forward_training(x, None)

    numeric = nn.numerical_gradient(lambda x: float(np.sum(dy * out(x))), x, h=1e-5)
    out(x)
    np.testing.assert_allclose(norm.backward(dy), numeric, atol=1e-8)
    assert np.abs(numeric).max() > 0.01


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        *itertools.product(nn.ACTIVATIONS, ["softmax_cross_entropy"]),
        *itertools.product(["tanh"], nn.LOSSES),
    ],
)
def test_the_gradient_of_a_normalized_network_is_that_of_its_loss(sizes, activation, loss) -> None:
    """By W1, gamma and beta too; nine examples, for the gradient of a single one would be 0."""
    model = nn.MLP(SIZES[sizes], activation, "normal", loss, 3, batch_norm=True, dtype="float64")
    scattered(model)
    x, y = example(9)
    draw = 0
    while nearest_corner(model, x) < 1e-3:  # no corner like relu's within a difference
        draw += 1
        x, y = example(9, draw)
    assert most_wrong(model, nn.MLP.loss_and_grad, x, y) < 1e-8


def nearest_corner(model: nn.MLP, x: np.ndarray) -> float:
    model.forward_training(x, np.random.default_rng(0))
    return min(np.abs(one.z).min() for one in model.layers if isinstance(one, Activate))


def test_a_wrong_gradient_of_a_normalized_network_fails_the_check(monkeypatch) -> None:
    def as_if_the_batch_did_not_matter(self, dy):
        np.sum(dy, axis=0, out=self.dbeta)
        np.sum(dy * self.x_hat, axis=0, out=self.dgamma)
        return self.gamma * self.scale * dy

    monkeypatch.setattr(BatchNorm, "backward", as_if_the_batch_did_not_matter)
    model = scattered(nn.MLP([6, 5, 4], "tanh", "normal", batch_norm=True, dtype="float64"))
    assert most_wrong(model, nn.MLP.loss_and_grad, *example(9)) > 1e-3


def textbook_loss(model: nn.MLP, x: np.ndarray, y: np.ndarray) -> float:
    """Of a network with one hidden layer of tanh and softmax, with NumPy's own mean and var."""
    w = {parameter.name: parameter.w for parameter in model.parameters}
    z = x @ w["W1"]
    z = w["gamma1"] * (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 1e-5) + w["beta1"]
    z = np.tanh(z) @ w["W2"] + w["b2"]
    return float(-scipy.special.log_softmax(z, axis=1)[np.arange(len(y)), y].mean())


@pytest.mark.parametrize("n", [9, model_module.CHUNK + 100])
def test_a_batch_is_normalized_whole_however_large(n: int) -> None:
    model = scattered(nn.MLP([6, 5, 4], "tanh", batch_norm=True, dtype="float64"))
    x, y = example(n)
    x += np.linspace(0, 5, n)[:, np.newaxis]  # its beginning is unlike its end
    assert model.loss_and_grad(x, y) == pytest.approx(textbook_loss(model, x, y), rel=1e-12)
    assert most_wrong(model, textbook_loss, x, y) < 1e-8


# --- batch normalization: numbers ----------------------------------------------------------------


def test_a_few_steps_of_a_normalized_network_are_those_of_pytorch(monkeypatch) -> None:
    """Loss, gradient, weights under weight decay, what is remembered, and what is answered."""
    torch = RECORDED["normalized"]
    monkeypatch.setattr(BatchNorm, "RATE", torch["momentum"])
    decay = nn.Regularization(l2=torch["decay"])
    model = nn.MLP(torch["sizes"], "tanh", batch_norm=True, regularization=decay, dtype="float64")
    model.w = torch["start"]
    for step in torch["steps"]:
        x, labels = np.array(step["x"]), np.array(step["labels"])
        np.testing.assert_allclose(model.forward_training(x), step["z"], rtol=1e-10, atol=1e-12)
        loss = model.loss_and_grad(x, labels)
        matrices = [p.w for p in model.parameters if p.w.ndim == 2]
        penalty = torch["decay"] / 2 * sum(np.sum(W**2) for W in matrices)
        assert loss - penalty == pytest.approx(step["loss"], rel=1e-11)
        decayed = np.concatenate(
            [torch["decay"] * p.w.ravel() * (p.w.ndim == 2) for p in model.parameters]
        )
        np.testing.assert_allclose(model.dw - decayed, step["gradient"], rtol=1e-8, atol=1e-11)
        model.w -= torch["lr"] * model.dw
        model.after_update()
        np.testing.assert_allclose(model.w, step["w"], rtol=1e-8, atol=1e-11)
        np.testing.assert_allclose(model.statistics, step["statistics"], rtol=1e-9)
    np.testing.assert_allclose(model.predict_proba(x), torch["answers"], rtol=1e-8)


def test_eps_and_the_rate_of_the_averages_are_those_of_pytorch() -> None:
    torch = RECORDED["normalized"]
    assert torch["eps"] == BatchNorm.EPS
    assert torch["momentum"] == BatchNorm.RATE


@pytest.mark.parametrize("n", [128, 50_000])
def test_single_precision_is_enough_for_small_deviations_of_large_numbers(n: int) -> None:
    x = (1e4 + np.random.default_rng(0).normal(size=(n, 3))).astype(np.float32)
    norm = layer(x)
    y = norm.forward_training(x, None)
    exact = x.astype(np.float64)
    m, v = exact.mean(axis=0), exact.var(axis=0)
    np.testing.assert_allclose(norm.m, m, atol=1e-3)  # to the next number of single precision
    np.testing.assert_allclose(norm.v, v, rtol=1e-5)
    expected = norm.gamma * (exact - m) / np.sqrt(v + 1e-5) + norm.beta
    np.testing.assert_allclose(y, expected, atol=2e-3)
    assert y.dtype == norm.backward(y.copy()).dtype == np.float32


@pytest.mark.parametrize("value", [0.0, 0.1, -1e4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_unit_that_is_the_same_for_all_examples_gives_beta(value: float, dtype: str) -> None:
    x = np.full((100, 3), value, dtype)
    norm = layer(x)
    y = norm.forward_training(x, None)
    np.testing.assert_allclose(y, np.tile(norm.beta, (100, 1)), rtol=1e-12)
    dx = norm.backward(np.random.default_rng(0).normal(size=x.shape).astype(dtype))
    assert np.isfinite(dx).all()
    np.testing.assert_allclose(norm.dgamma, 0, atol=1e-11)


def test_what_comes_before_is_scaled_and_moved_away() -> None:
    """The same answers from weights a thousand times as large, and no bias is missed."""
    x, _ = example(50)
    model = scattered(nn.MLP([6, 5, 4], "tanh", batch_norm=True, dtype="float64"))
    assert [p.name for p in model.parameters] == ["W1", "gamma1", "beta1", "W2", "b2"]
    z = model.forward_training(x).copy()
    model.parameters[0].w[...] *= 1000
    np.testing.assert_allclose(model.forward_training(x), z, rtol=1e-3)
    np.testing.assert_allclose(norms(model)[0].x_hat.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(norms(model)[0].x_hat.std(axis=0), 1, rtol=1e-6)


def test_a_new_network_is_normalized_by_nothing_and_a_trained_one_by_what_it_saw(toy) -> None:
    model = nn.MLP([12, 5, 3], "tanh", batch_norm=True, dtype="float64")
    plain = nn.MLP([12, 5, 3], "tanh", dtype="float64")
    np.testing.assert_allclose(model.forward(toy.x[:9]), plain.forward(toy.x[:9]), rtol=1e-4)
    updates = 60
    for _ in range(updates):  # the weights stay
        model.loss_and_grad(toy.x, toy.labels)
        model.after_update()
    z = np.asarray(toy.x, np.float64) @ model.parameters[0].w
    first = (1 - BatchNorm.RATE) ** updates  # what is left of a mean of 0 and a variance of 1
    np.testing.assert_allclose(model.moving["mean1"], (1 - first) * z.mean(axis=0), rtol=1e-9)
    unbiased = z.var(axis=0, ddof=1)
    np.testing.assert_allclose(model.moving["variance1"], (1 - first) * unbiased + first, rtol=1e-9)
    np.testing.assert_allclose(
        model.forward(toy.x[:300]), model.forward_training(np.asarray(toy.x)), atol=0.05
    )


def test_it_soon_answers_as_it_has_learned(toy) -> None:
    """Forty updates: averages that follow slowly would still be near those of the start."""
    model = nn.MLP([12, 20, 3], "relu", "he_normal", batch_norm=True)
    adam = nn.OPTIMIZERS["adam"](lr=0.02)
    records = list(nn.fit(model, adam, nn.mini_batch(toy, 60), 8, val=toy))
    assert records[-1].val_loss < 1.1 * records[-1].train_loss


# --- batch normalization: one example ------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 13, 299])
def test_a_batch_of_one_is_refused_before_anything_is_trained(batch_size: int, toy) -> None:
    model = nn.MLP([12, 5, 3], batch_norm=True)
    w = model.w.copy()
    with pytest.raises(nn.UsageError, match="two images or more in a batch"):
        nn.fit(model, "adam", nn.mini_batch(toy[: 300 if batch_size != 13 else 14], batch_size), 1)
    with pytest.raises(nn.UsageError, match="two examples or more in a batch, got 1"):
        model.loss_and_grad(toy.x[:1], toy.labels[:1])
    assert (model.w == w).all()
    assert len(model.predict(toy.x[:1])) == 1  # a trained network answers one alone


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "there are no batches to measure"),
        ([np.ones((0, 12))], "two examples or more in a batch, got 0"),
        ([np.ones((4, 12)), np.ones((1, 12))], "two examples or more in a batch, got 1"),
        (nn.mini_batch(nn.Split(np.eye(12), np.arange(12)), 4), "a batch is a tuple"),
        ([np.ones((4, 11))], r"x has shape \(4, 11\)"),
    ],
    ids=["none", "empty", "one", "labels", "shape"],
)
def test_statistics_are_those_of_batches_of_inputs(batches, message: str) -> None:
    with pytest.raises(nn.UsageError, match=message):
        nn.MLP([12, 5, 12], batch_norm=True).measure(batches)


def test_a_network_without_batch_normalization_reads_no_batch_to_measure() -> None:
    nn.MLP([12, 5, 3]).measure(pytest.fail(f"batch {k} is read") for k in range(3))


@pytest.mark.parametrize(
    "asked", [{"batch_norm": True}, {"regularization": nn.Regularization(dropout=0.5)}]
)
def test_what_is_for_hidden_layers_is_refused_where_there_are_none(asked) -> None:
    with pytest.raises(nn.UsageError, match=r"is for hidden layers, and sizes .12, 3. has none"):
        nn.MLP([12, 3], **asked)
    nn.MLP([12, 3], regularization=nn.Regularization(input_dropout=0.5))


@pytest.mark.parametrize(
    "flags",
    [["--loader", "stochastic"], ["--limit", "101", "--batch-size", "50"], ["--opt", "kfac"]],
    ids=["stochastic", "one left over", "kfac"],
)
def test_the_command_refuses_what_cannot_be_normalized_and_leaves_no_folder(
    flags, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = check_refused(
        train.main, ["--dataset", "digits", "--hidden", "5", "--batch-norm", *flags]
    )
    assert "batch normalization" in said
    assert list(tmp_path.iterdir()) == []


def test_an_optimizer_of_whole_layers_is_refused_a_normalized_network(toy) -> None:
    class Layered(nn.Optimizer):
        scope = "layer"

        def update(self, w, dw, state):
            w -= dw
            return w

    model, loader = nn.MLP([12, 5, 3], batch_norm=True), nn.mini_batch(toy, 50)
    for optimizer in ("kfac", nn.WeightEMA(nn.OPTIMIZERS["kfac"]()), Layered()):
        with pytest.raises(nn.UsageError, match="wants W and b of each layer"):
            nn.fit(model, optimizer, loader, 1)
        with pytest.raises(nn.UsageError, match="wants W and b of each layer"):
            nn.microscope(optimizer, 1, model=model, loader=loader)
    assert len(list(nn.fit(nn.MLP([12, 5, 3]), "kfac", loader, 1))) == 1


# --- batch normalization: what is remembered -----------------------------------------------------


def trained(split: nn.Split, **kwargs) -> nn.MLP:
    model = nn.MLP([12, 6, 5, 3], "relu", batch_norm=True, regularization=HALF, **kwargs)
    list(nn.fit(model, "adam", nn.mini_batch(split, 50), 2))
    return model


def test_looking_at_a_network_changes_nothing_that_it_remembers(toy) -> None:
    model, loader = trained(toy), nn.mini_batch(toy, 50)
    statistics, w = model.statistics.copy(), model.w.copy()
    assert (statistics != nn.MLP([12, 6, 5, 3], batch_norm=True).statistics).all()
    answers = model.predict_proba(toy.x)
    model.evaluate(toy.x, toy.labels)
    model.predict(toy.x)
    model.loss_and_grad(toy.x, toy.labels, np.random.default_rng(0))
    nn.find_lr(model, "sgd", loader, updates=20)
    nn.diagnose(model, toy.x, toy.labels)
    nn.Hessian(model, np.asarray(toy.x[:20]), toy.labels[:20]).largest()
    nn.microscope("adam", 3, model=model, loader=loader)
    assert (model.statistics == statistics).all()
    assert (model.w == w).all()
    assert (model.predict_proba(toy.x) == answers).all()


def test_looking_at_a_network_between_its_updates_changes_nothing_either(toy) -> None:
    watched, alone = (
        nn.MLP([12, 6, 3], batch_norm=True, regularization=HALF, seed=2) for _ in range(2)
    )
    for _ in nn.fit(watched, "adam", nn.mini_batch(toy, 50), 2, every=1):
        nn.diagnose(watched, toy.x[:7], toy.labels[:7])
        watched.evaluate(toy.x, toy.labels)
    list(nn.fit(alone, "adam", nn.mini_batch(toy, 50), 2))
    assert (watched.w == alone.w).all()
    assert (watched.statistics == alone.statistics).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_copy_remembers_the_same(dtype: str, toy, tmp_path: Path) -> None:
    model = trained(nn.Split(toy.images, toy.labels, unit=toy.unit, dtype=dtype), dtype=dtype)
    nn.save_model(tmp_path / "model.npz", model)
    copies = [
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        nn.load_model(tmp_path / "model.npz"),
    ]
    for other in copies:
        assert (other.statistics == model.statistics).all()
        assert (other.predict_proba(toy.x) == model.predict_proba(toy.x)).all()
        assert other.description == model.description
        list(nn.fit(other, "adam", nn.mini_batch(toy, 50), 1))
        assert (other.statistics != model.statistics).all()  # it is a network of its own


@pytest.mark.parametrize("optimizer", ["adam", "sam", "lbfgs", "lookahead", "muon", "averaged"])
def test_a_run_that_stops_after_every_update_ends_with_the_same_bits(
    optimizer: str, toy, tmp_path: Path
) -> None:
    """The weights, what is remembered, and which units are left out."""

    def make(seed: int) -> nn.MLP:
        limits = nn.Regularization(dropout=0.5, input_dropout=0.2, max_norm=0.7, l2=1e-3)
        return nn.MLP([12, 6, 3], "relu", batch_norm=True, regularization=limits, seed=seed)

    averaged = nn.WeightEMA(nn.OPTIMIZERS["adam"](), 0.9)
    opt = averaged if optimizer == "averaged" else nn.OPTIMIZERS[optimizer]()
    whole, through = make(1), nn.Progress()
    list(nn.fit(whole, opt, nn.mini_batch(toy[:40], 16), 2, progress=through))
    model, progress = make(1), nn.Progress()
    for _ in range(6):
        next(nn.fit(model, opt, nn.mini_batch(toy[:40], 16), 2, every=1, progress=progress))
        nn.save_checkpoint(tmp_path / "run.npz", model, progress)
        model = make(99)
        progress = nn.load_checkpoint(tmp_path / "run.npz").restore(model, opt)
    list(nn.fit(model, opt, nn.mini_batch(toy[:40], 16), 2, progress=progress))
    assert progress.update == 6
    assert (model.w == whole.w).all()
    assert (model.statistics == whole.statistics).all()
    assert (progress.statistics(model) == through.statistics(whole)).all()


def test_a_command_that_was_stopped_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    def run(*argv: str) -> None:
        assert train.main([*argv, "--quiet"]) == 0

    flags = ["--dataset", "digits", "--hidden", "8,6", "--batch-norm", "--dropout", "0.3"]
    flags += ["--input-dropout", "0.1", "--max-norm", "2", "--batch-size", "100", "--epochs"]
    run(*flags, "3", "--out", str(tmp_path / "whole"))
    run(*flags, "1", "--out", str(tmp_path / "parts"))
    run("--resume", str(tmp_path / "parts"), "--epochs", "3")
    whole, parts = (nn.load_model(tmp_path / name) for name in ("whole", "parts"))
    assert (parts.w == whole.w).all()
    assert (parts.statistics == whole.statistics).all()


@pytest.mark.parametrize(("measured", "batches"), [(10_000, 6), (101, 3)])
def test_an_average_of_weights_is_evaluated_with_statistics_of_its_own(
    measured: int, batches: int, toy, monkeypatch
) -> None:
    """The paper's algorithm 2: means over batches of the mean and of the unbiased variance."""
    monkeypatch.setattr(loop, "MEASURED", measured)
    model, loader = nn.MLP([12, 6, 3], batch_norm=True, dtype="float64"), nn.mini_batch(toy, 50)
    averaged = nn.WeightEMA(nn.OPTIMIZERS["adam"](lr=0.1), 0.9)
    for record in nn.fit(model, averaged, loader, 2):
        order = loader.order(record.epoch - 1)[: 50 * batches].reshape(batches, 50)
        sums = [toy.x[rows].astype(float) @ model.parameters[0].w for rows in order]
        means = np.mean([np.mean(z, axis=0) for z in sums], axis=0)
        variances = np.mean([np.var(z, axis=0, ddof=1) for z in sums], axis=0)
        np.testing.assert_allclose(model.moving["mean1"], means, rtol=1e-6)
        np.testing.assert_allclose(model.moving["variance1"], variances, rtol=1e-6)


def test_the_units_that_are_left_out_of_an_average_are_those_of_the_run(toy) -> None:
    """Statistics of an average depend on the seed of the run, and on nothing else."""

    def statistics(seed: int) -> np.ndarray:
        model = nn.MLP([12, 6, 5, 3], batch_norm=True, regularization=HALF, seed=seed)
        list(nn.fit(model, nn.WeightEMA(nn.OPTIMIZERS["adam"](), 0.9), nn.mini_batch(toy, 50), 1))
        return model.statistics

    assert (statistics(1) == statistics(1)).all()
    assert (statistics(1) != statistics(2)).any()


def test_looking_at_an_average_moves_nothing_in_the_training(toy) -> None:
    watched, alone = (nn.MLP([12, 6, 3], batch_norm=True, seed=2) for _ in range(2))
    averaged, progress = nn.WeightEMA(nn.OPTIMIZERS["adam"](), 0.9), nn.Progress()
    adam, loader = averaged.base, nn.mini_batch(toy, 50)
    for _ in nn.fit(watched, averaged, loader, 2, every=1, progress=progress):
        watched.evaluate(toy.x, toy.labels)
    list(nn.fit(alone, adam, nn.mini_batch(toy, 50), 2))
    assert (watched.w != alone.w).any()
    assert (watched.statistics != alone.statistics).any()
    progress.leave_readout(watched)
    assert (watched.w == alone.w).all()
    assert (watched.statistics == alone.statistics).all()


def test_an_average_answers_better_with_statistics_of_its_own() -> None:
    """It lags behind after so few updates, and the more with those of the weights in training."""
    data = nn.load_dataset("digits")
    model = nn.MLP([784, 100, 10], batch_norm=True)
    averaged, progress = nn.WeightEMA(nn.OPTIMIZERS["adam"]()), nn.Progress()
    loader = nn.mini_batch(data.train, 32)
    *_, last = nn.fit(model, averaged, loader, 12, val=data.val, progress=progress)
    model.statistics[...] = progress.statistics(model)
    in_training = model.evaluate(data.val.x, data.val.labels)
    assert last.val_accuracy > in_training.accuracy + 0.2


def test_a_loop_of_ones_own_is_told_of_means_that_did_not_follow(toy) -> None:
    model = nn.MLP([12, 6, 3], batch_norm=True)
    model.evaluate(toy.x, toy.labels)  # has learned nothing yet
    model.loss_and_grad(toy.x, toy.labels)
    model.evaluate(toy.x, toy.labels)  # nor now
    model.w -= 0.1 * model.dw
    with pytest.warns(nn.NnscratchWarning, match=r"call model.after_update\(\) after each step"):
        model.evaluate(toy.x, toy.labels)
    model.after_update()
    model.evaluate(toy.x, toy.labels)


@pytest.fixture
def _threads_that_take_turns_often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_threads_that_take_turns_often")
def test_several_threads_can_ask_one_normalized_network(toy) -> None:
    """Short passes, so that one often ends in the middle of another."""
    model = nn.MLP([12, 20, 20, 3], batch_norm=True, regularization=HALF)
    list(nn.fit(model, "adam", nn.mini_batch(toy, 50), 2))
    parts = [np.asarray(toy.x[start : start + n]) for start, n in ((0, 30), (90, 20), (150, 10))]
    expected = [model.predict_proba(part) for part in parts]

    def asked(k: int) -> bool:
        return all((model.predict_proba(parts[k]) == expected[k]).all() for _ in range(3000))

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(asked, range(3))) == [True, True, True]


# --- both, with every optimizer ------------------------------------------------------------------


@pytest.mark.parametrize("name", TRAINS)
def test_every_optimizer_trains_a_normalized_network_with_units_left_out(name: str, toy) -> None:
    limits = nn.Regularization(dropout=0.2, input_dropout=0.1)
    model = nn.MLP([12, 8, 3], "relu", batch_norm=True, regularization=limits)
    w, statistics = model.w.copy(), model.statistics.copy()
    records = list(nn.fit(model, name, nn.mini_batch(toy, 50), 2, val=toy))
    assert all(math.isfinite(record.val_loss) for record in records)
    assert (model.w != w).any()
    assert (model.statistics != statistics).all()


@pytest.mark.parametrize("name", ["sam", "lbfgs"])
def test_a_batch_that_is_seen_again_moves_the_averages_once(name: str, toy, monkeypatch) -> None:
    passes, moves = [], []
    forward, follow = BatchNorm.forward_training, BatchNorm.follow
    monkeypatch.setattr(
        BatchNorm,
        "forward_training",
        lambda self, *given: (passes.append(1), forward(self, *given))[1],
    )
    monkeypatch.setattr(BatchNorm, "follow", lambda self: (moves.append(1), follow(self)))
    records = list(nn.fit(nn.MLP([12, 6, 3], batch_norm=True), name, nn.mini_batch(toy, 50), 3))
    assert len(moves) == 18
    assert len(passes) >= 36
    assert records[-1].train_loss < records[0].train_loss


# --- dropout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_so_many_units_are_left_out_and_the_mean_stays(rate: float, dtype: str) -> None:
    x = np.ones((2000, 100), dtype)
    dropout = Dropout(rate, 100, np.dtype(dtype))
    y = dropout.forward_training(x, np.random.default_rng(0))
    assert y.dtype == np.dtype(dtype)
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)], rtol=1e-6)
    deviation = math.sqrt(rate * (1 - rate) / x.size)
    assert abs((y == 0).mean() - rate) < 4 * deviation
    assert y.mean() == pytest.approx(1, abs=4 * deviation / (1 - rate))
    # in each unit and in each example alike: no number strays further than chance lets it
    for axis, n in ((0, 2000), (1, 100)):
        assert np.abs((y == 0).mean(axis=axis) - rate).max() < 5 * math.sqrt(rate * (1 - rate) / n)


def masks_of_a_training(monkeypatch, model: nn.MLP, *arguments, **kwargs) -> list[np.ndarray]:
    """What each dropout layer left out in each pass, in order."""
    seen: list[np.ndarray] = []
    forward = Dropout.forward_training

    def recorded(self, x, rng):
        y = forward(self, x, rng)
        seen.append(self.mask != 0)
        return y

    with monkeypatch.context() as patch:
        patch.setattr(Dropout, "forward_training", recorded)
        list(nn.fit(model, *arguments, **kwargs))
    return seen


def test_units_examples_layers_and_updates_do_not_go_together(toy, monkeypatch) -> None:
    limits = nn.Regularization(dropout=0.5, input_dropout=0.5)
    model = nn.MLP([12, 12, 12, 3], regularization=limits)
    masks = masks_of_a_training(monkeypatch, model, "sgd", nn.mini_batch(toy, 150), 2)
    assert len(masks) == 3 * 4  # inputs and two hidden layers, four updates
    passes = np.array([mask.ravel() for mask in masks])
    for rows in (passes, *masks, *(mask.T for mask in masks)):
        signs = np.where(rows, 1.0, -1.0)
        together = signs @ signs.T / rows.shape[1] - np.eye(len(rows))
        rms = math.sqrt(np.mean(together[~np.eye(len(rows), dtype=bool)] ** 2))
        assert rms == pytest.approx(1 / math.sqrt(rows.shape[1]), rel=0.4)


def test_two_networks_lose_other_units_and_the_same_network_the_same(toy, monkeypatch) -> None:
    def masks(seed: int) -> np.ndarray:
        model = nn.MLP([12, 12, 3], regularization=HALF, seed=seed)
        found = masks_of_a_training(monkeypatch, model, "sgd", nn.mini_batch(toy, 150), 1)
        return np.concatenate(found)

    assert (masks(1) == masks(1)).all()
    assert 0.2 < (masks(1) != masks(2)).mean() < 0.8


@pytest.mark.parametrize("name", ["sam", "lbfgs"])
def test_a_batch_that_is_seen_again_loses_the_same_units(name: str, toy, monkeypatch) -> None:
    model = nn.MLP([12, 12, 3], regularization=nn.Regularization(dropout=0.5))
    masks = masks_of_a_training(monkeypatch, model, name, nn.mini_batch(toy, 150), 2)
    different = [first for first, _ in itertools.groupby(mask.tobytes() for mask in masks)]
    assert len(different) == len(set(different)) == 4  # updates
    assert len(masks) >= 8


def test_the_microscope_leaves_out_what_a_training_does(toy) -> None:
    def make() -> nn.MLP:
        return nn.MLP([12, 6, 3], regularization=HALF, batch_norm=True, seed=3)

    sam = nn.OPTIMIZERS["sam"](base=nn.OPTIMIZERS["sgd"](lr=0.5))
    for optimizer, steps in ((nn.OPTIMIZERS["sgd"](lr=0.5), 3), (sam, 6)):
        trace = nn.microscope(
            optimizer, steps, model=make(), loader=nn.mini_batch(toy, 50), weight=("W1", 2, 1)
        )
        model = make()
        next(nn.fit(model, optimizer, nn.mini_batch(toy, 50), 1, every=3))
        end = trace.rows[-1]["w"] + trace.rows[-1]["moved"]
        assert model.parameters[0].w[2, 1] == pytest.approx(end, rel=1e-6)


@pytest.mark.parametrize("chunk", [4, 1024])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_gradient_goes_back_through_the_units_that_were_left(
    sizes, chunk: int, batch_norm: bool, monkeypatch
) -> None:
    """Also where the nine examples pass in three chunks, with the same random numbers."""
    monkeypatch.setattr(model_module, "CHUNK", chunk)
    model = nn.MLP(
        SIZES[sizes], "tanh", "normal", batch_norm=batch_norm, regularization=HALF, dtype="float64"
    )
    scattered(model)

    def loss(model: nn.MLP, x: np.ndarray, y: np.ndarray) -> float:
        return model.loss_and_grad(x, y, np.random.default_rng(5))

    assert most_wrong(model, loss, *example(9), seed=5) < 1e-8
    assert loss(model, *example(9)) != model.loss_and_grad(*example(9), np.random.default_rng(6))


def test_each_chunk_of_a_batch_loses_other_units(monkeypatch) -> None:
    monkeypatch.setattr(model_module, "CHUNK", 100)
    model = nn.MLP([6, 50, 4], regularization=nn.Regularization(dropout=0.5))
    x, y = example(100)
    split = nn.Split(np.tile(x, (3, 1)), np.tile(y, 3))
    masks = masks_of_a_training(monkeypatch, model, "sgd", nn.batch(split), 1)
    assert [mask.shape for mask in masks] == [(100, 50)] * 3
    for a, b in itertools.combinations(masks, 2):
        assert 0.4 < (a == b).mean() < 0.6


def test_a_trained_network_leaves_nothing_out(toy) -> None:
    model, plain = nn.MLP([12, 9, 3], regularization=HALF), nn.MLP([12, 9, 3])
    assert (model.w == plain.w).all()
    model.loss_and_grad(toy.x, toy.labels, np.random.default_rng(0))
    for _ in range(2):
        assert (model.predict_proba(toy.x) == plain.predict_proba(toy.x)).all()
        assert model.evaluate(toy.x, toy.labels) == plain.evaluate(toy.x, toy.labels)


def test_the_moments_for_kfac_are_those_of_the_whole_network(toy) -> None:
    model, plain = nn.MLP([12, 9, 3], regularization=HALF), nn.MLP([12, 9, 3])
    model.loss_and_grad(toy.x, toy.labels, np.random.default_rng(0))
    ours, theirs = (one.moments(toy.x, np.random.default_rng(1)) for one in (model, plain))
    for (A, G), (B, H) in zip(ours, theirs, strict=True):
        assert (A == B).all()
        assert (G == H).all()


def test_a_rate_of_zero_is_the_network_without_dropout_bit_for_bit(toy) -> None:
    zero = nn.MLP([12, 9, 3], regularization=nn.Regularization(dropout=0, input_dropout=0))
    plain = nn.MLP([12, 9, 3])
    assert [type(one).__name__ for one in zero.layers] == ["Dense", "Activate", "Dense"]
    for model in (zero, plain):
        list(nn.fit(model, "adam", nn.mini_batch(toy, 50), 2))
    assert (zero.w == plain.w).all()


def test_without_random_numbers_it_says_what_to_give(toy) -> None:
    for limits in (nn.Regularization(dropout=0.5), nn.Regularization(input_dropout=0.5)):
        model = nn.MLP([12, 9, 3], regularization=limits)
        with pytest.raises(nn.UsageError, match="leaves out units at random while it learns"):
            model.loss_and_grad(toy.x, toy.labels)
        with pytest.raises(nn.UsageError, match="and rng is 0"):
            model.loss_and_grad(toy.x, toy.labels, 0)


def test_a_network_that_has_seen_no_batch_has_none_to_follow(toy) -> None:
    model = nn.MLP([12, 9, 3], batch_norm=True)
    model.loss_and_grad(toy.x[:50], toy.labels[:50])
    model.after_update()
    fresh = copy.deepcopy(model)
    before = fresh.statistics.copy()
    assert before.any()
    fresh.after_update()
    assert (fresh.statistics == before).all()


def test_batch_norm_is_true_or_false() -> None:
    with pytest.raises(nn.UsageError, match="batch_norm is 'no'"):
        nn.MLP([12, 9, 3], batch_norm="no")


def test_left_out_unscaled_and_trained_weights_shrunk_it_is_the_same_network() -> None:
    """Srivastava's form: units are kept with probability p, and after training W becomes p W."""
    p, x = 1 - HALF.dropout, example(40)[0]
    model = scattered(
        nn.MLP([6, 5, 4], "tanh", regularization=nn.Regularization(dropout=0.5), dtype="float64")
    )
    W1, b1, W2, b2 = (parameter.w for parameter in model.parameters)
    z = model.forward_training(x, np.random.default_rng(0)).copy()
    kept = next(one for one in model.layers if isinstance(one, Dropout)).mask != 0
    theirs = W2 / p  # what their training would end with
    hidden = np.tanh(x @ W1 + b1)
    np.testing.assert_allclose(z, (kept * hidden) @ theirs + b2, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(model.forward(x), hidden @ (p * theirs) + b2, rtol=1e-12, atol=1e-12)


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kwargs",
    [
        {"batch_norm": True},
        {"regularization": HALF},
        {"loss": nn.LOSSES["softmax_cross_entropy"](smoothing=0.1)},
    ],
    ids=["batch norm", "dropout", "smoothing"],
)
def test_nothing_is_allocated_for_the_examples_of_a_batch(kwargs, monkeypatch) -> None:
    batch_size = 65_536
    monkeypatch.setattr(model_module, "CHUNK", batch_size)
    model = nn.MLP([16, 16, 10], **kwargs)
    bound = NUMPYS_OWN
    if model.moving and np.lib.NumpyVersion(np.__version__) < "2.1.0":
        bound = 4 * batch_size  # a number each: the buffers of einsum are larger there
    assert most_allocated(nn.OPTIMIZERS["sgd"](), model, batch_size) < bound
