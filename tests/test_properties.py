"""What holds for every optimizer and wrapper, whatever the weights, their shape and the gradients.

No gradient here can be written to: an update that changes it fails.
"""

import copy
import io
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from driving import supply
from hypothesis import given, settings
from hypothesis import strategies as st

import nnscratch as nn
from nnscratch.hyper import hypers

PROFILE = settings(max_examples=15, deadline=None, derandomize=True)

WRAPPERS = {
    "clip_norm": nn.ClipNorm,
    "decoupled_decay": nn.DecoupledDecay,
    "weight_ema": nn.WeightEMA,
    "lookahead": nn.OPTIMIZERS["lookahead"],
    "sam": nn.OPTIMIZERS["sam"],
}
# Numbers with which a few updates go far, and through all that an optimizer does now and then.
NUMBERS: dict[str, dict[str, float]] = {
    "adadelta": {"lr": 1.0, "eps": 1e-2},
    "adafactor": {"lr": 0.3},
    "kfac": {"lr": 0.01, "refresh": 3},
    "lars": {"trust": 0.1},
    "lbfgs": {"memory": 2},
    "newton": {},
    "prodigy": {"d0": 0.03},
    "shampoo": {"lr": 0.3, "refresh": 3},
    "soap": {"lr": 0.1, "refresh": 3},
    "clip_norm": {"max_norm": 1},
    "decoupled_decay": {"decay": 0.5},
    "weight_ema": {"decay": 0.5},
    "lookahead": {"k": 2, "slow_step": 0.25},
    "sam": {"radius": 0.5},
}
STACKS = [
    ("clip_norm", "weight_ema", "momentum"),
    ("weight_ema", "lookahead", "nesterov_lookahead"),
    ("lookahead", "decoupled_decay", "schedule_free_adamw"),
    ("decoupled_decay", "sam", "rprop"),
    ("sam", "clip_norm", "lamb"),
    ("weight_ema", "decoupled_decay", "soap"),
    ("clip_norm", "decoupled_decay", "kfac"),
    ("weight_ema", "clip_norm", "lbfgs"),
]


def stacked(*names: str) -> nn.Optimizer:
    """The last one, with the others around it."""
    *outer, innermost = names
    opt = nn.OPTIMIZERS[innermost](**NUMBERS.get(innermost, {"lr": 0.1}))
    for name in reversed(outer):
        opt = WRAPPERS[name](opt, **NUMBERS[name])
    return opt


SINGLE = {name: stacked(name) for name in nn.OPTIMIZERS if name not in WRAPPERS}
ALL = SINGLE | {name: stacked(name, "adam") for name in WRAPPERS}
ALL |= {"-".join(names): stacked(*names) for names in STACKS}
PLAIN = [name for name, opt in SINGLE.items() if isinstance(opt, nn.Elementwise)]
EVERY = pytest.mark.parametrize("name", ALL)
SEEDS = st.integers(0, 2**32 - 1)


def without_decay(opt: nn.Optimizer) -> nn.Optimizer:
    """The same optimizer, and all within it, with no weight decay."""
    if "weight_decay" in hypers(type(opt)):
        opt = replace(opt, weight_decay=0)
    if isinstance(opt, nn.DecoupledDecay):
        opt = replace(opt, decay=0)
    return replace(opt, base=without_decay(opt.base)) if hasattr(opt, "base") else opt


def weights(seed: int, shape: tuple[int, ...], dtype: str = "float64") -> np.ndarray:
    """Of both signs, none near 0."""
    rng = np.random.default_rng([1, seed])
    size, sign = rng.uniform(0.5, 2, shape), rng.choice([-1, 1], shape)
    return np.asarray(size * sign, dtype)


def gradients(seed: int, shape: tuple[int, ...], many: int, dtype: str = "float64") -> list[Any]:
    """Unrelated to each other and of uneven size, none 0."""
    rng = np.random.default_rng([2, seed])
    drawn = []
    for _ in range(many):
        size, sign = 10 ** rng.uniform(-2, 1, shape), rng.choice([-1, 1], shape)
        drawn.append(np.asarray(size * sign, dtype))
    return drawn


