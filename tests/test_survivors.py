"""What a user would notice and no other test asks for; found by changing the optimizers' source.

How that is done is told in `mutants.py`.
"""

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
import reference
from driving import iterates, start, uneven_gradient

import nnscratch as nn
from nnscratch.optim.base import Counted
from nnscratch.optim.muon import orthogonalize
from nnscratch.optim.shampoo import power

DEFAULT_RATES = {
    "sgd": 1e-3,
    "momentum": 1e-3,
    "heavy_ball": 1e-3,
    "nesterov": 1e-3,
    "nesterov_lookahead": 1e-3,
    "qhm": 1.0,
    "signsgd": 1e-3,
    "rprop": 1e-2,
    "adagrad": 1e-2,
    "rmsprop": 1e-2,
    "adadelta": 1.0,
    "adam": 1e-3,
    "adam_uncorrected": 1e-3,
    "amsgrad": 1e-3,
    "adamax": 2e-3,
    "nadam": 2e-3,
    "radam": 1e-3,
    "adamw": 1e-3,
    "adabelief": 1e-3,
    "yogi": 1e-2,
    "adan": 1e-3,
    "lion": 1e-4,
    "adafactor": 1e-2,
    "lars": 1.0,
    "lamb": 1e-3,
    "muon": 2e-2,
    "shampoo": 1.0,
    "soap": 3e-3,
    "kfac": 1e-2,
    "schedule_free_sgd": 1.0,
    "schedule_free_adamw": 2.5e-3,
    "prodigy": 1.0,
    "swats": 1e-3,
    "lookahead": 1e-3,
    "sam": 1e-3,
    "lbfgs": 1.0,
    "newton": 1.0,
}


def test_the_table_of_default_rates_is_complete() -> None:
    assert DEFAULT_RATES.keys() == nn.OPTIMIZERS.keys()


@pytest.mark.parametrize(("name", "lr"), DEFAULT_RATES.items())
def test_default_rates_are_the_documented_ones(name: str, lr: float) -> None:
    assert nn.OPTIMIZERS[name]().rate == lr


# --- what every optimizer has from its base class ----------------------------------------------


def test_scaled_is_the_same_optimizer_with_a_multiple_of_its_rate() -> None:
    adam = nn.OPTIMIZERS["adam"](lr=0.5, beta1=0.7)
    assert adam.scaled(0.5) == adam.with_lr(0.25)
    assert adam.scaled(1) is adam
    assert nn.ClipNorm(adam).scaled(3) == nn.ClipNorm(adam.with_lr(1.5))


@pytest.mark.parametrize("name", nn.OPTIMIZERS)
def test_without_a_state_the_point_is_w_and_the_next_batch_may_come(name: str) -> None:
    opt, w = nn.OPTIMIZERS[name](), np.ones(3)
    assert opt.readout(w, {}) is w
    assert opt.same_batch({}) is False


def test_a_rate_of_zero_is_a_rate_also_for_decoupled_decay() -> None:
    @dataclass(frozen=True)
    class Still(nn.Elementwise):
        lr: float = nn.hyper(0.0, "[0, inf)", "step size")

        @staticmethod
        def rule(w, dw, *, lr):
            return w - lr * dw

    assert Still().scaled(2) == Still()
    w = np.ones(2)
    nn.DecoupledDecay(Still(), decay=0.5).update(w, np.ones(2), {})
    assert w.tolist() == [1, 1]


# --- bounds that ordinary numbers do not reach -------------------------------------------------


@pytest.mark.parametrize("shape", [(8,), (1,), (4, 3)])
def test_adafactors_large_rate_is_bounded_by_one_over_the_root_of_t(shape: tuple[int, ...]) -> None:
    opt, rates = nn.OPTIMIZERS["adafactor"](), [3.0] * 20 + [0.3] * 20
    ours = iterates(opt, uneven_gradient, start(shape), rates)
    expected = reference.adafactor(uneven_gradient, start(shape), rates)
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_adafactor_remembers_the_mean_squares_of_rows_and_columns() -> None:
    dw, state = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), {}
    for _ in range(3):
        nn.OPTIMIZERS["adafactor"]().update(np.ones((2, 3)), dw, state)
    np.testing.assert_allclose(state["r"], [14 / 3, 77 / 3])
    np.testing.assert_allclose(state["c"], [17 / 2, 29 / 2, 45 / 2])


