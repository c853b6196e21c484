"""Initializers: the distributions that their papers ask for."""

import numpy as np
import pytest
import scipy.stats

import nnscratch as nn

FAN_IN, FAN_OUT = 784, 1000
# name: (distribution, variance at 784-1000), from the papers
EXPECTED = {
    "uniform": ("uniform", 0.05**2 / 3),
    "normal": ("normal", 0.05**2),
    "glorot_uniform": ("uniform", 2 / 1784),
    "glorot_normal": ("normal", 2 / 1784),
    "he_uniform": ("uniform", 2 / 784),
    "he_normal": ("normal", 2 / 784),
    "lecun_uniform": ("uniform", 1 / 784),
    "lecun_normal": ("normal", 1 / 784),
    "lecture": ("uniform", 0.058**2 / 3),
}


def sample(name: str, fan_in: int = FAN_IN, fan_out: int = FAN_OUT, **hyper) -> np.ndarray:
    rng = np.random.default_rng(3)
    return nn.INITIALIZERS[name](**hyper).sample(rng, fan_in, fan_out)


def test_every_initializer_is_tested_here() -> None:
    assert EXPECTED.keys() | {"zeros", "constant", "orthogonal"} == nn.INITIALIZERS.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_the_weights_have_the_distribution_of_the_paper(name: str) -> None:
    W = sample(name)
    kind, variance = EXPECTED[name]
    scale = np.sqrt(variance)
    assert W.shape == (FAN_IN, FAN_OUT)
    assert W.std() == pytest.approx(scale, rel=0.005)  # 784,000 weights: 3 standard errors
    assert abs(W.mean()) < 4 * scale / np.sqrt(W.size)
    if kind == "uniform":
        limit = np.sqrt(3) * scale
        distribution = scipy.stats.uniform(-limit, 2 * limit)
        assert abs(W).max() <= limit
    else:
        distribution = scipy.stats.norm(0, scale)
    assert scipy.stats.kstest(W.ravel()[:20_000], distribution.cdf).pvalue > 1e-3


def test_the_lectures_network_gets_the_lectures_two_numbers() -> None:
    W1, W2 = sample("lecture"), sample("lecture", 1000, 10)
    assert 0.0579 < abs(W1).max() <= 0.058
    assert 0.0765 < abs(W2).max() <= 0.077


def test_zeros_and_constant_are_what_they_say() -> None:
    assert (sample("zeros") == 0).all()
    assert (sample("constant", value=-0.25) == -0.25).all()


@pytest.mark.parametrize(("fan_in", "fan_out"), [(20, 20), (30, 12), (12, 30), (1, 5)])
def test_orthogonal_keeps_lengths_on_the_smaller_side(fan_in: int, fan_out: int) -> None:
    W = sample("orthogonal", fan_in, fan_out, gain=2.0)
    assert W.shape == (fan_in, fan_out)
    small = W.T @ W if fan_in >= fan_out else W @ W.T
    np.testing.assert_allclose(small, 4 * np.eye(min(fan_in, fan_out)), atol=1e-12)


def test_orthogonal_has_no_preferred_sign() -> None:
    rng, init = np.random.default_rng(0), nn.INITIALIZERS["orthogonal"]()
    corners = [init.sample(rng, 2, 2)[0, 0] > 0 for _ in range(400)]
    assert 150 < sum(corners) < 250  # half of them, within 5 standard deviations


@pytest.mark.parametrize("name", nn.INITIALIZERS)
def test_one_seed_gives_a_float32_and_a_float64_network_the_same_weights(name: str) -> None:
    single, double = (nn.MLP([7, 6, 5], init=name, seed=4, dtype=d) for d in ("float32", "float64"))
    assert single.w.dtype == np.float32
    assert (single.w == double.w.astype(np.float32)).all()


def test_another_seed_gives_other_weights_and_every_bias_starts_at_zero() -> None:
    a, b = nn.MLP([7, 6, 5], seed=0), nn.MLP([7, 6, 5], seed=1)
    weights = {p.name: (p.w, q.w) for p, q in zip(a.parameters, b.parameters, strict=True)}
    assert not np.isclose(*weights["W1"]).any()
    assert not np.isclose(*weights["W2"]).any()
    assert (weights["b1"][0] == 0).all()
    assert (weights["b2"][0] == 0).all()