def give(opt: nn.Optimizer, w, dw, state, t: int, order: Sequence[Any] = ()) -> None:
    """Put what the optimizer needs into the state; `order` is that of the weights, by axis."""
    supply(opt, w, dw, state, t)
    if "hessian" in state:
        state["hessian"] = 1 + np.diag(1.0 + np.arange(w.size))
    if order and "hessian" in state:
        state["hessian"] = state["hessian"][np.ix_(order[0], order[0])]
    if order and "moments" in state:
        pairs = zip(state["moments"], order, strict=True)
        state["moments"] = tuple(moment[np.ix_(axis, axis)] for moment, axis in pairs)


def walk(opt, w, dws, state=None, *, first: int = 0, order: Sequence[Any] = ()) -> nn.State:
    """An update for each gradient; w is moved, and the state comes back."""
    state = {} if state is None else state
    for t, dw in enumerate(dws, first):
        dw = np.asarray(dw)
        dw.flags.writeable = False
        give(opt, w, dw, state, t, order)
        assert opt.update(w, dw, state) is w
    return state


def arrays_in(state: dict[str, Any]) -> dict[str, np.ndarray]:
    return {key: value for key, value in flat(state).items() if isinstance(value, np.ndarray)}


def flat(state: dict[str, Any], head: str = "") -> dict[str, Any]:
    """A state with dicts in it as one dict, whose names are paths such as base/m."""
    found = {}
    for key, value in state.items():
        found |= flat(value, f"{head}{key}/") if isinstance(value, dict) else {head + key: value}
    return found


def nested(paths: dict[str, Any]) -> dict[str, Any]:
    """The state that `flat` made into one dict."""
    state: dict[str, Any] = {}
    for path, value in paths.items():
        *heads, key = path.split("/")
        inner = state
        for head in heads:
            inner = inner.setdefault(head, {})
        inner[key] = value
    return state


def same(a: Any, b: Any) -> bool:
    """Whether two arrays have the same bits, nan included."""
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def shapes(opt: nn.Optimizer) -> st.SearchStrategy[tuple[int, ...]]:
    """Of all arrays that the scope allows: matrices for a layer, anything for the others."""
    if opt.scope == "layer":
        return hnp.array_shapes(min_dims=2, max_dims=2, max_side=4)
    return hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)


# --- no gradient, no motion --------------------------------------------------------------------


@EVERY
@PROFILE
@given(data=st.data(), seed=SEEDS, dtype=st.sampled_from(["float32", "float64"]))
def test_without_a_gradient_nothing_moves(name: str, data, seed: int, dtype: str) -> None:
    opt = without_decay(ALL[name])
    w = weights(seed, data.draw(shapes(opt)), dtype)
    before, state = w.copy(), {}
    for t in range(7):  # longer than lookahead's k
        walk(opt, w, [np.zeros_like(w)], state, first=t)
        few_bits = 20 * np.finfo(dtype).eps  # 0.1 w + 0.9 w is w but for rounding
        np.testing.assert_allclose(w, before, rtol=few_bits)
        np.testing.assert_allclose(opt.readout(w, state), before, rtol=few_bits)


# --- no weight is special ----------------------------------------------------------------------


def any_weights_and_gradients(dtype: str) -> st.SearchStrategy[tuple[Any, Any, Any]]:
    """Weights, gradients of four updates, and an order; with zeros and tiny numbers among them."""
    width = 8 * np.dtype(dtype).itemsize
    numbers = st.floats(-1024, 1024, width=width)
    return st.integers(1, 6).flatmap(
        lambda n: st.tuples(
            hnp.arrays(dtype, n, elements=numbers),
            hnp.arrays(dtype, (4, n), elements=numbers),
            st.permutations(range(n)),
        )
    )


@pytest.mark.parametrize("name", PLAIN)
@PROFILE
@given(drawn=st.sampled_from(["float32", "float64"]).flatmap(any_weights_and_gradients))
def test_weights_in_another_order_take_the_same_steps_to_the_bit(name: str, drawn) -> None:
    w, dws, order = drawn
    opt, other = SINGLE[name], w[order]
    state = walk(opt, w, list(dws))
    other_state = walk(opt, other, [dw[order] for dw in dws])
    assert same(w[order], other)
    for key, array in arrays_in(state).items():
        assert same(array[order], other_state[key]), key