@pytest.mark.parametrize("name", ["lamb", "lars"])
def test_weights_that_are_zero_leave_zero(name: str) -> None:
    """A step is a share of |w|; without this exception zero would be left by no step."""
    w = np.zeros(4)
    nn.OPTIMIZERS[name](lr=0.1).update(w, np.full(4, 2.0), {})
    np.testing.assert_allclose(w, -0.1 if name == "lamb" else -0.2, rtol=1e-5)


@pytest.mark.parametrize("name", ["lamb", "lars"])
@pytest.mark.parametrize("shape", [(1,), (2,)])
def test_small_arrays_of_small_weights_take_steps_in_proportion_too(name: str, shape) -> None:
    def gradient(t: int, point: np.ndarray) -> np.ndarray:
        return 0.1 * np.sin(2.0 * t + np.arange(point.size))

    w0, rates = 0.01 * start(shape), [0.01] * 30
    ours = iterates(nn.OPTIMIZERS[name](), gradient, w0, rates)
    np.testing.assert_allclose(ours, reference.TWINS[name](gradient, w0, rates), rtol=1e-9)


def test_kfac_takes_moments_that_are_zero_for_balanced() -> None:
    """Then the damping is shared evenly, by its root, and nothing is divided by zero."""
    dw, root = start((3, 2)), 0.1
    opt = nn.OPTIMIZERS["kfac"](lr=0.5, damping=root**2)
    for A, G in ((0.0, 2.0), (3.0, 0.0), (0.0, 0.0)):
        w = np.zeros((3, 2))
        opt.update(w, dw, {"moments": (A * np.eye(3), G * np.eye(2))})
        np.testing.assert_allclose(w, -0.5 * dw / (A + root) / (G + root), rtol=1e-12)


def test_kfac_wants_two_moments() -> None:
    with pytest.raises(ValueError, match="zip"):
        nn.OPTIMIZERS["kfac"]().update(start((3, 2)), np.ones((3, 2)), {"moments": (np.eye(3),)})


