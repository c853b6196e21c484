"""The optimizers against twins written from the papers, closed forms, and the contract."""

import importlib
import inspect
import math
import pkgutil
from dataclasses import dataclass, replace

import numpy as np
import pytest
from driving import N, iterates, start, supply, uneven_gradient, uneven_rates

import nnscratch as nn
import nnscratch.optim

EVERY = pytest.mark.parametrize("name", nn.OPTIMIZERS)
ELEMENTWISE = pytest.mark.parametrize(
    "name", [name for name, cls in nn.OPTIMIZERS.items() if issubclass(cls, nn.Elementwise)]
)


def w_of(opt: nn.Optimizer, dtype: str = "float64") -> np.ndarray:
    """Weights of a shape that the optimizer's scope allows."""
    return start((5, 3) if opt.scope == "layer" else (N,)).astype(dtype)


def step(opt: nn.Optimizer, w, dw, state, t: int = 0) -> np.ndarray:
    """One update, with whatever else the optimizer needs."""
    supply(opt, w, dw, state, t)
    return opt.update(w, dw, state)


# --- defaults ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "lr"),
    [
        ("sgd", 1e-3),
        ("heavy_ball", 1e-3),
        ("adagrad", 1e-2),
        ("rmsprop", 1e-2),
        ("adadelta", 1.0),
        ("adam", 1e-3),
        ("amsgrad", 1e-3),
    ],
)
def test_default_rates_are_pytorchs(name: str, lr: float) -> None:
    assert nn.OPTIMIZERS[name]().lr == lr


# --- contract ----------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_update_works_in_place_and_keeps_its_hands_off_the_gradient(name: str, dtype: str) -> None:
    opt = nn.OPTIMIZERS[name]()
    w = w_of(opt, dtype)
    dw = np.ones_like(w)
    state = opt.init(w)
    before, slots = dw.copy(), {k: v for k, v in state.items() if isinstance(v, np.ndarray)}
    for t in range(3):
        assert step(opt, w, dw, state, t) is w
    assert w.dtype == dtype
    assert (dw == before).all()
    for key, array in slots.items():
        assert state[key] is array, "an array of the state was replaced"
        assert array.dtype == dtype
        assert not np.shares_memory(array, w)
    assert all(isinstance(v, np.ndarray | int | float | str | dict) for v in state.values())


@EVERY
def test_an_empty_state_is_filled_on_first_use(name: str) -> None:
    opt = nn.OPTIMIZERS[name]()
    lazy, eager = w_of(opt), w_of(opt)
    lazy_state, eager_state = {}, opt.init(eager)
    for t in range(3):
        step(opt, lazy, uneven_gradient(t, lazy), lazy_state)
        step(opt, eager, uneven_gradient(t, eager), eager_state)
    assert (lazy == eager).all()
    assert lazy_state.keys() == eager_state.keys()


@ELEMENTWISE
def test_a_state_without_a_slot_is_refused_by_name(name: str) -> None:
    opt, w = nn.OPTIMIZERS[name](), start()
    for slot in [key for key, value in opt.init(w).items() if isinstance(value, np.ndarray)]:
        state = opt.init(w)
        del state[slot]
        with pytest.raises(nn.UsageError, match=f"{name}: the state lacks {slot}"):
            opt.update(w, np.ones(N), state)


@EVERY
def test_arrays_do_not_share_what_is_remembered(name: str) -> None:
    opt = nn.OPTIMIZERS[name]()
    a, b, state_a, state_b = w_of(opt), w_of(opt), {}, {}
    for t in range(4):
        step(opt, a, uneven_gradient(t, a), state_a)
        step(opt, b, uneven_gradient(t, b), state_b)
    assert (a == b).all()


WITHOUT_DECAY = {name: {"weight_decay": 0.0} for name in ("adamw", "lamb", "soap")}