@pytest.mark.parametrize("name", [name for name in ALL if name not in PLAIN])
@PROFILE
@given(data=st.data(), seed=SEEDS)
def test_rows_and_columns_in_another_order_take_the_same_steps(name: str, data, seed: int) -> None:
    """Up to rounding, since sums run in another order."""
    opt = ALL[name]
    shape = (6,) if opt.scope == "model" else data.draw(st.sampled_from([(4, 3), (3, 4), (3, 3)]))
    order = [data.draw(st.permutations(range(n))) for n in shape]
    w, dws = weights(seed, shape), gradients(seed, shape, 7)
    there = np.ix_(*order)
    other = w[there].copy()
    walk(opt, other, [dw[there] for dw in dws], order=order)
    walk(opt, w, dws)
    np.testing.assert_allclose(other, w[there], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [name for name, opt in ALL.items() if opt.scope == "element"])
@PROFILE
@given(seed=SEEDS, cut=st.integers(0, 7), dtype=st.sampled_from(["float32", "float64"]))
def test_an_array_cut_in_two_takes_the_same_steps_to_the_bit(
    name: str, seed: int, cut: int, dtype: str
) -> None:
    """Those that want the norm get that of the whole gradient."""
    opt = ALL[name]
    whole, dws = weights(seed, (7,), dtype), gradients(seed, (7,), 7, dtype)
    ends, states, state = np.split(whole.copy(), [cut]), ({}, {}), {}
    for t, dw in enumerate(dws):
        walk(opt, whole, [dw], state, first=t)
        for end, dw_end, end_state in zip(ends, np.split(dw, [cut]), states, strict=True):
            give(opt, whole, dw, end_state, t)
            opt.update(end, dw_end, end_state)
    assert same(np.concatenate(ends), whole)
    ends_read = [opt.readout(*pair) for pair in zip(ends, states, strict=True)]
    assert same(np.concatenate(ends_read), opt.readout(whole, state))


# --- the scale of the loss ---------------------------------------------------------------------

ADAM = nn.OPTIMIZERS["adam"](eps=0)
BLIND_TO_SCALE = {  # by their docstrings, where no eps and no decay is in the way
    name: nn.OPTIMIZERS[name](eps=0)
    for name in ("adagrad", "rmsprop", "adam", "adam_uncorrected", "amsgrad", "adamax", "nadam")
} | {
    "signsgd": nn.OPTIMIZERS["signsgd"](),
    "rprop": nn.OPTIMIZERS["rprop"](),
    "lion": nn.OPTIMIZERS["lion"](),
    "adamw": nn.OPTIMIZERS["adamw"](eps=0),
    "lion with decay": nn.OPTIMIZERS["lion"](weight_decay=0.1),
    "adabelief": nn.OPTIMIZERS["adabelief"](eps=0),
    "yogi": nn.OPTIMIZERS["yogi"](eps=0, initial=0),
    "adan": nn.OPTIMIZERS["adan"](eps=0, weight_decay=0.1),
    "adafactor": nn.OPTIMIZERS["adafactor"](eps1=1e-300),
    "lars": nn.OPTIMIZERS["lars"](weight_decay=0),
    "lamb": nn.OPTIMIZERS["lamb"](eps=0),
    "schedule_free_adamw": nn.OPTIMIZERS["schedule_free_adamw"](eps=0, weight_decay=0.1),
    "prodigy": nn.OPTIMIZERS["prodigy"](eps=0, d0=1e-2),
    "lookahead": nn.OPTIMIZERS["lookahead"](ADAM),
    "weight_ema": nn.WeightEMA(ADAM),
    "decoupled_decay": nn.DecoupledDecay(ADAM),
    "sam": nn.OPTIMIZERS["sam"](ADAM),
    "clip_norm of what is too long": nn.ClipNorm(nn.OPTIMIZERS["momentum"](), max_norm=1e-9),
}
IN_PROPORTION = [
    *("sgd", "momentum", "heavy_ball", "nesterov", "nesterov_lookahead", "qhm"),
    *("schedule_free_sgd", "kfac", "newton"),
]
POWERS = st.integers(-12, 12).map(lambda k: 2.0**k)