def test_muon_multiplies_the_smaller_of_two_products() -> None:
    """Of 2 x 4000 a matrix of 4000 x 4000 would take 2000 times the memory."""
    for shape in ((2, 4000), (4000, 2)):
        u = start(shape)
        tracemalloc.start()
        orthogonalize(u, 1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20 * u.nbytes


def test_radam_divides_only_from_beyond_its_threshold() -> None:
    """At a length of the average that is the threshold itself the step is still momentum's."""
    beta2, t, w = 0.999, 6, np.zeros(1)
    rho = 2 / (1 - beta2) - 1 - 2 * t * beta2**t / (1 - beta2**t)
    opt, state = nn.OPTIMIZERS["radam"](lr=1.0, beta2=beta2, threshold=rho), {}
    for k in range(1, t + 2):
        before = w.copy()
        opt.update(w, np.array([0.5]), state)
        assert ((w - before)[0] == pytest.approx(-0.5)) == (k <= t)


def test_shampoos_roots_take_what_is_below_rounding_for_rounding() -> None:
    eps = np.finfo(np.float64).eps
    for size in (4.0, 1.0, 1e-20):
        root = power(np.diag([size, 0.0]), -1 / 2)
        np.testing.assert_allclose(root, np.diag([size**-0.5, (size * eps) ** -0.5]))


def test_shampoo_takes_a_single_number_for_a_vector_of_one() -> None:
    assert nn.OPTIMIZERS["shampoo"]().init(np.array(1.0))["H0"].shape == (1, 1)


def test_soaps_basis_begins_with_the_strongest_direction() -> None:
    state, dw = {}, np.diag([1.0, 3.0, 2.0])
    nn.OPTIMIZERS["soap"]().update(np.zeros((3, 3)), dw, state)
    order = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert abs(state["Q_L"]).round(12).tolist() == abs(state["Q_R"]).round(12).tolist() == order


def test_swats_switches_at_the_second_update_of_a_steady_gradient_and_not_before() -> None:
    state, w = {}, np.zeros(3)
    for _ in range(4):
        nn.OPTIMIZERS["swats"]().update(w, np.ones(3), state)
    assert state["switched_at"] == 2


def test_swats_without_tolerance_never_switches() -> None:
    state, w = {}, np.zeros(3)
    for _ in range(4):
        nn.OPTIMIZERS["swats"](beta2=0.0, tolerance=0.0).update(w, np.ones(3), state)
    assert state["phase"] == "adam"


def test_before_the_first_update_swats_and_lbfgs_have_found_nothing() -> None:
    swats, lbfgs = (nn.OPTIMIZERS[name]().init(np.ones(2)) for name in ("swats", "lbfgs"))
    found = ("lambda", "Lambda", "switched_at", "lr")
    assert [swats[name] for name in found] == [0] * 4
    searched = ("pairs", "searching", "searches", "trial", "a", "low", "loss_there")
    assert [lbfgs[name] for name in searched] == [0] * 7
    assert lbfgs["high"] == np.inf


# --- the line searches of lbfgs ----------------------------------------------------------------


def bowl(w: np.ndarray) -> tuple[float, np.ndarray]:
    curvatures = np.arange(1.0, 1 + len(w))
    return 0.5 * float(curvatures @ w**2), curvatures * w


@pytest.mark.parametrize("per_batch", [1, 3])
def test_lbfgs_asks_for_another_batch_after_so_many_searches(per_batch: int) -> None:
    opt, w, state, asked = nn.OPTIMIZERS["lbfgs"](per_batch=per_batch), start(), {}, []
    for _ in range(50):
        state["loss"], dw = bowl(w)
        opt.update(w, dw, state)
        if not opt.same_batch(state):
            asked.append(state["searches"])
    assert asked[:3] == [per_batch, 2 * per_batch, 3 * per_batch]


@pytest.mark.parametrize("size", [0.0, 0.01, 10.0])
def test_lbfgs_forgets_pairs_that_do_not_lead_downhill(size: float) -> None:
    opt, w, dw = nn.OPTIMIZERS["lbfgs"](), np.zeros(2), size * np.array([0.6, 0.8])
    state = opt.init(w)
    state["S"][0], state["Y"][0], state["pairs"] = [0.6, 0.8], [-0.6, -0.8], 1
    state["loss"] = 1.0
    opt.update(w, dw, state)
    assert state["pairs"] == 0
    np.testing.assert_allclose(w, -dw / max(1, dw.sum()))
    np.testing.assert_array_equal(opt.readout(w, state), np.zeros(2))


@pytest.mark.parametrize(
    ("loss", "dw", "accepted"),
    [(0.75, 0.0, True), (0.7500001, 0.0, False), (0.0, 0.5, True), (0.0, 0.5000001, False)],
)
def test_lbfgs_accepts_a_trial_that_just_keeps_its_two_conditions(loss, dw, accepted) -> None:
    """A fall by a quarter of what the slope -1 promises, and a slope of half of it."""
    opt, w, state = nn.OPTIMIZERS["lbfgs"](c1=0.25, c2=0.5), np.zeros(1), {"loss": 1.0}
    opt.update(w, np.ones(1), state)
    state["loss"] = loss
    opt.update(w, np.array([dw]), state)
    assert state["searches"] == accepted


def test_lbfgs_remembers_pairs_of_small_gradients() -> None:
    opt, w, state = nn.OPTIMIZERS["lbfgs"](), np.zeros(1), {"loss": 1.0}
    opt.update(w, np.array([1e-4]), state)
    state["loss"] = 0.0
    opt.update(w, np.array([5e-5]), state)
    assert state["pairs"] == 1


def test_lbfgs_gives_a_search_up_where_it_has_come() -> None:
    """On a slope without end the steps 1, 2 and 4 are all too short; the third is the last."""
    opt, w, state = nn.OPTIMIZERS["lbfgs"](trials=3), np.zeros(1), {}
    for expected in (-0.5, -1.0, -2.0, -2.0):
        state["loss"] = float(w[0]) / 2
        opt.update(w, np.full(1, 0.5), state)
        assert w[0] == expected
    assert not opt.same_batch(state)
    assert (state["pairs"], state["searches"]) == (0, 0)


# --- wrappers around optimizers that remember points -------------------------------------------


@pytest.mark.parametrize(
    "name", ["nesterov_lookahead", "schedule_free_sgd", "schedule_free_adamw", "lookahead"]
)
def test_decoupled_decay_shrinks_remembered_points_along_with_the_weights(name: str) -> None:
    opt = nn.DecoupledDecay(nn.OPTIMIZERS[name]().with_lr(0.5), decay=0.2)
    w, state = start(), {}
    for t in range(1, 8):
        opt.update(w, np.zeros_like(w), state)
        np.testing.assert_allclose(w, 0.9**t * start(), rtol=1e-12)
        np.testing.assert_allclose(opt.readout(w, state), w, rtol=1e-12)


def test_lookahead_of_an_even_number_of_steps_counts_each_step() -> None:
    opt, state, rates = nn.OPTIMIZERS["lookahead"](k=2), {}, [0.01] * 9
    ours = iterates(opt, uneven_gradient, start(), rates)
    expected = reference.TWINS["lookahead"](uneven_gradient, start(), rates, k=2)
    np.testing.assert_allclose(ours, expected, rtol=1e-9)
    for _ in range(3):
        opt.update(np.ones(2), np.ones(2), state)
    assert state["fast_steps"] == 3


def test_lookahead_takes_the_points_of_its_base_along_when_it_jumps() -> None:
    opt = nn.OPTIMIZERS["lookahead"](nn.OPTIMIZERS["nesterov_lookahead"](lr=0.1), k=2)
    w, state = start(), {}
    for _ in range(6):
        opt.update(w, 1 + w, state)
        base = state["base"]
        np.testing.assert_allclose(w - base["theta"], 0.9 * base["v"], rtol=1e-9)


# --- what the state holds is what the formula says ---------------------------------------------


def test_prodigys_sum_of_gradients_begins_with_d0_times_the_first() -> None:
    state, dw = {}, np.array([3.0, -4.0])
    nn.OPTIMIZERS["prodigy"](d0=1e-3).update(np.ones(2), dw, state)
    np.testing.assert_allclose(state["s"], 1e-3 * dw)


def test_soaps_matrices_are_means_of_squared_gradients() -> None:
    state, dw = {}, start((3, 2))
    for _ in range(2):
        nn.OPTIMIZERS["soap"](beta2=0.75).update(np.zeros((3, 2)), dw, state)
    share = 1 - 0.75**2
    np.testing.assert_allclose(state["L"], share * dw @ dw.T)
    np.testing.assert_allclose(state["R"], share * dw.T @ dw)


def test_yogis_square_stays_where_it_is_that_of_the_gradient() -> None:
    state = {}
    nn.OPTIMIZERS["yogi"](initial=0.25).update(np.zeros(2), np.array([0.5, -0.5]), state)
    assert state["v"].tolist() == [0.25, 0.25]


def test_lbfgs_asks_for_another_batch_after_twenty_searches_by_default() -> None:
    assert nn.OPTIMIZERS["lbfgs"]().per_batch == 20


def test_parts_that_do_not_go_together_are_refused_by_name() -> None:
    @dataclass(frozen=True)
    class WithoutRate(nn.Optimizer):
        def update(self, w, dw, state):
            w -= dw
            return w

    for make, what in [
        (lambda: nn.DecoupledDecay(WithoutRate(), 0.1), "has no lr"),
        (lambda: nn.ClipNorm("adam", 1.0), "'adam' is no optimizer"),
        (lambda: nn.OPTIMIZERS["kfac"]().init(np.ones(3)), "is no matrix of a layer"),
    ]:
        with pytest.raises(nn.UsageError, match=what):
            make()


def test_a_mistake_in_an_own_step_is_told_as_python_tells_it() -> None:
    """Not as a state that lacks something, although a KeyError is what shows that."""

    class Mistaken(Counted):
        scope = "element"

        def step(self, w, dw, state, given):
            {}["t"]

    with pytest.raises(KeyError, match="t"):
        Mistaken().update(np.ones(3), np.ones(3), {})


def test_lbfgs_stays_where_the_gradient_is_too_small_to_be_squared() -> None:
    optimizer, w, state = nn.OPTIMIZERS["lbfgs"](lr=0.5), np.array([3.0, -2.0]), {}
    for _ in range(1500):
        state["loss"] = float(w[0] ** 2 / 100 + w[1] ** 2)
        optimizer.update(w, np.array([w[0] / 50, 2 * w[1]]), state)
    assert (np.abs(w) < 1e-150).all()
