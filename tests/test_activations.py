"""Activations against independent formulas, their derivatives, and the ends of the number line."""

import numpy as np
import pytest
import scipy.special
import scipy.stats

import nnscratch as nn

# Each in float64, from SciPy or the definition, not from the code under test.
EXPECTED = {
    "identity": lambda z: z,
    "sigmoid": scipy.special.expit,
    "tanh": lambda z: 2 * scipy.special.expit(2 * z) - 1,
    "relu": lambda z: np.where(z > 0, z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.exp(np.minimum(z, 0)) - 1),
    "selu": lambda z: (
        1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * (np.exp(np.minimum(z, 0)) - 1))
    ),
    "softplus": lambda z: np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0),
    "silu": lambda z: z * scipy.special.expit(z),
    "gelu": lambda z: z * scipy.stats.norm.cdf(z),
}
EVERY = pytest.mark.parametrize("name", nn.ACTIVATIONS)
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def forward(activation: nn.Activation, z: np.ndarray) -> np.ndarray:
    a = np.full_like(z, np.nan)
    activation.forward(z, a)
    return a


def derivative(activation: nn.Activation, z: np.ndarray) -> np.ndarray:
    a, dz = forward(activation, z), np.full_like(z, np.nan)
    activation.backward(np.ones_like(z), z, a, dz)
    return dz


def test_every_activation_has_an_independent_formula_here() -> None:
    assert EXPECTED.keys() == nn.ACTIVATIONS.keys()


@EVERY
def test_the_function_is_the_one_of_its_name(name: str) -> None:
    z = np.linspace(-12, 12, 401)
    np.testing.assert_allclose(
        forward(nn.ACTIVATIONS[name](), z), EXPECTED[name](z), rtol=1e-12, atol=1e-15
    )


@EVERY
def test_the_derivative_is_that_of_the_function(name: str) -> None:
    z = np.linspace(-6, 6, 400)  # does not meet 0, where some have a corner
    h = 1e-6
    numeric = (EXPECTED[name](z + h) - EXPECTED[name](z - h)) / (2 * h)
    np.testing.assert_allclose(derivative(nn.ACTIVATIONS[name](), z), numeric, atol=2e-9)


@EVERY
def test_backward_multiplies_what_comes_from_above(name: str) -> None:
    activation = nn.ACTIVATIONS[name]()
    z = np.linspace(-3, 3, 50).reshape(5, 10)
    da = np.random.default_rng(0).normal(size=z.shape)
    before = z.copy(), da.copy()
    a, dz = forward(activation, z), np.empty_like(z)
    activation.backward(da, z, a, dz)
    np.testing.assert_allclose(dz, da * derivative(activation, z), rtol=1e-14)
    assert (z == before[0]).all()
    assert (da == before[1]).all()


@EVERY
@DTYPES
def test_no_finite_number_overflows_or_gives_nan(name: str, dtype: str) -> None:
    largest = np.finfo(dtype).max
    ends = np.array([0, 1, 20, 89, 710, 1e4, 1e30, largest / 2, largest], dtype)
    z = np.concatenate([-ends, ends])
    activation = nn.ACTIVATIONS[name]()
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        if name == "selu":  # 1.05 times the largest number is no number
            z = z[np.abs(z) < largest]
        a, slope = forward(activation, z), derivative(activation, z)
    assert np.isfinite(a).all()
    assert np.isfinite(slope).all()
    assert a.dtype == slope.dtype == dtype


@EVERY
def test_far_out_the_value_is_the_limit(name: str) -> None:
    z = np.array([-1e30, 1e30], np.float32)
    low, high = forward(nn.ACTIVATIONS[name](), z)
    limits = {
        "identity": (-1e30, 1e30),
        "sigmoid": (0, 1),
        "tanh": (-1, 1),
        "leaky_relu": (-1e28, 1e30),
        "elu": (-1, 1e30),
        "selu": (-1.7580993, 1.050701e30),
    }
    assert (low, high) == pytest.approx(limits.get(name, (0, 1e30)), rel=1e-6)


@EVERY
def test_float32_agrees_with_float64_to_rounding(name: str) -> None:
    z = np.linspace(-10, 10, 101)
    single = forward(nn.ACTIVATIONS[name](), z.astype(np.float32))
    np.testing.assert_allclose(single, EXPECTED[name](z), rtol=3e-6, atol=3e-7)


def test_the_hyper_parameters_of_leaky_relu_and_elu_are_used() -> None:
    z = np.array([-2.0, 2.0])
    leaky, elu = nn.ACTIVATIONS["leaky_relu"](slope=0.25), nn.ACTIVATIONS["elu"](alpha=3.0)
    assert forward(leaky, z).tolist() == [-0.5, 2.0]
    assert derivative(leaky, z).tolist() == [0.25, 1.0]
    np.testing.assert_allclose(forward(elu, z), [3 * (np.exp(-2) - 1), 2])
    np.testing.assert_allclose(derivative(elu, z), [3 * np.exp(-2), 1])