@pytest.mark.parametrize("name", BLIND_TO_SCALE)
@PROFILE
@given(seed=SEEDS, c=POWERS, shape=st.sampled_from([(5,), (3, 4), ()]))
def test_a_multiple_of_all_gradients_takes_the_same_steps(name, seed, c, shape) -> None:
    """To the bit, since a power of two only changes exponents."""
    opt = BLIND_TO_SCALE[name]
    w, dws = weights(seed, shape), gradients(seed, shape, 7)
    other = w.copy()
    state, other_state = walk(opt, w, dws), walk(opt, other, [c * dw for dw in dws])
    assert same(w, other)
    assert same(opt.readout(w, state), opt.readout(other, other_state))


@pytest.mark.parametrize("name", ["muon", "shampoo", "soap"])
@PROFILE
@given(seed=SEEDS, k=st.integers(0, 12), shape=st.sampled_from([(3, 4), (3, 3), (5,)]))
def test_a_multiple_of_all_gradients_hardly_changes_matrix_steps(name, seed, k, shape) -> None:
    """Muon adds 1e-7 to a norm; the eps of Shampoo is in units of the squared gradient."""
    c = 2.0**k
    numbers: dict[str, Any] = {"muon": {"eps": 0}, "soap": {"eps": 0}, "shampoo": {"eps": 1e-2}}
    opt = other_opt = nn.OPTIMIZERS[name](**numbers[name])
    if name == "shampoo":
        other_opt = replace(opt, eps=c**2 * 1e-2)
    w, dws = weights(seed, shape), gradients(seed, shape, 5)
    before, other = w.copy(), w.copy()
    walk(opt, w, dws)
    walk(other_opt, other, [c * dw for dw in dws])
    np.testing.assert_allclose(other - before, w - before, rtol=1e-4, atol=1e-6)


