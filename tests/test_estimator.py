"""The estimator does what scikit-learn asks of one, and what the training loop does."""

import copy
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joblib
import numpy as np
import pandas
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import nnscratch as nn
from nnscratch.estimator import Patience
from nnscratch.layers import Dropout

CHECKS = list(estimator_checks_generator(nn.NNClassifier()))
OFFICIAL_CALLBACKS = tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 9)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return X / 16, y


def small(**parameters: Any) -> nn.NNClassifier:
    return nn.NNClassifier((20,), max_iter=3, random_state=0).set_params(**parameters)


def fitted(classifier: nn.NNClassifier, *data: Any) -> nn.NNClassifier:
    """Trained for max_iter epochs, which is meant here and no reason to warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return classifier.fit(*data)


# --- what scikit-learn asks ----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "check"),
    [pytest.param(*pair, id=pair[1].func.__name__) for pair in CHECKS],
)
def test_scikit_learn_finds_nothing_wrong(estimator, check) -> None:
    check(estimator)


@pytest.mark.slow
def test_the_check_that_scikit_learn_skips_without_a_variable_passes_with_it() -> None:
    """SciPy reads it when it is imported. Before 1.9 there is no such check for classifiers."""
    code = (
        "import nnscratch as nn\n"
        "from sklearn.utils.estimator_checks import estimator_checks_generator\n"
        "for estimator, check in estimator_checks_generator(nn.NNClassifier()):\n"
        "    if 'array_api' in check.func.__name__:\n"
        "        check(estimator)\n"
        "        print(check.func.__name__)\n"
    )
    environment = {**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONWARNINGS": "ignore"}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["check_array_api_input"] * OFFICIAL_CALLBACKS


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_grid_search_in_two_processes_goes_over_the_rates_of_an_optimizer(digits) -> None:
    rates = [1e-6, 0.01]
    search = GridSearchCV(
        small(max_iter=5), {"optimizer__lr": rates, "hidden": [(20,)]}, cv=2, n_jobs=2
    )
    fitted(search, *digits)
    assert search.best_params_["optimizer__lr"] == 0.01
    scores = search.cv_results_["mean_test_score"]
    alone = [
        cross_val_score(small(max_iter=5, optimizer=nn.OPTIMIZERS["adam"](lr=lr)), *digits, cv=2)
        for lr in rates
    ]
    assert scores == pytest.approx([score.mean() for score in alone], abs=0.01)
    assert scores[1] > 0.5 > 0.3 > scores[0]
    assert search.best_estimator_.optimizer == nn.OPTIMIZERS["adam"](lr=0.01)


def test_a_search_goes_over_optimizers_and_then_their_numbers(digits) -> None:
    grid = {
        "optimizer": [nn.OPTIMIZERS["adam"](), nn.OPTIMIZERS["sgd"]()],
        "optimizer__lr": [0.02, 0.2],
    }
    search = fitted(GridSearchCV(small(max_iter=2), grid, cv=2), *digits)
    tried = [(p["optimizer"].name, p["optimizer__lr"]) for p in search.cv_results_["params"]]
    assert tried == [("adam", 0.02), ("adam", 0.2), ("sgd", 0.02), ("sgd", 0.2)]
    assert len(set(search.cv_results_["mean_test_score"])) == 4


def test_it_works_in_a_pipeline_and_can_be_calibrated(digits) -> None:
    X, y = digits
    pipeline = make_pipeline(StandardScaler(), small(max_iter=10, optimizer__lr=0.01))
    fitted(pipeline, X[:1200], y[:1200])
    assert pipeline.score(X[1200:], y[1200:]) > 0.85
    pipeline.set_params(nnclassifier__optimizer__lr=0.02)
    assert pipeline[-1].optimizer.lr == 0.02
    calibrated = fitted(CalibratedClassifierCV(small(), cv=2), X[:600], y[:600])
    assert calibrated.predict_proba(X[:5]).sum(axis=1) == pytest.approx(np.ones(5))


def test_a_stored_one_predicts_the_same_and_trains_on_the_same(digits, tmp_path) -> None:
    X, y = digits
    one = small(optimizer="nesterov_lookahead").partial_fit(X, y)
    joblib.dump(one, tmp_path / "one.joblib")
    other = joblib.load(tmp_path / "one.joblib")
    assert np.array_equal(one.predict_proba(X), other.predict_proba(X))
    one.partial_fit(X, y)
    other.partial_fit(X, y)
    assert np.array_equal(one.model_.w, other.model_.w)


def test_it_shows_itself_as_other_estimators_do() -> None:
    assert repr(small(max_iter=200, random_state=None)) == "NNClassifier(hidden=(20,))"
    assert "NNClassifier" in small()._repr_html_()


# --- parameters ----------------------------------------------------------------------------------


def test_the_numbers_of_all_parts_are_parameters() -> None:
    sam = nn.OPTIMIZERS["sam"](base=nn.OPTIMIZERS["momentum"](lr=0.3))
    parameters = small(optimizer=sam, activation="leaky_relu", schedule="step").get_params()
    assert parameters["optimizer__base__lr"] == 0.3
    assert parameters["optimizer__base"] == nn.OPTIMIZERS["momentum"](lr=0.3)
    assert parameters["activation__slope"] == 0.01
    assert parameters["schedule__every"] == 3
    assert "optimizer__lr" not in parameters
    assert not [name for name in small(optimizer=sam).get_params(deep=False) if "__" in name]


def test_a_number_can_be_set_in_whatever_order_it_is_named() -> None:
    sgd = nn.OPTIMIZERS["sgd"]()
    a = small().set_params(
        optimizer__base__lr=0.3, optimizer__base=sgd, optimizer="sam", optimizer__radius=0.1
    )
    assert (a.optimizer.name, a.optimizer.radius) == ("sam", 0.1)
    assert a.optimizer.base == nn.OPTIMIZERS["sgd"](lr=0.3)
    b = small(optimizer="sgd").set_params(optimizer__lr=0.3)
    assert b.optimizer == nn.OPTIMIZERS["sgd"](lr=0.3)
    assert clone(b).optimizer == b.optimizer
    c = small(optimizer="Adam", activation="leaky-relu").set_params(
        optimizer__lr=0.3, activation__slope=0.1
    )
    assert (c.optimizer.lr, c.activation.slope) == (0.3, 0.1)


def test_the_numbers_of_a_regularization_are_parameters_and_none_is_the_default(digits) -> None:
    one = nn.NNClassifier()
    assert one.regularization == "none"
    assert one.get_params()["regularization__dropout"] == 0
    assert "regularization__max_norm" not in one.get_params(deep=False)
    one = small(regularization__dropout=0.25, regularization__l2=1e-3)
    assert one.regularization == nn.Regularization(dropout=0.25, l2=1e-3)
    assert clone(one).regularization is not one.regularization == clone(one).regularization
    assert fitted(one, *digits).model_.regularization == one.regularization
    plain = fitted(small(), *digits)
    assert plain.model_.regularization == nn.Regularization()
    assert np.array_equal(plain.model_.w, fitted(small(regularization__l1=0.0), *digits).model_.w)


def test_a_search_goes_over_the_strength_of_a_penalty(digits) -> None:
    grid = {"regularization__l2": [0.0, 0.1]}
    search = fitted(GridSearchCV(small(optimizer__lr=0.02), grid, cv=2), *digits)
    assert search.best_params_ == {"regularization__l2": 0.0}


def test_a_normalized_network_has_a_bias_in_its_last_layer_alone(digits) -> None:
    one = fitted(small(hidden=(20, 15), batch_norm=True), *digits)
    assert [W.shape for W in one.coefs_] == [(64, 20), (20, 15), (15, 10)]
    assert [b.shape for b in one.intercepts_] == [(10,)]
    assert one.model_.batch_norm
    assert not nn.NNClassifier().batch_norm


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("regularization__alpha", "regularization__l2"),
        ("optimizer__beta3", "optimizer__beta1"),
        ("optimiser", "optimizer"),
        ("alpha__x", "activation"),
        ("optimizer__lr__x", "optimizer__lr"),
        ("batch_size__x", "batch_size"),
    ],
)
def test_an_unknown_parameter_is_refused_with_the_known_ones(name, hint) -> None:
    with pytest.raises(ValueError, match=f"Invalid parameter '{name}'.*'{hint}'"):
        small().set_params(**{name: 1})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"optimizer": "adm"}, "unknown optimizer 'adm'.*did you mean 'adam'"),
        ({"activation": 3}, "3 is no activation"),
        ({"regularization": None}, r"None is no regularization.*Regularization\(l2=0.0"),
        ({"regularization": 0.5}, "0.5 is no regularization"),
        ({"batch_norm": True, "batch_size": 1}, "two images or more in a batch"),
        ({"hidden": (0,)}, "a layer must be a whole number"),
        ({"hidden": -5}, "a layer must be a whole number"),
        ({"max_iter": 0}, "max_iter must be"),
        ({"n_iter_no_change": 0}, "n_iter_no_change must be"),
        ({"tol": -1}, "tol must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"random_state": -1}, "seed must be"),
        ({"hidden": 5.5}, "hidden is 5.5"),
        ({"hidden": None}, "hidden is None"),
        ({"early_stopping": True, "validation_fraction": 2}, "validation_fraction must be"),
    ],
)
def test_a_wrong_parameter_is_told_by_fit(parameters, message, digits) -> None:
    with pytest.raises(ValueError, match=message):
        small(**parameters).fit(*digits)


def test_a_number_out_of_range_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="lr must be a number in"):
        small().set_params(optimizer__lr=-1)


# --- training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_the_training_loop_bit_for_bit(dtype, digits) -> None:
    X, y = digits
    one = fitted(small(random_state=7, dtype=dtype, batch_size=50, schedule="cosine"), X, y)
    split = nn.Split(X.astype(dtype), y, dtype=dtype)
    model = nn.MLP([64, 20, 10], seed=7, dtype=dtype)
    records = list(nn.fit(model, "adam", nn.mini_batch(split, 50, seed=7), 3, schedule="cosine"))
    assert np.array_equal(one.model_.w, model.w)
    assert one.loss_curve_ == [record.train_loss for record in records]
    assert [W.shape for W in one.coefs_] == [(64, 20), (20, 10)]
    assert [b.shape for b in one.intercepts_] == [(20,), (10,)]
    assert (one.n_iter_, one.t_, one.n_layers_, one.n_outputs_) == (3, 3 * 1797, 3, 10)
    assert (one.loss_, one.best_loss_) == (records[-1].train_loss, min(one.loss_curve_))


@pytest.mark.parametrize("optimizer", ["adam", "nesterov_lookahead", "sam", "schedule_free_adamw"])
def test_partial_fits_are_the_epochs_of_a_fit(optimizer, digits) -> None:
    X, y = digits
    whole = fitted(small(optimizer=optimizer, max_iter=4), X, y)
    parts = small(optimizer=optimizer)
    for _ in range(4):
        parts.partial_fit(X, y)
    assert np.array_equal(whole.model_.w, parts.model_.w)
    assert whole.loss_curve_ == parts.loss_curve_
    assert (parts.n_iter_, parts.t_) == (whole.n_iter_, whole.t_)


@pytest.mark.parametrize("optimizer", ["adam", "sam"])
def test_partial_fits_leave_out_the_units_that_a_fit_leaves_out(optimizer, digits, monkeypatch):
    """Other units in every update, and in every partial fit."""
    masks: list[bytes] = []
    forward = Dropout.forward_training

    def recorded(self: Dropout, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        y = forward(self, x, rng)
        masks.append(self.mask.tobytes())
        return y

    monkeypatch.setattr(Dropout, "forward_training", recorded)
    X, y = digits
    dropout = nn.Regularization(dropout=0.5)
    parameters = {"optimizer": optimizer, "regularization": dropout, "batch_norm": True}
    whole = fitted(small(max_iter=3, **parameters), X, y)
    of_whole = list(masks)
    masks.clear()
    parts = small(**parameters)
    for _ in range(3):
        parts.partial_fit(X, y)
    assert masks == of_whole
    assert len(set(masks)) == 3 * 15  # batches of 128
    assert np.array_equal(whole.model_.w, parts.model_.w)
    assert np.array_equal(whole.model_.statistics, parts.model_.statistics)
    assert whole.loss_curve_ == parts.loss_curve_


def test_partial_fit_takes_portions_of_any_size_and_remembers(digits) -> None:
    X, y = digits
    one = small(optimizer__lr=0.02)
    for _ in range(8):
        for start in range(0, 1500, 400):  # the last portion is smaller
            rows = slice(start, min(start + 400, 1500))
            one.partial_fit(X[rows], y[rows], classes=np.arange(10))
        forgetful = copy.deepcopy(one)
    assert one.score(X[1500:], y[1500:]) > 0.85
    forgetful._progress = nn.Progress()
    one.partial_fit(X[:400], y[:400])
    forgetful.partial_fit(X[:400], y[:400])
    assert not np.array_equal(one.model_.w, forgetful.model_.w)


def test_partial_fit_wants_to_know_all_classes_in_the_first_call(digits) -> None:
    X, y = digits
    one = small().partial_fit(X[y < 5], y[y < 5])
    with pytest.raises(ValueError, match="previously unseen labels"):
        one.partial_fit(X, y)
    two = small().partial_fit(X[y < 5], y[y < 5], classes=np.arange(10))
    with pytest.raises(ValueError, match="classes are"):
        two.partial_fit(X, y, classes=np.arange(11))
    assert two.partial_fit(X, y).predict_proba(X[:2]).shape == (2, 10)


@pytest.mark.parametrize(
    "parameters", [{"early_stopping": True}, {"schedule": "cosine"}, {"schedule__warmup": 3}]
)
def test_partial_fit_refuses_what_wants_to_know_the_end(parameters, digits) -> None:
    with pytest.raises(ValueError, match="partial_fit"):
        small().set_params(**parameters).partial_fit(*digits)


def test_a_warm_start_goes_on_from_the_weights_and_a_cold_one_does_not(digits) -> None:
    X, y = digits
    warm = fitted(small(warm_start=True), X, y)
    first = list(warm.loss_curve_)
    fitted(warm, X, y)
    assert warm.loss_curve_[:3] == first
    assert warm.n_iter_ == 6
    assert warm.loss_curve_[3] < first[2]
    with pytest.raises(ValueError, match="previously unseen labels"):
        warm.fit(X, y + 1)
    warm.warm_start = False
    assert fitted(warm, X, y).loss_curve_ == first


def test_any_whole_number_is_a_random_state(digits) -> None:
    one, two = (fitted(small(random_state=2**70, early_stopping=True), *digits) for _ in range(2))
    assert one.validation_scores_ == two.validation_scores_


def test_one_random_state_is_one_network(digits) -> None:
    def weights(state: Any) -> np.ndarray:
        return fitted(small(random_state=state, early_stopping=True), *digits).model_.w

    assert np.array_equal(weights(3), weights(3))
    assert np.array_equal(weights(np.random.RandomState(3)), weights(np.random.RandomState(3)))
    assert not np.array_equal(weights(3), weights(4))
    assert not np.array_equal(weights(None), weights(None))


# --- when it stops -------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("early", [False, True])
def test_it_stops_at_the_epoch_at_which_scikit_learn_does(early, digits) -> None:
    """Given the curves of MLPClassifier."""
    other = MLPClassifier(
        (10,),
        learning_rate_init=0.02,
        tol=0.01,
        n_iter_no_change=4,
        early_stopping=early,
        max_iter=100,
        random_state=0,
    ).fit(*digits)
    assert other.n_iter_ < 100
    curve = other.validation_scores_ if early else [-loss for loss in other.loss_curve_]
    patience = Patience(0.01, 4)
    over = []
    for score in curve:
        patience.is_best(score)
        over.append(patience.is_over)
    assert over == [False] * (other.n_iter_ - 1) + [True]


def test_it_ends_when_the_loss_no_longer_falls(digits) -> None:
    one = small(optimizer__lr=0.02, tol=0.05, n_iter_no_change=2, max_iter=60).fit(*digits)
    falls = [a - b for a, b in zip(one.loss_curve_, one.loss_curve_[1:], strict=False)]
    assert one.n_iter_ < 60
    assert max(falls[-3:]) < 0.05 < min(falls[:5])


def test_it_says_that_it_was_ended_by_the_number_of_epochs(digits) -> None:
    with pytest.warns(ConvergenceWarning, match="max_iter=3 epochs were over.*raise max_iter"):
        small().fit(*digits)


def test_early_stopping_keeps_the_weights_that_did_best(digits) -> None:
    X, y = digits
    one = small(
        optimizer__lr=0.03, early_stopping=True, n_iter_no_change=3, tol=0.0, max_iter=100
    ).fit(X[:1200], y[:1200], X[1200:], y[1200:])
    scores = one.validation_scores_
    assert len(scores) == len(one.validation_loss_curve_) == len(one.loss_curve_) == one.n_iter_
    assert one.n_iter_ < 100
    assert one.best_validation_score_ == max(scores) > scores[-1]
    assert one.score(X[1200:], y[1200:]) == max(scores)


def test_early_stopping_keeps_what_a_normalized_network_knew_then(digits) -> None:
    X, y = digits
    data = X[:1200], y[:1200], X[1200:], y[1200:]
    one = small(optimizer__lr=0.03, early_stopping=True, batch_norm=True, warm_start=True)
    best = fitted(one, *data).score(*data[2:])
    assert best == one.best_validation_score_ == max(one.validation_scores_)
    fitted(one.set_params(optimizer="sgd", optimizer__lr=300.0), *data)
    assert max(one.validation_scores_[3:]) < best  # what came after was worse, and is forgotten
    assert one.score(*data[2:]) == one.best_validation_score_ == best


def test_validation_examples_are_only_watched_without_early_stopping(digits) -> None:
    X, y = digits
    one = fitted(small(), X[:1200], y[:1200], X[1200:], y[1200:])
    alone = fitted(small(), X[:1200], y[:1200])
    assert np.array_equal(one.model_.w, alone.model_.w)
    assert one.validation_scores_[-1] == one.score(X[1200:], y[1200:])
    assert len(one.validation_loss_curve_) == 3
    assert (alone.validation_scores_, alone.validation_loss_curve_) == (None, None)
    with pytest.raises(ValueError, match="belong together"):
        small().fit(X, y, X)


def test_a_share_of_every_class_is_set_aside(digits) -> None:
    X, y = digits[0][:1000], np.where(np.arange(1000) < 900, 0, 1)
    says_zero = small(
        hidden=(), init="zeros", optimizer="sgd", optimizer__lr=1e-6, early_stopping=True
    )
    fitted(says_zero.set_params(validation_fraction=0.2), X, y)
    assert says_zero.t_ == 3 * 800
    assert says_zero.validation_scores_ == [0.9, 0.9, 0.9]


def test_a_warm_start_forgets_no_better_weights(digits) -> None:
    X, y = digits
    one = small(optimizer__lr=0.02, max_iter=8, early_stopping=True, warm_start=True)
    fitted(one, X[:1200], y[:1200], X[1200:], y[1200:])
    best = one.best_validation_score_
    fitted(one.set_params(optimizer="sgd", optimizer__lr=30.0), X[:1200], y[:1200], *digits)
    assert max(one.validation_scores_[8:]) < best
    fitted(one, X[:1200], y[:1200], X[1200:], y[1200:])
    assert one.best_validation_score_ == one.score(X[1200:], y[1200:]) == best


def test_ctrl_c_leaves_the_best_weights_and_a_classifier_that_goes_on(digits, monkeypatch) -> None:
    X, y = digits
    gradients = 0
    loss_and_grad = nn.MLP.loss_and_grad

    def interrupted(*arguments: Any) -> float:
        nonlocal gradients
        gradients += 1
        if gradients == 45:  # within an update of the fifth epoch of ten updates
            raise KeyboardInterrupt
        return loss_and_grad(*arguments)

    one = small(optimizer__lr=0.02, early_stopping=True, max_iter=9)
    monkeypatch.setattr(nn.MLP, "loss_and_grad", interrupted)
    with pytest.raises(KeyboardInterrupt):
        one.fit(X[:1200], y[:1200], X[1200:], y[1200:])
    assert one.n_iter_ == 4
    assert one.score(X[1200:], y[1200:]) == max(one.validation_scores_)
    one.set_params(early_stopping=False).partial_fit(X, y)
    assert one.n_iter_ == 5


@pytest.mark.parametrize(
    ("parameters", "data"),
    [({"batch_size": 0}, ()), ({"hidden": (0,)}, ()), ({}, (np.ones((1, 64)), [99]))],
    ids=["batch size", "hidden", "validation label"],
)
def test_a_fit_that_is_refused_is_no_fit_and_leaves_the_one_before(parameters, data, digits):
    one = small(**parameters)
    with pytest.raises(ValueError, match=r"batch_size|a layer|unseen"):
        one.fit(*digits, *data)
    with pytest.raises(NotFittedError):
        one.predict(digits[0])
    two = fitted(small(), *digits)
    score = two.score(*digits)
    with pytest.raises(ValueError, match=r"batch_size|a layer|unseen"):
        two.set_params(**parameters).fit(*digits, *data)
    assert (two.score(*digits), two.n_iter_) == (score, 3)


@pytest.mark.parametrize(
    "parameters",
    [
        {"hidden": (7,)},
        {"activation": "relu"},
        {"loss": "mean_squared_error"},
        {"dtype": "float32"},
        {"batch_norm": True},
        {"regularization__dropout": 0.5},
    ],
    ids=["hidden", "activation", "loss", "dtype", "batch norm", "dropout"],
)
def test_going_on_with_another_network_is_refused(parameters, digits) -> None:
    one = fitted(small(warm_start=True), *digits).set_params(**parameters)
    with pytest.raises(ValueError, match="the parameters are those of"):
        one.fit(*digits)
    with pytest.raises(ValueError, match="the parameters are those of"):
        one.partial_fit(*digits)


def test_partial_fit_with_another_optimizer_begins_without_a_memory(digits) -> None:
    one = small().partial_fit(*digits).set_params(optimizer="momentum")
    two = copy.deepcopy(one)
    two._progress = nn.Progress()
    one.partial_fit(*digits)
    two.partial_fit(*digits)
    assert np.array_equal(one.model_.w, two.model_.w)
    assert one._progress.optimizer == "momentum"


def test_several_threads_can_ask_one_classifier(digits) -> None:
    X, _ = digits
    one = fitted(small(hidden=(200,)), *digits)
    parts = [X[start : start + size] for start, size in ((0, 300), (300, 200), (500, 400))]
    expected = [one.predict_proba(part) for part in parts]

    def asked(k: int) -> bool:
        return all(np.array_equal(one.predict_proba(parts[k]), expected[k]) for _ in range(150))

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(asked, range(3))) == [True, True, True]


def test_a_training_that_diverges_is_an_error(digits) -> None:
    X, y = digits
    with pytest.raises(nn.DivergedError, match="update"):
        small(optimizer="sgd", optimizer__lr=1e9, activation="identity", max_iter=50).fit(X, y)


# --- data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["bool", "uint8", "int16", "uint32", "int64", "float16", "float32"]
)
def test_any_real_dtype_will_do_and_the_input_is_left_alone(name, digits) -> None:
    X, y = digits
    X = (X > 0.5).astype(name)
    before = X.copy()
    X.flags.writeable = False
    one = fitted(small(optimizer__lr=0.02), X, y)
    assert one.model_.dtype == (np.float32 if name == "float32" else np.float64)
    assert one.score(X, y) > 0.8
    assert np.array_equal(X, before)


@pytest.mark.parametrize("form", ["columns first", "every second", "read-only", "list", "frame"])
def test_it_does_not_matter_how_the_numbers_lie(form, digits) -> None:
    X, y = digits
    expected = fitted(small(), X, y).predict_proba(X)
    forms = {
        "columns first": lambda: np.asfortranarray(X),
        "every second": lambda: np.repeat(X, 2, axis=1)[:, ::2],
        "read-only": lambda: np.frombuffer(X.tobytes()).reshape(X.shape),
        "list": X.tolist,
        "frame": lambda: pandas.DataFrame(X),
    }
    other = forms[form]()
    assert np.array_equal(fitted(small(), other, y).predict_proba(other), expected)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["zero", "one", "two"]),
        np.array(["zero", "one", "two"], object),
        np.array([-5, 7, 1000]),
        np.array([3, 1, 2], np.uint8),
        np.array([False, True]),
        np.array([0.0, 1.0, 2.0]),
    ],
    ids=["strings", "objects", "numbers", "bytes", "booleans", "floats"],
)
def test_labels_come_back_as_they_were(labels, digits) -> None:
    X, y = digits
    rows = y < len(labels)
    X, y = X[rows], labels[y[rows]]
    one = fitted(small(max_iter=10, optimizer__lr=0.02), X, y)
    answers = one.predict(X)
    assert answers.dtype == y.dtype
    assert (answers == y).mean() > 0.95
    assert list(one.classes_) == sorted(labels.tolist())
    assert np.array_equal(one.classes_[one.predict_proba(X).argmax(axis=1)], answers)


def test_answers_of_each_class_alone_become_probabilities(digits) -> None:
    X, y = digits
    one = fitted(small(loss="sigmoid_cross_entropy"), X, y)
    answers = one.model_.predict_proba(X)
    assert abs(answers.sum(axis=1) - 1).max() > 0.01
    probabilities = one.predict_proba(X)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(X)))
    assert np.array_equal(probabilities.argmax(axis=1), answers.argmax(axis=1))
    assert np.exp(one.predict_log_proba(X)) == pytest.approx(probabilities)


def test_answers_that_are_all_rounded_to_zero_are_alike() -> None:
    X, y = np.eye(3), np.arange(3)
    one = fitted(small(hidden=(), loss="mean_squared_error", optimizer="sgd"), X, y)
    one.intercepts_[0][...] = -800
    assert one.predict_proba(X) == pytest.approx(np.full((3, 3), 1 / 3))


def test_without_fit_there_is_no_answer(digits) -> None:
    for method in ("predict", "predict_proba", "predict_log_proba"):
        with pytest.raises(NotFittedError):
            getattr(small(), method)(digits[0])
    for attribute in ("coefs_", "loss_", "best_validation_score_"):
        assert not hasattr(small(), attribute)


def test_the_lines_of_a_verbose_fit(digits, capsys) -> None:
    fitted(small(verbose=True), *digits)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]


# --- callbacks -----------------------------------------------------------------------------------


class Watching:
    """Writes down what it is called with, and stops after some epochs."""

    def __init__(self, stop_after: int = 100) -> None:
        self.stop_after = stop_after
        self.calls: list[tuple[str, str]] = []
        self.scores: list[float] = []
        self.copies: list[nn.NNClassifier] = []

    def setup(self, estimator, context) -> None:
        self.calls.append(("setup", context.task_name))

    def teardown(self, estimator, context) -> None:
        self.calls.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context) -> None:
        self.calls.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None) -> bool:
        self.calls.append(("end", context.task_name))
        if context.task_name == "epoch":
            self.scores.append(fitted_estimator.score(X, y))
            self.copies.append(fitted_estimator)
        return len(self.scores) >= self.stop_after


@pytest.mark.skipif(not OFFICIAL_CALLBACKS, reason="scikit-learn has callbacks from 1.9 on")
def test_a_callback_sees_every_epoch_and_can_end_the_fit(digits) -> None:
    watching = Watching()
    one = fitted(small().set_callbacks(watching), *digits)
    epochs = [("begin", "epoch"), ("end", "epoch")] * 3
    around = [("setup", "fit"), ("begin", "fit")], [("end", "fit"), ("teardown", "fit")]
    assert watching.calls == [*around[0], *epochs, *around[1]]
    assert watching.scores[-1] == one.score(*digits)
    assert watching.scores[0] < watching.scores[-1]
    assert [copy.score(*digits) for copy in watching.copies] == watching.scores
    assert [len(copy.loss_curve_) for copy in watching.copies] == [1, 2, 3]
    stopping = Watching(stop_after=2)
    two = small(max_iter=50).set_callbacks(stopping).fit(*digits)  # and no ConvergenceWarning
    assert two.n_iter_ == 2
    assert two.score(*digits) == watching.scores[1]


@pytest.mark.skipif(not OFFICIAL_CALLBACKS, reason="scikit-learn has callbacks from 1.9 on")
def test_a_callback_that_raises_leaves_what_was_learned(digits, monkeypatch) -> None:
    watching = Watching()
    monkeypatch.setattr(watching, "on_fit_task_begin", lambda *_: 1 / len(watching.scores[:1]))
    one = small().set_callbacks(watching)
    with pytest.raises(ZeroDivisionError):
        one.fit(*digits)
    assert watching.calls == [("setup", "fit"), ("teardown", "fit")]
    one.set_callbacks().partial_fit(*digits)
    assert one.n_iter_ == 1


@pytest.mark.skipif(not OFFICIAL_CALLBACKS, reason="scikit-learn has callbacks from 1.9 on")
def test_the_score_of_every_epoch_is_monitored_within_a_search(digits) -> None:
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    search = GridSearchCV(small().set_callbacks(monitor), {"optimizer__lr": [0.001, 0.01]}, cv=2)
    fitted(search, *digits)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == 5 * 3  # two rates on two folds, and the best one on all
    of_the_best = fitted(small(optimizer__lr=0.01), *digits)
    assert of_the_best.score(*digits) in [row["accuracy"] for row in rows]


# --- MNIST ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_on_mnist_it_is_the_network_of_the_ten_lines(mnist) -> None:
    one = nn.NNClassifier(max_iter=3, random_state=0)
    fitted(one, np.asarray(mnist.train.x), mnist.train.labels)
    assert one.model_.dtype == np.float32
    assert one.score(np.asarray(mnist.test.x), mnist.test.labels) == pytest.approx(0.947, abs=3e-3)