@EVERY
def test_t_counts_updates_and_the_gradient_zero_moves_nothing_at_first(name: str) -> None:
    opt = nn.OPTIMIZERS[name](**WITHOUT_DECAY.get(name, {}))
    w, state = w_of(opt), {}
    for t in range(1, 4):
        step(opt, w, np.zeros_like(w), state)
        assert state["t"] == t
    np.testing.assert_allclose(w, w_of(opt), rtol=1e-15)  # 0.1 w + 0.9 w is w but for rounding


@ELEMENTWISE
def test_cutting_an_array_in_two_changes_nothing(name: str) -> None:
    opt = nn.OPTIMIZERS[name]()
    whole, parts, state, states = start(), start(), {}, ({}, {})
    for t in range(5):
        g = uneven_gradient(t, whole)
        opt.update(whole, g, state)
        for rows, part_state in zip((slice(0, 3), slice(3, N)), states, strict=True):
            opt.update(parts[rows], g[rows], part_state)
    assert (whole == parts).all()


@EVERY
@pytest.mark.parametrize(
    ("w", "dw", "reason"),
    [
        (np.ones(3), np.ones(4), "dw is float64[4]"),
        (np.ones((3, 1)), np.ones(3), "dw is float64[3]"),
        (np.ones(3), np.ones(3, np.float32), "dw is float32[3]"),
        (np.ones(3, int), np.ones(3, int), "w is int64"),
        (np.ones(3, np.float16), np.ones(3, np.float16), "w is float16"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(name: str, w, dw, reason: str) -> None:
    with pytest.raises(nn.UsageError) as error:
        nn.OPTIMIZERS[name]().update(w, dw, {})
    assert reason in error.value.what
    assert name in error.value.what


@EVERY
def test_weights_that_cannot_be_written_are_refused(name: str) -> None:
    w = np.ones(3)
    w.flags.writeable = False
    with pytest.raises(nn.UsageError, match="w is read-only"):
        nn.OPTIMIZERS[name]().update(w, np.ones(3), {})


def test_two_columns_of_one_matrix_may_be_weights_and_gradient() -> None:
    matrix = np.ones((3, 2))
    nn.OPTIMIZERS["sgd"](lr=0.5).update(matrix[:, 0], matrix[:, 1], {})
    assert matrix.tolist() == [[0.5, 1.0]] * 3


@EVERY
def test_weights_that_are_their_own_gradient_are_refused(name: str) -> None:
    w = np.ones(3)
    with pytest.raises(nn.UsageError, match="share memory"):
        nn.OPTIMIZERS[name]().update(w, w, {})


@EVERY
def test_the_state_of_another_array_is_refused(name: str) -> None:
    opt = nn.OPTIMIZERS[name]()
    w = w_of(opt)
    for other in (np.ones((5, 1)), np.ones((1, 3)), np.ones((4, 3)), w.astype("float32")):
        if opt.scope == "element":
            other = other.reshape(-1)
        with pytest.raises(nn.UsageError, match=f"the state is one of {name}, float"):
            step(opt, w.copy(), np.ones_like(w), opt.init(other))


@EVERY
def test_the_state_of_another_optimizer_is_refused(name: str) -> None:
    opt = nn.OPTIMIZERS[name]()
    for other, cls in nn.OPTIMIZERS.items():
        w = start((5, 3))
        if other != name:
            with pytest.raises(nn.UsageError, match=f"the state is one of {other}, float"):
                step(opt, w, np.ones_like(w), cls().init(w))


@EVERY
def test_a_new_rate_keeps_everything_else(name: str) -> None:
    opt = nn.OPTIMIZERS[name]()
    other = opt.with_lr(0.125)
    assert other.lr == 0.125
    assert other != opt
    assert other.with_lr(opt.lr) == opt


def test_no_optimizer_in_the_folder_is_missing_from_the_table() -> None:
    found = set()
    for module in pkgutil.iter_modules(nnscratch.optim.__path__):
        content = vars(importlib.import_module(f"nnscratch.optim.{module.name}"))
        found |= {c for c in content.values() if isinstance(c, type)}
    ours = {c for c in found if issubclass(c, nn.Optimizer) and not inspect.isabstract(c)}
    others = {nn.ClipNorm, nn.DecoupledDecay, nn.WeightEMA, nn.Elementwise}
    assert ours - others == set(nn.OPTIMIZERS.values())


@EVERY
def test_the_docstring_tells_the_formula_the_units_and_the_source(name: str) -> None:
    text = inspect.getdoc(nn.OPTIMIZERS[name])
    assert text is not None
    assert "w <- " in text
    assert "Units: " in text
    assert "Source: " in text


# --- one's own optimizer -----------------------------------------------------------------------


def test_a_class_with_update_alone_is_a_complete_optimizer(toy: nn.Split) -> None:
    class Plain(nn.Optimizer):
        def update(self, w, dw, state):
            w -= 0.5 * dw
            return w

    opt = Plain()
    assert opt.name == "plain"
    assert opt.init(np.ones(3)) == {}
    model, twin = nn.MLP([12, 5, 3]), nn.MLP([12, 5, 3])
    records = list(nn.fit(model, opt, nn.mini_batch(toy, 50), 2))
    list(nn.fit(twin, nn.OPTIMIZERS["sgd"](lr=0.5), nn.mini_batch(toy, 50), 2))
    assert records[-1].lr is None
    np.testing.assert_allclose(model.w, twin.w, rtol=1e-6)


def test_an_optimizer_without_a_rate_cannot_be_scheduled(toy: nn.Split) -> None:
    class Plain(nn.Optimizer):
        def update(self, w, dw, state):
            return w

    records = nn.fit(
        nn.MLP([12, 3]), Plain(), nn.batch(toy), 2, schedule=nn.SCHEDULES["cosine"](warmup=1)
    )
    with pytest.raises(nn.UsageError, match="plain has no lr that a schedule could change"):
        next(records)
    with pytest.raises(nn.UsageError, match="plain has no lr"):
        Plain().with_lr(0.1)


def test_a_class_without_update_is_no_optimizer() -> None:
    class Idle(nn.Optimizer):
        pass

    with pytest.raises(TypeError, match="update"):
        Idle()


@pytest.mark.parametrize("mistake", ["rebinds", "returns nothing", "returns another array"])
def test_an_update_that_does_not_move_w_itself_is_found_at_once(mistake: str, toy) -> None:
    class Mistaken(nn.Optimizer):
        def update(self, w, dw, state):
            if mistake == "returns another array":
                return w - 0.1 * dw
            if mistake == "rebinds":
                w = w - 0.1 * dw
                return w
            w -= 0.1 * dw

    with pytest.raises(nn.UsageError) as error:
        next(nn.fit(nn.MLP([12, 3]), Mistaken(), nn.batch(toy), 1))
    assert "mistaken: update did not return the w that it was given" in error.value.what
    assert "w -= step" in error.value.fix


def test_the_name_t_is_taken() -> None:
    @dataclass(frozen=True)
    class Clash(nn.Elementwise):
        @staticmethod
        def rule(w, dw, t):
            t = t + dw
            return w, t

    with pytest.raises(nn.UsageError, match="a slot is called t"):
        Clash().update(np.ones(3), np.ones(3), {})


def test_an_elementwise_optimizer_is_its_fields_and_its_formula() -> None:
    @dataclass(frozen=True)
    class Mean(nn.Elementwise):
        lr: float = nn.hyper(0.5, "(0, inf)", "step size")

        @staticmethod
        def rule(w, dw, s, *, lr):
            s = s + dw
            w = w - lr * s
            return w, s

    w, state = np.zeros(2), {}
    for _ in range(3):
        Mean().update(w, np.ones(2), state)
    assert w.tolist() == [-3.0, -3.0]  # -(1 + 2 + 3) / 2
    assert state["s"].tolist() == [3.0, 3.0]


# --- what the lecture says, and what is true ---------------------------------------------------


def test_the_two_signs_of_the_velocity_are_one_rule() -> None:
    """v = mu v - lr g, w += v   and   v = mu v + lr g, w -= v."""
    rates, w, v, points = uneven_rates(0.01, 40), start(), np.zeros(N), []
    for t, lr in enumerate(rates):
        v = 0.9 * v + lr * uneven_gradient(t, w)
        w = w - v
        points.append(w)
    ours = iterates(nn.OPTIMIZERS["momentum"](), uneven_gradient, start(), rates)
    np.testing.assert_allclose(ours, points, rtol=1e-12)


def test_momentum_with_the_rate_inside_and_outside_part_only_when_the_rate_changes() -> None:
    inside, outside = nn.OPTIMIZERS["momentum"](), nn.OPTIMIZERS["heavy_ball"]()
    rates = [0.1] * 10 + [0.01] * 10
    a, b = (iterates(opt, lambda t, w: 1 + w, start(), rates) for opt in (inside, outside))
    np.testing.assert_allclose(a[:10], b[:10], rtol=1e-12)
    # at step 11 both have the same old velocity mu v; inside it keeps the old rate, outside not
    v = a[9] - a[8]
    np.testing.assert_allclose(a[10] - b[10], 0.9 * (v - v / 10), rtol=1e-9)


def test_both_forms_of_nesterov_have_the_same_iterates() -> None:
    """The rewritten form stores theta + mu v, where the taught form takes its gradient."""
    rates = uneven_rates(0.01, 60)
    rewritten, taught = nn.OPTIMIZERS["nesterov"](), nn.OPTIMIZERS["nesterov_lookahead"]()
    w, ahead, state, ahead_state = start(), start(), {}, {}
    for t, lr in enumerate(rates):
        rewritten.with_lr(lr).update(w, uneven_gradient(t, w.copy()), state)
        taught.with_lr(lr).update(ahead, uneven_gradient(t, ahead.copy()), ahead_state)
        np.testing.assert_allclose(w, ahead, rtol=1e-10)
        theta = taught.readout(ahead, ahead_state)
        np.testing.assert_allclose(theta, w - 0.9 * state["v"], rtol=1e-9, atol=1e-12)


def test_nesterov_is_not_momentum() -> None:
    rates = [0.01] * 5
    momentum, nesterov = (
        iterates(nn.OPTIMIZERS[name](), uneven_gradient, start(), rates)
        for name in ("momentum", "nesterov_lookahead")
    )
    assert not np.allclose(momentum, nesterov, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("sgd", 2.0),
        ("momentum", 2 * (1 + 0.9)),
        ("heavy_ball", 2 * (1 + 0.9)),
        ("nesterov", 2 * (1 + 0.9) / (1 + 2 * 0.9)),
        ("nesterov_lookahead", 2 * (1 + 0.9) / (1 + 2 * 0.9)),
    ],
)
def test_on_a_parabola_the_stable_rates_end_where_theory_says(name: str, limit: float) -> None:
    """f = lambda w^2 / 2 converges if and only if lr lambda is below the limit."""
    curvature = 3.0
    for share, converges in ((0.98, True), (1.02, False)):
        opt, w, state = nn.OPTIMIZERS[name](lr=share * limit / curvature), np.ones(1), {}
        for _ in range(2000):
            opt.update(w, curvature * w.copy(), state)
        assert (abs(w[0]) < 1e-6) == converges


def test_the_influence_of_a_gradient_falls_to_a_tenth_after_22_steps() -> None:
    opt, w, state, steps = nn.OPTIMIZERS["momentum"](lr=1.0), np.zeros(1), {}, []
    for t in range(30):
        before = w.copy()
        opt.update(w, np.array([1.0 if t == 0 else 0.0]), state)
        steps.append(-(w - before)[0])
    assert steps[0] == 1
    assert steps[21] > 0.1 > steps[22] == pytest.approx(0.9**22)


def test_adagrad_shrinks_as_one_over_root_t_and_still_goes_any_distance() -> None:
    opt, w, state = nn.OPTIMIZERS["adagrad"](lr=1.0), np.zeros(1), {}
    position = []
    for _ in range(400):
        opt.update(w, np.array([5.0]), state)
        position.append(-w[0])
    assert position[0] == pytest.approx(1)
    assert position[399] - position[398] == pytest.approx(1 / math.sqrt(400))
    assert position[399] == pytest.approx(sum(1 / math.sqrt(t) for t in range(1, 401)))


def test_adagrad_accumulates_where_the_slide_assigns() -> None:
    state = {}
    w = np.zeros(1)
    for _ in range(3):
        nn.OPTIMIZERS["adagrad"]().update(w, np.array([2.0]), state)
    assert state["s"][0] == 12


def test_adams_first_step_is_the_rate_whatever_the_gradient() -> None:
    g = np.array([1e-3, -1e-3, 1.0, -50.0])
    w = np.zeros(4)
    nn.OPTIMIZERS["adam"](lr=0.01).update(w, g, {})
    np.testing.assert_allclose(w, -0.01 * np.sign(g), rtol=2e-5)


def test_without_correction_adams_first_steps_are_too_long_not_too_short() -> None:
    """The slide says that they are too short: 3.16 lr at t = 1, 6.57 lr at t = 12, then falling."""
    opt, w, state, steps = nn.OPTIMIZERS["adam_uncorrected"](lr=1.0), np.zeros(1), {}, []
    for _ in range(2000):
        before = w.copy()
        opt.update(w, np.ones(1), state)
        steps.append((before - w)[0])
    factor = [(1 - 0.9**t) / math.sqrt(1 - 0.999**t) for t in range(1, 2001)]
    np.testing.assert_allclose(steps, factor, rtol=1e-6)
    assert steps[0] == pytest.approx(3.162, abs=1e-3)
    assert max(steps) == steps[11] == pytest.approx(6.57, abs=5e-3)
    assert steps[1749] > 1.09
    assert min(steps) > 1


def test_corrected_adam_steps_by_the_rate_under_a_constant_gradient() -> None:
    opt, w, state = nn.OPTIMIZERS["adam"](lr=1.0), np.zeros(1), {}
    for t in range(1, 51):
        opt.update(w, np.ones(1), state)
        assert w[0] == pytest.approx(-t, rel=1e-6)


def test_amsgrad_is_pytorchs_variant_and_not_the_two_others() -> None:
    """One gradient of 1, then 999 of 0.01: what is divided by tells the variants apart.

    PyTorch and Keras .040, optax 1.0, the paper .032 (and Adam .026).
    """
    opt, w, state = nn.OPTIMIZERS["amsgrad"](), np.zeros(1), {}
    for t in range(1000):
        opt.update(w, np.array([1.0 if t == 0 else 0.01]), state)
    denominator = math.sqrt(state["v_max"][0] / (1 - 0.999**1000))
    assert denominator == pytest.approx(0.0398, abs=2e-4)
    before = w.copy()
    opt.update(w, np.array([0.01]), state)
    step = (before - w)[0]
    assert step == pytest.approx(1e-3 * 0.01 / denominator, rel=1e-2)


def way_in_other_units(name: str, unit: float, **hyper: float) -> np.ndarray:
    """The way of twenty steps on a bowl, its weights measured in another unit, brought back."""
    opt, begin, state, way = nn.OPTIMIZERS[name](**hyper), np.array([3.0, -4.0]), {}, []
    w = begin * unit
    for _ in range(20):
        opt.update(w, 2 * w.copy() / unit**2, state)  # loss = |w / unit|^2
        way.append(w / unit - begin)
    return np.array(way)


def test_adadeltas_way_does_not_depend_on_the_unit_of_the_weights() -> None:
    """Zeiler's argument, with the eps that starts the motion measured in the new unit too."""
    a = way_in_other_units("adadelta", 1, eps=1e-12)
    b = way_in_other_units("adadelta", 10, eps=1e-12 * 10**2)
    assert abs(a).max() > 1e-5
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_adadeltas_eps_has_a_unit_which_the_argument_leaves_out() -> None:
    a, b = (way_in_other_units("adadelta", unit, eps=1e-6) for unit in (1, 10))
    np.testing.assert_allclose(a[0], 10 * b[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "power"), [("sgd", 2), ("momentum", 2), ("adagrad", 1), ("rmsprop", 1), ("adam", 1)]
)
def test_the_other_rules_need_another_rate_for_other_units(name: str, power: int) -> None:
    """lr has the unit of w^2 / loss under SGD and momentum, that of w under the adaptive rules."""
    a = way_in_other_units(name, 1, lr=0.1)
    np.testing.assert_allclose(a, way_in_other_units(name, 10, lr=0.1 * 10**power), rtol=1e-5)
    assert not np.allclose(a, way_in_other_units(name, 10, lr=0.1), rtol=0.5)


@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "adam", "adam_uncorrected", "amsgrad"])
def test_adaptive_rules_do_not_see_the_scale_of_the_loss(name: str) -> None:
    opt = nn.OPTIMIZERS[name](eps=0, lr=0.01)
    points = []
    for scale in (1.0, 1e4):
        w, state = start(), {}
        for t in range(20):
            opt.update(w, scale * np.sin(np.arange(1, N + 1) * (t + 1)), state)
        points.append(w)
    np.testing.assert_allclose(*points, rtol=1e-9)