@PROFILE
@given(seed=SEEDS, c=POWERS)
def test_radam_stops_seeing_the_scale_after_its_first_four_steps(seed: int, c: float) -> None:
    opt, dws = nn.OPTIMIZERS["radam"](eps=0), gradients(seed, (5,), 9)
    steps = []
    for scale in (1.0, c):
        w, state, way = np.zeros(5), {}, [np.zeros(5)]
        for t, dw in enumerate(dws):
            walk(opt, w, [scale * dw], state, first=t)
            way.append(w.copy())
        steps.append(np.diff(way, axis=0))
    np.testing.assert_allclose(steps[1][:4], c * steps[0][:4], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(steps[1][4:], steps[0][4:], rtol=1e-9, atol=1e-13)


@PROFILE
@given(seed=SEEDS, c=POWERS, tolerance=st.sampled_from([0.0, 0.1, 10.0]))
def test_swats_finds_a_rate_in_the_unit_that_the_loss_demands(seed, c, tolerance) -> None:
    """Its tolerance is a distance of rates, so it has that unit too."""
    w, dws = weights(seed, (5,)), gradients(seed, (5,), 9)
    other = w.copy()
    state = walk(nn.OPTIMIZERS["swats"](eps=0, tolerance=tolerance), w, dws)
    opt = nn.OPTIMIZERS["swats"](eps=0, tolerance=tolerance / c)
    other_state = walk(opt, other, [c * dw for dw in dws])
    assert same(w, other)
    assert state["switched_at"] == other_state["switched_at"]
    assert state["Lambda"] == c * other_state["Lambda"]


@PROFILE
@given(seed=SEEDS, k=st.integers(0, 12))
def test_lbfgs_goes_the_same_way_on_a_multiple_of_the_loss(seed: int, k: int) -> None:
    """Its first step has length 1 where the gradient is longer than that."""
    curvature = np.array([1.0, 3.0, 10.0, 30.0])
    ends = []
    for c in (1.0, 2.0**k):
        w, opt, state = weights(seed, (4,)), nn.OPTIMIZERS["lbfgs"](), {}
        for _ in range(12):
            state["loss"] = c * float(curvature @ w**2)
            dw = 2 * c * curvature * w
            dw.flags.writeable = False
            opt.update(w, dw, state)
        ends.append(w)
    assert same(*ends)
    assert abs(ends[0]).max() < 0.5


@pytest.mark.parametrize("name", IN_PROPORTION)
@PROFILE
@given(seed=SEEDS, c=POWERS)
def test_steps_are_in_proportion_to_the_gradients(name: str, seed: int, c: float) -> None:
    """From w = 0, where nothing is rounded to fit w."""
    opt, shape = SINGLE[name], (3, 4)
    w, other, dws = np.zeros(shape), np.zeros(shape), gradients(seed, shape, 5)
    state, other_state = walk(opt, w, dws), walk(opt, other, [c * dw for dw in dws])
    np.testing.assert_allclose(other, c * w, rtol=1e-12, atol=0)
    np.testing.assert_allclose(
        opt.readout(other, other_state), c * opt.readout(w, state), rtol=1e-12, atol=0
    )


@PROFILE
@given(seed=SEEDS, c=POWERS, radius=st.floats(0.01, 1), clipped=st.booleans())
def test_sam_goes_as_far_whatever_the_size_of_the_gradient(seed, c, radius, clipped) -> None:
    opt = nn.OPTIMIZERS["sam"](nn.OPTIMIZERS["sgd"](), radius=radius)
    opt = nn.ClipNorm(opt, max_norm=1e-9) if clipped else opt
    w, (dw,) = weights(seed, (5,)), gradients(seed, (5,), 1)
    before, other = w.copy(), w.copy()
    walk(opt, w, [dw])
    walk(opt, other, [c * dw])
    assert same(w, other)
    assert np.linalg.norm(w - before) == pytest.approx(radius)


# --- dtypes and shapes -------------------------------------------------------------------------


@EVERY
@PROFILE
@given(seed=SEEDS, shape=st.sampled_from([(3, 4), (4, 3), (3, 3)]))
def test_single_precision_stays_and_goes_nearly_where_double_goes(name, seed, shape) -> None:
    opt = ALL[name]
    w, dws = weights(seed, shape, "float32"), gradients(seed, shape, 7, "float32")
    double = w.astype("float64")
    state, double_state = walk(opt, w, dws), walk(opt, double, [dw.astype("float64") for dw in dws])
    for precise, rough in ((double_state, state), ({"w": double}, {"w": w})):
        assert {array.dtype.name for array in arrays_in(precise).values()} <= {"float64"}
        assert {array.dtype.name for array in arrays_in(rough).values()} <= {"float32"}
    readout = opt.readout(w, state)
    assert readout.dtype == "float32"
    np.testing.assert_allclose(w, double, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(readout, opt.readout(double, double_state), rtol=1e-3, atol=1e-4)


@EVERY
@PROFILE
@given(data=st.data(), seed=SEEDS, dtype=st.sampled_from(["float32", "float64"]))
def test_arrays_of_any_shape_are_moved_and_keep_it(name: str, data, seed: int, dtype: str) -> None:
    opt = ALL[name]
    shape = data.draw(shapes(opt))
    w, dws = weights(seed, shape, dtype), gradients(seed, shape, 3, dtype)
    before = w.copy()  # where no three steps of one length and any signs lead back to
    readout = opt.readout(w, walk(opt, w, dws))
    assert w.shape == readout.shape == shape
    assert w.dtype == readout.dtype == dtype
    assert np.isfinite(w).all()
    assert np.isfinite(readout).all()
    assert (w != before).any()


@pytest.mark.parametrize(
    "name",
    [name for name, opt in ALL.items() if opt.scope != "layer"],  # a layer has inputs and outputs
)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
def test_an_array_without_elements_stays_as_it_is(name: str, shape: tuple[int, ...]) -> None:
    opt, w = ALL[name], np.zeros(shape)
    state = walk(opt, w, gradients(0, shape, 7))
    assert opt.readout(w, state).shape == w.shape == shape


LIKE_A_VECTOR = [
    *(name for name, opt in ALL.items() if opt.scope in ("element", "model")),
    *("lars", "lamb", "sam-clip_norm-lamb"),
]


@pytest.mark.parametrize("name", LIKE_A_VECTOR)
@PROFILE
@given(data=st.data(), seed=SEEDS)
def test_the_shape_does_not_matter_to_methods_that_see_no_matrices(name, data, seed) -> None:
    opt = ALL[name]
    shape = data.draw(shapes(opt))
    w, dws = weights(seed, shape), gradients(seed, shape, 7)
    vector = w.reshape(-1).copy()
    state, vector_state = walk(opt, w, dws), walk(opt, vector, [dw.reshape(-1) for dw in dws])
    if name in PLAIN:
        assert same(w.reshape(-1), vector)
    np.testing.assert_allclose(w.reshape(-1), vector, rtol=1e-9)
    readout = opt.readout(w, state).reshape(-1)
    np.testing.assert_allclose(readout, opt.readout(vector, vector_state), rtol=1e-9)


# --- how the arrays lie in memory --------------------------------------------------------------


def every_other(a: np.ndarray) -> np.ndarray:
    buffer = np.full((2 * a.shape[0], 3 * a.shape[1]), 7, a.dtype)
    buffer[::2, ::3] = a
    return buffer[::2, ::3]


def backwards(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1]


LAYOUTS = {
    "row by row": np.copy,
    "column by column": lambda a: a.copy(order="F"),
    "transposed": lambda a: a.T.copy().T,
    "every other": every_other,
    "backwards": backwards,
    "a column of a larger matrix": lambda a: np.stack([a, a], axis=-1)[..., 1],
}


@pytest.mark.slow
@EVERY
@settings(PROFILE, max_examples=25)
@given(
    seed=SEEDS,
    shape=st.sampled_from([(3, 4), (4, 3), (3, 3)]),
    w_layout=st.sampled_from(list(LAYOUTS)),
    dw_layout=st.sampled_from(list(LAYOUTS)),
)
def test_how_an_array_lies_in_memory_does_not_matter(
    name: str, seed: int, shape, w_layout: str, dw_layout: str
) -> None:
    """Each is written in place, and the memory between its elements is not."""
    opt, begin, dws = ALL[name], weights(seed, shape), gradients(seed, shape, 7)
    w, other = begin.copy(), LAYOUTS[w_layout](begin)
    between = None
    if w_layout == "every other":
        between = np.ones(other.base.shape, bool)
        between[::2, ::3] = False
    state = walk(opt, w, dws)
    other_state = walk(opt, other, [LAYOUTS[dw_layout](dw) for dw in dws])
    if name in PLAIN:
        assert same(other, w)
    np.testing.assert_allclose(other, w, rtol=1e-9, atol=1e-10)
    readout = opt.readout(other, other_state)
    np.testing.assert_allclose(readout, opt.readout(w, state), rtol=1e-9, atol=1e-10)
    assert between is None or (other.base[between] == 7).all()


# --- a state saved and read again --------------------------------------------------------------


def through_a_copy(state: nn.State) -> nn.State:
    return copy.deepcopy(state)


def through_a_file(state: nn.State) -> nn.State:
    """np.savez and np.load, without pickle; numbers and words come back as such."""
    file = io.BytesIO()
    np.savez(file, **flat(state))
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        return nested({path: a if a.ndim else a.item() for path, a in loaded.items()})


def anew(opt: nn.Optimizer) -> nn.Optimizer:
    """A record with the same fields, and nothing else."""
    return replace(opt, base=anew(opt.base)) if hasattr(opt, "base") else replace(opt)


@EVERY
@pytest.mark.parametrize("saved", [through_a_copy, through_a_file])
@PROFILE
@given(
    seed=SEEDS,
    shape=st.sampled_from([(3, 4), (4, 3), (3, 3)]),
    cut=st.integers(0, 8),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_a_run_goes_on_from_a_saved_state_to_the_bit(name, saved, seed, shape, cut, dtype) -> None:
    """In arrays of its own, with a record of its own, while the first run goes on too."""
    opt, dws = ALL[name], gradients(seed, shape, 8, dtype)
    w = weights(seed, shape, dtype)
    state = walk(opt, w, dws[:cut])
    resumed, resumed_state, resumed_opt = w.copy(), saved(state), anew(opt)
    walk(opt, w, dws[cut:], state, first=cut)
    walk(resumed_opt, resumed, dws[cut:], resumed_state, first=cut)
    assert same(resumed, w)
    assert same(resumed_opt.readout(resumed, resumed_state), opt.readout(w, state))
    assert resumed_opt.same_batch(resumed_state) == opt.same_batch(state)
    expected, found = flat(state), flat(resumed_state)
    assert found.keys() == expected.keys()
    assert all(same(found[path], expected[path]) for path in expected)


# --- wrappers around wrappers ------------------------------------------------------------------

PAIRS = pytest.mark.parametrize(("outer", "inner"), list(itertools.product(WRAPPERS, repeat=2)))
BASES = st.sampled_from(list(SINGLE))


@PAIRS
@PROFILE
@given(base=BASES, seed=SEEDS, lr=st.floats(1e-6, 1e-2))
def test_two_wrappers_in_any_order_run_with_any_optimizer(outer, inner, base, seed, lr) -> None:
    opt = stacked(outer, inner, base)
    innermost = stacked(base)
    own = WRAPPERS[outer].own_needs | WRAPPERS[inner].own_needs
    assert opt.scope == innermost.scope
    assert opt.needs == innermost.needs | own
    assert opt.lr == innermost.lr
    other = opt.with_lr(lr)
    assert other.base.base == innermost.with_lr(lr)
    assert other.lr == lr
    assert other.with_lr(opt.lr) == opt
    w, dws = weights(seed, (3, 4)), gradients(seed, (3, 4), 9)
    before, state = w.copy(), opt.init(w)
    walk(opt, w, dws[:5], state)
    walk(other, w, dws[5:], state, first=5)
    assert np.isfinite(w).all()
    assert np.isfinite(opt.readout(w, state)).all()
    assert (w != before).any()


@pytest.mark.parametrize("base", [name for name in SINGLE if name != "lbfgs"])  # never ends a step
@PROFILE
@given(seed=SEEDS, decay=st.floats(0, 0.5))
def test_decay_moves_the_point_to_save_as_it_moves_the_weights(base, seed, decay) -> None:
    opt = nn.DecoupledDecay(without_decay(stacked(base)), decay=decay)
    w = weights(seed, (3, 4))
    before, state = w.copy(), {}
    for t in range(1, 5):
        walk(opt, w, [np.zeros_like(w)], state, first=t)
        expected = (1 - opt.lr * decay) ** t * before
        np.testing.assert_allclose(w, expected, rtol=1e-12)
        np.testing.assert_allclose(opt.readout(w, state), expected, rtol=1e-12)


NEUTRAL = {
    "clip_norm": lambda base: nn.ClipNorm(base, max_norm=1e9),
    "decoupled_decay": lambda base: nn.DecoupledDecay(base, decay=0),
    "weight_ema": lambda base: nn.WeightEMA(base, decay=0),
    "lookahead": lambda base: nn.OPTIMIZERS["lookahead"](base, k=10**9),
    "sam": lambda base: nn.OPTIMIZERS["sam"](base, radius=1e-200),
}


def way(opt: nn.Optimizer, w: np.ndarray, dws: list[np.ndarray]) -> tuple[list[Any], list[Any]]:
    """w and readout after each full step, which takes the same gradient as often as it asks."""
    state, points, readouts = {}, [], []
    for t, dw in enumerate(dws):
        dw.flags.writeable = False
        give(opt, w, dw, state, t)
        opt.update(w, dw, state)
        while opt.same_batch(state):
            give(opt, w, dw, state, t)
            opt.update(w, dw, state)
        points.append(w.copy())
        readouts.append(opt.readout(w, state).copy())
    return points, readouts


@pytest.mark.parametrize("strong", [*WRAPPERS, None])
@pytest.mark.parametrize("neutral", NEUTRAL)
@PROFILE
@given(base=BASES, seed=SEEDS, outside=st.booleans())
def test_a_wrapper_without_effect_changes_nothing_inside_or_outside_of_another(
    neutral: str, strong: str | None, base: str, seed: int, outside: bool
) -> None:
    alone, nothing = stacked(*([strong] if strong else []), base), NEUTRAL[neutral]
    around = outside or not strong
    both = nothing(alone) if around else replace(alone, base=nothing(alone.base))
    w, dws = weights(seed, (3, 4)), gradients(seed, (3, 4), 5)
    (points, readouts), (expected, expected_readouts) = (
        way(opt, w.copy(), dws) for opt in (both, alone)
    )
    assert same(points, expected)
    if neutral != "lookahead":  # whose readout is where it began
        assert same(readouts, expected_readouts)
