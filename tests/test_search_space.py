"""Search ranges as distributions: they mean what is declared, in scikit-learn and in Optuna."""

import pickle
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import pytest
from scipy.stats import kstest, loguniform, uniform
from sklearn.model_selection import ParameterSampler

import nnscratch as nn
from nnscratch.hyper import hypers

SEARCHABLE = [name for name in nn.OPTIMIZERS if name != "newton"]


@dataclass(frozen=True)
class Own(nn.Optimizer):
    """An optimizer of one's own that declares what none of ours does."""

    lr: float = nn.hyper(0.1, "(0, 0.5]", "step size", "[0, 1]")
    depth: int = nn.hyper(3, "[1, inf)", "number of levels", "log [1, 100]")

    def update(self, w: Any, dw: Any, state: nn.State) -> Any:
        return w


@pytest.fixture
def study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


def tried(study: optuna.Study, optimizer: str | nn.Optimizer, n: int) -> list[nn.Optimizer]:
    """What is suggested in n trials, each of which is worth its number."""
    seen = []

    def objective(trial: optuna.Trial) -> float:
        seen.append(nn.suggest(trial, optimizer))
        return trial.number

    study.optimize(objective, n_trials=n)
    return seen


def test_values_are_distributed_as_the_field_declares() -> None:
    """Against SciPy's distributions, by Kolmogorov's and Smirnov's test."""
    adam, qhm = nn.search_space("adam"), nn.search_space("qhm")
    rng = np.random.RandomState(0)
    lr, beta2, nu = (d.rvs(2000, rng) for d in (adam["lr"], adam["beta2"], qhm["nu"]))
    assert kstest(lr, loguniform(1e-3 / 30, 1e-3 * 30).cdf).pvalue > 0.01
    assert kstest(1 - beta2, loguniform(1e-4, 1e-1).cdf).pvalue > 0.01
    assert kstest(nu, uniform(0, 1).cdf).pvalue > 0.01
    counts = Counter(nn.search_space("momentum")["momentum"].rvs(2000, rng).tolist())
    assert sorted(counts) == [0, 0.5, 0.9, 0.95, 0.99]
    assert all(abs(count - 400) < 70 for count in counts.values())  # four standard deviations


@pytest.mark.parametrize("name", SEARCHABLE)
def test_what_scikit_learn_draws_is_an_optimizer(name: str) -> None:
    optimizer = nn.OPTIMIZERS[name]
    own = {k: d for k, d in nn.search_space(name).items() if "__" not in k}
    kinds = {hyper.name: hyper.kind for hyper in hypers(optimizer).values()}
    for values in ParameterSampler(own, n_iter=5, random_state=0):
        optimizer(**values)  # checks the intervals
        assert all(type(value) is kinds[key] for key, value in values.items())


def test_what_has_no_range_is_left_out_and_inner_ones_are_named_as_scikit_learn_would() -> None:
    assert list(nn.search_space("adam")) == ["lr", "beta1", "beta2", "eps"]
    assert nn.search_space("newton") == {}
    around = nn.ClipNorm(nn.OPTIMIZERS["lookahead"](base=nn.OPTIMIZERS["signsgd"]()))
    assert list(nn.search_space(around)) == ["base__k", "base__slow_step", "base__base__lr"]


def test_the_quarters_of_a_distribution_are_where_a_quarter_lies_below() -> None:
    lr = nn.search_space("adam")["lr"]
    expected = loguniform(1e-3 / 30, 1e-3 * 30).ppf([0.25, 0.5, 0.75])
    assert [lr.at(0.25), lr.at(0.5), lr.at(0.75)] == pytest.approx(expected.tolist())


def test_a_seed_gives_the_same_values_and_a_stream_the_next_ones() -> None:
    lr = nn.search_space("adam")["lr"]
    assert lr.rvs(random_state=1) == lr.rvs(random_state=np.random.RandomState(1))
    stream = np.random.RandomState(1)
    assert lr.rvs(random_state=stream) != lr.rvs(random_state=stream)
    assert lr.rvs(3, 1).tolist()[0] == lr.rvs(random_state=1)