def test_eps_and_eps_root_are_added_where_they_say() -> None:
    g = np.array([1e-4])
    for eps, eps_root, expected in [(1e-4, 0, 1e-4 / 2e-4), (0, 3e-8, 1e-4 / 2e-4)]:
        w = np.zeros(1)
        nn.OPTIMIZERS["adagrad"](lr=1.0, eps=eps, eps_root=eps_root).update(w, g, {})
        assert w[0] == pytest.approx(-expected)


# --- names from Keras --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keras", "arguments", "ours"),
    [
        ("SGD", {}, nn.OPTIMIZERS["sgd"](lr=0.01)),
        ("SGD", {"momentum": 0.8}, nn.OPTIMIZERS["momentum"](lr=0.01, momentum=0.8)),
        (
            "SGD",
            {"learning_rate": 0.1, "momentum": 0.8, "nesterov": True},
            nn.OPTIMIZERS["nesterov"](lr=0.1, momentum=0.8),
        ),
        ("SGD", {"nesterov": True}, nn.OPTIMIZERS["sgd"](lr=0.01)),
        ("RMSprop", {}, nn.OPTIMIZERS["rmsprop"](lr=0.001, rho=0.9, eps=1e-7)),
        ("Adagrad", {}, nn.OPTIMIZERS["adagrad"](lr=0.01, eps=1e-7)),
        ("Adadelta", {}, nn.OPTIMIZERS["adadelta"](lr=1.0, rho=0.95, eps=1e-7)),
        ("Adam", {}, nn.OPTIMIZERS["adam"](lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7)),
        ("Adam", {"beta_1": 0.5, "epsilon": 1e-4}, nn.OPTIMIZERS["adam"](beta1=0.5, eps=1e-4)),
        ("Adam", {"amsgrad": True}, nn.OPTIMIZERS["amsgrad"](eps=1e-7)),
    ],
)
def test_keras_names_and_defaults_find_the_optimizer_here(keras, arguments, ours) -> None:
    optimizer, schedule = nn.FROM_KERAS[keras](**arguments)
    assert optimizer == ours
    assert schedule == nn.SCHEDULES["inverse_time"](decay=0)


