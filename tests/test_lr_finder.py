"""The learning-rate finder: what it sees, and that it changes nothing."""

import copy

import numpy as np
import pytest

import nnscratch as nn


@pytest.fixture
def model() -> nn.MLP:
    return nn.MLP([12, 20, 3], "tanh", seed=1)


def test_the_rates_rise_by_the_same_factor_from_the_least_to_the_most(model, toy) -> None:
    found = nn.find_lr(model, "adam", nn.mini_batch(toy, 20), least=1e-4, most=1e-2, updates=31)
    np.testing.assert_allclose(found.rates, 1e-4 * 100 ** (np.arange(31) / 30), rtol=1e-9)
    assert len(found.losses) == len(found.smoothed) == 31


def test_the_losses_are_those_of_each_batch_before_its_update(model, toy) -> None:
    """More updates than an epoch has, and the batches one by one, by hand."""
    found = nn.find_lr(model, "sgd", nn.mini_batch(toy, 90, seed=3), least=0.01, most=1, updates=10)
    by_hand = copy.deepcopy(model)
    loader, losses = nn.mini_batch(toy, 90, seed=3), []
    for _ in range(3):
        for x, labels in loader:
            losses.append(by_hand.loss_and_grad(x, labels))
            by_hand.w -= found.rates[min(len(losses), 10) - 1] * by_hand.dw
    np.testing.assert_allclose(found.losses, losses[:10], rtol=1e-5)
    smoothed = [np.average(losses[: t + 1], weights=0.9 ** np.arange(t, -1, -1)) for t in range(10)]
    np.testing.assert_allclose(found.smoothed, smoothed, rtol=1e-5)


def test_model_and_loader_stay_as_they_are(model, toy) -> None:
    loader = nn.mini_batch(toy, 20, seed=5)
    w, dw = model.w.copy(), model.dw.copy()
    first = nn.find_lr(model, "momentum", loader)
    assert loader.epochs_begun == 0
    np.testing.assert_array_equal(model.w, w)
    np.testing.assert_array_equal(model.dw, dw)
    again = nn.find_lr(model, "momentum", loader)
    np.testing.assert_array_equal(first.losses, again.losses)


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_the_suggested_rate_trains_and_a_thousandth_of_it_hardly(name, toy) -> None:
    def accuracy(lr: float) -> float:
        model = nn.MLP([12, 20, 3], "tanh", seed=1)
        optimizer = nn.OPTIMIZERS[name](lr=lr)
        records = list(nn.fit(model, optimizer, nn.mini_batch(toy, 20), 2, val=toy))
        return records[-1].val_accuracy or 0.0

    found = nn.find_lr(nn.MLP([12, 20, 3], "tanh", seed=1), name, nn.mini_batch(toy, 20))
    assert accuracy(found.suggestion) > 0.9
    assert accuracy(found.suggestion / 1000) < 0.8


def test_steepest_lowest_and_suggestion_of_a_curve_that_is_known() -> None:
    """A loss that falls as an arctangent of the logarithm, steepest at 1e-2, and ends at 1."""
    rates = np.geomspace(1e-5, 10, 400)
    decades = np.log10(rates)
    smoothed = np.where(decades < 0, 2 - np.arctan(3 * (decades + 2)), 0.7 + decades)
    found = nn.RateRange("adam", rates, smoothed, smoothed)
    assert found.steepest == pytest.approx(1e-2, rel=0.05)
    assert found.lowest == pytest.approx(1, rel=0.05)
    assert found.suggestion == pytest.approx(0.1, rel=0.05)
    short = nn.RateRange("adam", rates[:3], smoothed[:3], smoothed[:3])
    assert short.steepest == rates[1]


def test_it_ends_where_the_loss_has_grown_by_half_or_the_training_diverges(model, toy) -> None:
    found = nn.find_lr(model, "sgd", nn.mini_batch(toy, 20), least=1e-3, most=1e5)
    assert len(found.rates) < 400
    least = np.minimum.accumulate(found.smoothed)
    assert (found.smoothed[:-1] <= 1.5 * least[:-1]).all()
    assert found.smoothed[-1] > 1.5 * least[-1]
    relu = nn.MLP([12, 20, 3], "relu", "he_normal", seed=1)
    wild = nn.find_lr(relu, "sgd", nn.mini_batch(toy, 20), least=1, most=1e30)
    assert len(wild.rates) < 400


def test_optimizers_of_any_scope_are_tried_as_they_are_trained(model, toy) -> None:
    for name in ("sam", "lamb", "schedule_free_adamw", "prodigy"):
        found = nn.find_lr(model, name, nn.mini_batch(toy, 30), least=1e-4, most=1, updates=20)
        assert np.isfinite(found.losses).all()


def test_the_figure_shows_each_batch_and_the_three_rates(model, toy) -> None:
    found = nn.find_lr(model, "adam", nn.mini_batch(toy, 20), updates=50)
    (axes,) = found.figure().axes
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts[2:] == [
        f"{name}: {getattr(found, name):.2g}" for name in ("steepest", "lowest", "suggestion")
    ]
    assert axes.get_xlabel() == "learning rate of adam"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), found.losses)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"least": 0.0}, "least"),
        ({"most": 1e-6}, "cannot rise from 1e-05 to 1e-06"),
        ({"updates": 3}, "updates"),
        ({"optimizer": "adamm"}, "unknown optimizer"),
        ({"optimizer": "newton"}, "newton"),
        ({"least": 1e30, "most": 1e36}, "fails after . updates from a rate of 1e.30 on"),
    ],
)
def test_wrong_arguments_are_told(changed, what: str, model, toy) -> None:
    arguments = {"optimizer": "adam", "loader": nn.mini_batch(toy, 20)} | changed
    with pytest.raises(nn.UsageError, match=what):
        nn.find_lr(model, **arguments)
