"""Weight for weight against scikit-learn's MLPClassifier: same start, same batches, float64."""

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

import nnscratch as nn

STEPS, BATCH = 20, 30
TINY = 1e-30  # scikit-learn adds Adam's epsilon before the bias correction, we after it
CASES = {
    "sgd": (nn.OPTIMIZERS["sgd"](lr=0.5), {"solver": "sgd", "momentum": 0.0}),
    "nesterov": (
        nn.OPTIMIZERS["nesterov"](lr=0.1, momentum=0.9),
        {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": True},
    ),
    "adam": (nn.OPTIMIZERS["adam"](lr=0.01, eps=TINY), {"solver": "adam", "epsilon": TINY}),
}
ACTIVATIONS = {"sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(12,), (9, 7)])
def test_twenty_steps_give_the_weights_of_scikit_learn(name, activation, hidden) -> None:
    optimizer, arguments = CASES[name]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(STEPS * BATCH, 8)), rng.integers(0, 5, STEPS * BATCH)
    y[:5] = range(5)
    model = nn.MLP([8, *hidden, 5], activation, seed=1, dtype="float64")
    other = MLPClassifier(
        hidden,
        activation=ACTIVATIONS[activation],
        alpha=0,
        learning_rate_init=optimizer.lr,
        batch_size=BATCH,
        shuffle=False,
        **arguments,
    )
    other.partial_fit(x[:BATCH], y[:BATCH], classes=range(5))  # makes its arrays
    start = [parameter.w for parameter in model.parameters]
    other.coefs_ = [W.copy() for W in start[0::2]]
    other.intercepts_ = [b.copy() for b in start[1::2]]
    del other._optimizer  # made anew, from nothing, for the arrays that it now has

    state = {}
    for rows in np.split(np.arange(len(x)), STEPS):
        loss = model.loss_and_grad(x[rows], y[rows])
        optimizer.update(model.w, model.dw, state)
        other.partial_fit(x[rows], y[rows])
        assert loss == pytest.approx(other.loss_, rel=1e-9)
    theirs = [array for pair in zip(other.coefs_, other.intercepts_, strict=True) for array in pair]
    for parameter, expected in zip(model.parameters, theirs, strict=True):
        error = np.linalg.norm(parameter.w - expected) / np.linalg.norm(expected)
        assert error < 1e-9, parameter.name
        assert not np.allclose(parameter.w, 0)