def test_keras_decay_becomes_the_schedule() -> None:
    _, schedule = nn.FROM_KERAS["Adam"](decay=0.01)
    assert [schedule.factor(n, 2000, 10) for n in (0, 1, 1000)] == pytest.approx(
        [1, 1 / 1.01, 1 / 11]
    )


def test_an_argument_that_keras_does_not_have_is_refused() -> None:
    with pytest.raises(nn.UsageError, match="no argument beta1"):
        nn.FROM_KERAS["Adam"](beta1=0.9)
    with pytest.raises(nn.UsageError, match="one argument"):
        nn.FROM_KERAS["Adam"](lr=0.1, learning_rate=0.2)
    with pytest.raises(nn.UsageError, match="rho must be a number"):
        nn.FROM_KERAS["RMSprop"](rho=None)  # None means something for epsilon only


def keras_rule(name: str, a: dict, p, g, s: dict, t: int) -> np.ndarray:
    """Keras 2.2's own updates, in its own letters; t counts from 1, a holds the arguments."""
    lr, epsilon = a["lr"] / (1 + a["decay"] * (t - 1)), 1e-7
    if name == "SGD":
        s["v"] = a["momentum"] * s.get("v", 0) - lr * g
        return p + a["momentum"] * s["v"] - lr * g if a["nesterov"] else p + s["v"]
    if name == "RMSprop":
        s["a"] = a["rho"] * s.get("a", 0) + (1 - a["rho"]) * g**2
        return p - lr * g / (np.sqrt(s["a"]) + epsilon)
    if name == "Adagrad":
        s["a"] = s.get("a", 0) + g**2
        return p - lr * g / (np.sqrt(s["a"]) + epsilon)
    if name == "Adadelta":
        s["a"] = a["rho"] * s.get("a", 0) + (1 - a["rho"]) * g**2
        update = g * np.sqrt(s.get("d", 0) + epsilon) / np.sqrt(s["a"] + epsilon)
        s["d"] = a["rho"] * s.get("d", 0) + (1 - a["rho"]) * update**2
        return p - lr * update
    s["m"] = a["beta_1"] * s.get("m", 0) + (1 - a["beta_1"]) * g
    s["v"] = a["beta_2"] * s.get("v", 0) + (1 - a["beta_2"]) * g**2
    s["vhat"] = np.maximum(s.get("vhat", 0), s["v"])
    lr_t = lr * np.sqrt(1 - a["beta_2"] ** t) / (1 - a["beta_1"] ** t)
    return p - lr_t * s["m"] / (np.sqrt(s["vhat" if a["amsgrad"] else "v"]) + epsilon)


@pytest.mark.parametrize(
    ("keras", "arguments"),
    [
        ("SGD", {}),
        ("SGD", {"momentum": 0.9}),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("SGD", {"nesterov": True}),
        ("RMSprop", {}),
        ("Adagrad", {}),
        ("Adadelta", {}),
        ("Adam", {}),
        ("Adam", {"amsgrad": True}),
    ],
)
def test_what_keras_names_compute_is_what_keras_computes(keras: str, arguments: dict) -> None:
    entry = nn.FROM_KERAS[keras]
    optimizer, schedule = entry(decay=0.02, **arguments)
    given = {**entry.defaults, "decay": 0.02, **arguments}
    w, p, state, s = start(), start(), {}, {}
    for t in range(1, 51):
        step = optimizer.with_lr(optimizer.lr * schedule.factor(t - 1, 50, 10))
        if keras == "Adam":  # the one difference: Keras adds epsilon before the correction
            step = replace(step, eps=1e-7 / math.sqrt(1 - 0.999**t))
        step.update(w, uneven_gradient(t, w), state)
        p = keras_rule(keras, given, p, uneven_gradient(t, p), s, t)
        np.testing.assert_allclose(w, p, rtol=1e-9, atol=1e-12)