def test_whole_numbers_stay_whole() -> None:
    depth = nn.search_space(Own())["depth"]
    drawn = depth.rvs(500, 0)
    assert drawn.dtype == int
    assert drawn.min() == 1
    assert drawn.max() > 90
    assert np.median(drawn) == pytest.approx(10, abs=2)
    assert set(nn.search_space("lbfgs")["memory"].rvs(50, 0)) == {5, 10, 20}


def test_a_search_range_beyond_the_interval_is_told() -> None:
    lr = nn.search_space(Own())["lr"]
    with pytest.raises(nn.UsageError, match=r"lr must be a number in \(0, 0.5\]"):
        lr.rvs(50, 0)
    with pytest.raises(nn.UsageError, match=r"lr must be a number in \(0, 0.5\]"):
        lr.suggested(optuna.trial.FixedTrial({"lr": 0.75}), "lr")


def test_a_distribution_travels_to_other_processes() -> None:
    for name in ("adam", "momentum"):
        space = nn.search_space(name)
        assert pickle.loads(pickle.dumps(space)) == space


def test_a_range_is_shown_with_its_numbers() -> None:
    shown = {k: repr(d) for name in ("adam", "nesterov") for k, d in nn.search_space(name).items()}
    assert shown["lr"] == "Distribution(lr, log [0.001, 1])"
    assert shown["beta2"] == "Distribution(beta2, 1 - log [0.0001, 0.1])"
    assert shown["momentum"] == "Distribution(momentum, {0, 0.5, 0.9, 0.95, 0.99})"
    assert repr(nn.search_space("qhm")["nu"]) == "Distribution(nu, [0, 1])"


# --- Optuna ------------------------------------------------------------------------------------


def test_optuna_searches_the_declared_ranges_on_their_scale(study: optuna.Study) -> None:
    tried(study, "adam", 1)
    assert study.trials[0].distributions == {
        "adam__lr": optuna.distributions.FloatDistribution(1e-3 / 30, 1e-3 * 30, log=True),
        "1 - adam__beta1": optuna.distributions.FloatDistribution(1e-2, 1, log=True),
        "1 - adam__beta2": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
        "adam__eps": optuna.distributions.FloatDistribution(1e-10, 1, log=True),
    }


@pytest.mark.parametrize("name", nn.OPTIMIZERS)
def test_a_finished_trial_suggests_what_it_was_tried_with(study: optuna.Study, name: str) -> None:
    first, *others = tried(study, name, 3)
    assert isinstance(first, nn.OPTIMIZERS[name])
    assert nn.suggest(study.best_trial, name) == first
    assert (first in others) == (not nn.search_space(name))  # newton has nothing to search


def test_optuna_reaches_into_an_optimizer_around_another(study: optuna.Study) -> None:
    sgd = nn.OPTIMIZERS["sgd"](weight_decay=0.01)
    (found,) = tried(study, nn.OPTIMIZERS["lookahead"](base=sgd), 1)
    assert found.base.lr == study.trials[0].params["lookahead-sgd__base__lr"]
    assert found.base.weight_decay == 0.01
    assert type(found.k) is int


def test_whole_numbers_of_optuna_stay_whole(study: optuna.Study) -> None:
    depths = {nn.search_space(Own())["depth"].suggested(study.ask(), "depth") for _ in range(20)}
    assert all(type(depth) is int for depth in depths)
    assert max(depths) > 50


def test_one_study_may_choose_among_optimizers(study: optuna.Study) -> None:
    def objective(trial: optuna.Trial) -> float:
        name = trial.suggest_categorical("optimizer", ["adam", "momentum", "qhm"])
        return nn.suggest(trial, name).lr

    study.optimize(objective, n_trials=10)
    best = nn.suggest(study.best_trial, study.best_params["optimizer"])
    assert best.lr == study.best_value
