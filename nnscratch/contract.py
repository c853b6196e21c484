"""The contract of an optimizer, as tests that yield a sentence for whatever is wrong.

Each drives the optimizer on a small problem, and says what was expected, what was seen, and the
usual cause.
"""

import dataclasses
import itertools
import numbers
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Array
from .errors import NnscratchError
from .optim import NEEDS, OPTIMIZERS, WRAPPERS, Optimizer, State
from .optim.base import copied, leaves
from .trial import SHAPES, Run, begin

LIMITS: dict[str, Callable[[Any], float]] = {
    # the lr at which descent on a parabola of curvature 1 ceases to converge
    "sgd": lambda opt: 2.0,
    "momentum": lambda opt: 2 * (1 + opt.momentum),
    "heavy_ball": lambda opt: 2 * (1 + opt.momentum),
    "nesterov": lambda opt: 2 * (1 + opt.momentum) / (1 + 2 * opt.momentum),
    "nesterov_lookahead": lambda opt: 2 * (1 + opt.momentum) / (1 + 2 * opt.momentum),
}
SAME_BATCH_LIMIT = 2000  # updates on one batch; any line search ends before
LONG_RUN = 250  # updates, so that a count that starts anew each epoch shows
LATE = 200

Test = Callable[[Callable[[], Optimizer]], Iterator[str]]
TESTS: list[Test] = []
OF_DEFAULTS: list[Test] = []  # with any other hyper-parameters it may be right to fail these


def examination(test: Test) -> Test:
    TESTS.append(test)
    return test


def examination_of_defaults(test: Test) -> Test:
    OF_DEFAULTS.append(test)
    return test


CAUSES: dict[type[Exception], str] = {
    KeyError: "an entry that is read before state has it: state.get(name, 0), or write init",
    dataclasses.FrozenInstanceError: "memory on self; it belongs into state",
    NameError: "a name that is misspelt, or not imported",
    AttributeError: "a name that is misspelt, or memory on self; it belongs into state",
    TypeError: "another signature than update(self, w, dw, state)",
    ValueError: "a shape taken for granted, or memory that several arrays share",
}


def gist(error: Exception) -> str:
    """What was raised, and where in the file of the optimizer."""
    if isinstance(error, NnscratchError):
        return str(error)
    *_, last = traceback.extract_tb(error.__traceback__)
    message = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {message} ({Path(last.filename).name}, line {last.lineno})"


def _cause_of(error: Exception) -> str:
    causes = [cause for kind, cause in CAUSES.items() if isinstance(error, kind)]
    return f"; usual cause: {causes[0]}" if causes else ""


@examination
def it_can_be_called_at_all(make: Callable[[], Optimizer]) -> Iterator[str]:
    optimizer = make()
    if optimizer.scope not in SHAPES:
        known = ", ".join(SHAPES)
        yield f"scope is {optimizer.scope!r}; expected one of {known}; usual cause: a misprint"
        return
    if "moments" in optimizer.needs and optimizer.scope != "layer":
        yield (
            f"it needs moments, and its scope is {optimizer.scope!r}; expected scope = 'layer'; "
            "usual cause: no scope in the class body, which means 'tensor'"
        )
        return
    for need in sorted(set(optimizer.needs) - set(NEEDS)):
        yield (
            f"it needs {need!r}, which nobody can give; expected some of {', '.join(NEEDS)}; "
            "usual cause: a slip in typing"
        )
        return
    for dtype, shape in itertools.product(("float64", "float32"), SHAPES[optimizer.scope]):
        run = begin(optimizer, shape, dtype)
        try:
            run.updates(3)
        except Exception as error:  # the optimizer's own
            yield (
                f"it raised {gist(error)}, for w {dtype}{list(shape)}; expected a step"
                f"{_cause_of(error)}"
            )
            return
        if not np.isfinite(run.w).all():
            yield (
                f"w is no longer finite after 3 updates of {dtype}{list(shape)}; expected numbers; "
                "usual cause: a division by zero, such as by 1 - beta^t at t = 0, or by a slot "
                "that is still zero"
            )
            return


@examination
def w_itself_moves_and_is_returned(make: Callable[[], Optimizer]) -> Iterator[str]:
    run = begin(make())
    before = run.w.copy()
    for step in range(1, 4):
        returned = run.update()
        if returned is not run.w:
            yield (
                f"update returned {_described(returned)} in update {step}; expected the w that it "
                "was given; usual cause: w = w - ... makes a new array; write w -= ... or w[...] = "
            )
            return
    if (run.w == before).all():
        yield "w did not move in 3 updates; expected a step; usual cause: w = w - ..., not w -= ..."


@examination
def dw_is_only_read(make: Callable[[], Optimizer]) -> Iterator[str]:
    run = begin(make())
    for step in range(1, 4):
        dw = run.gradient()
        before = dw.copy()
        run.update(dw)
        if (dw != before).any():
            yield (
                f"dw was changed in update {step}; expected it as it was given; usual cause: an "
                "operation in place, such as dw += weight_decay * w or dw *= ..."
            )
            return


@examination
def a_weight_without_gradient_stays_a_number(make: Callable[[], Optimizer]) -> Iterator[str]:
    run = begin(make())
    for step in range(1, 6):
        dw = run.gradient()
        dw.reshape(-1)[0] = 0  # as of a pixel at the border
        run.update(dw)
        if not np.isfinite(run.w).all():
            yield (
                f"w is not finite after {step} updates in which one weight had the gradient 0; "
                "expected numbers; usual cause: 0 / 0, where eps is missing"
            )
            return


@examination
def a_scope_of_elements_is_true(make: Callable[[], Optimizer]) -> Iterator[str]:
    optimizer = make()
    if optimizer.scope != "element" or optimizer.needs:
        return
    whole = begin(optimizer)
    parts: list[tuple[Array, State]] = [(whole.w[:3].copy(), {}), (whole.w[3:].copy(), {})]
    for _ in range(4):
        dw = whole.gradient()
        for (w, state), part in zip(parts, (dw[:3].copy(), dw[3:].copy()), strict=True):
            optimizer.update(w, part, state)
        whole.update(dw)
    if not np.allclose(np.concatenate([w for w, _ in parts]), whole.w, rtol=1e-12, atol=0):
        yield (
            "an array cut in two took other steps than in one piece; expected the same, as scope "
            "is 'element'; usual cause: a norm or a mean, which wants scope 'tensor' or 'model'"
        )


@examination
def dtype_and_shape_stay(make: Callable[[], Optimizer]) -> Iterator[str]:
    for dtype in ("float32", "float64"):
        run = begin(make(), dtype=dtype).updates(3)
        for key, array in _arrays(run.state):
            if array.dtype != dtype and array.dtype.kind == "f":
                yield (
                    f"state[{key!r}] is {array.dtype} for weights in {dtype}; expected {dtype}; "
                    "usual cause: np.zeros(w.shape) for np.zeros_like(w), or a NumPy float64 number"
                )
                return
        point = run.readout()
        if point.dtype != dtype or point.shape != run.w.shape:
            yield (
                f"readout is {_described(point)}; expected {_described(run.w)}; usual cause: a "
                "number or another array of the state in the place of the point"
            )


@examination
def readout_changes_nothing(make: Callable[[], Optimizer]) -> Iterator[str]:
    optimizer = make()
    if _bits(optimizer.readout(np.ones(3), {})) != _bits(np.ones(3)):
        yield (
            "readout of an empty state is not w; expected w, since nothing has happened yet; usual "
            "cause: state[name] for state.get(name, w)"
        )
    run, twin = begin(make()), begin(make())
    for _ in range(4):
        run.update()
        run.readout()
        twin.update()
    if _bits(run.w) != _bits(twin.w):
        yield (
            "reading the point to evaluate changed the steps after it; expected the same steps; "
            "usual cause: a readout that writes, or memory outside of the state"
        )


@examination
def arrays_in_the_state_are_never_replaced(make: Callable[[], Optimizer]) -> Iterator[str]:
    run = begin(make())
    state = run.state
    run.update()
    before = dict(_arrays(state))
    run.updates(4)
    after = dict(_arrays(state))
    for key, array in before.items():
        if after.get(key) is not array:
            yield (
                f"state[{key!r}] is another array after the next update; expected the same one, "
                f"written in place; usual cause: state[{key!r}] = new, where state[{key!r}][...] = "
                "new is meant"
            )
            return
    if after.keys() - before.keys():
        late = sorted(after.keys() - before.keys())
        yield (
            f"state got {', '.join(late)} after the first update; expected all arrays by then; "
            "usual cause: an array that is made when it is first wanted"
        )
    if odd := [key for key in state if not isinstance(key, str)]:
        yield (
            f"state[{odd[0]!r}] has no name; expected strings as keys, which a file can hold; "
            "usual cause: the number of a layer as key"
        )
    for key, value in leaves(state):
        if not isinstance(value, np.ndarray | numbers.Number | np.bool_ | str):
            yield (
                f"state[{key!r}] is {type(value).__name__}; expected an array, a number or a "
                "string, which a file without pickle can hold; usual cause: a list, or None for "
                "'not yet'"
            )


@examination
def every_array_has_a_memory_of_its_own(make: Callable[[], Optimizer]) -> Iterator[str]:
    optimizer = make()
    a, b = begin(optimizer), begin(optimizer)
    dws = [a.gradient(), b.gradient()]
    a.update(dws[0])
    b.update(dws[1])
    for key, array in _arrays(a.state):
        for what, other in [("w", a.w), ("dw", dws[0])]:
            if np.shares_memory(array, other):
                yield (
                    f"state[{key!r}] is the memory of {what} itself; expected a copy; usual cause: "
                    f"state[{key!r}] = {what}, where {what}.copy() is meant"
                )
        for other_key, other in _arrays(b.state):
            if np.shares_memory(array, other):
                yield (
                    f"state[{key!r}] of one array and state[{other_key!r}] of another are one "
                    "memory; expected two; usual cause: an array made once, in the class body"
                )
    own = list(_arrays(a.state))
    for (key, array), (other_key, other) in itertools.combinations(own, 2):
        if np.shares_memory(array, other):
            yield (
                f"state[{key!r}] and state[{other_key!r}] are one memory; expected two arrays; "
                "usual cause: a = b = np.zeros_like(w)"
            )


@examination
def nothing_is_remembered_outside_the_state(make: Callable[[], Optimizer]) -> Iterator[str]:
    optimizer = make()
    alone = begin(optimizer).updates(6)
    run, other = begin(optimizer), begin(optimizer)
    other.w += 1
    for _ in range(6):
        run.update()
        other.update()
    cause = "memory on self, on the class or in a global, which all arrays of a network share"
    if _bits(alone.w) != _bits(run.w):
        yield (
            "the steps of one array changed when another array was updated in between; expected "
            f"the same bits; usual cause: {cause}"
        )


@examination
def the_same_gradients_give_the_same_steps(make: Callable[[], Optimizer]) -> Iterator[str]:
    a, b = begin(make()).updates(6), begin(make()).updates(6)
    if _bits(a.w) != _bits(b.w):
        yield (
            "two runs with the same gradients ended at different weights; expected the same bits; "
            "usual cause: np.random, or memory outside of the state that the first run filled"
        )


@examination
def a_saved_state_goes_on_as_if_nothing_had_happened(
    make: Callable[[], Optimizer],
) -> Iterator[str]:
    for steps in (1, 4):
        run = begin(make(), uneven="loss" not in make().needs).updates(steps)
        restored = Run(make(), run.w.copy(), copied(run.state), run.uneven)
        restored.steps = run.steps
        run.updates(4)
        restored.updates(4)
        if _bits(run.w) != _bits(restored.w):
            yield (
                f"saved after {steps} updates and restored, it took other steps than without; "
                "expected the same bits; usual cause: memory that is not in the state"
            )
            return


@examination
def an_empty_state_is_the_state_of_init(make: Callable[[], Optimizer]) -> Iterator[str]:
    lazy, eager = begin(make()), begin(make())
    before = eager.w.copy()
    eager.state = eager.optimizer.init(eager.w)
    if _bits(before) != _bits(eager.w):
        yield "init changed w; expected it as it was; usual cause: an operation in place in init"
    lazy.updates(4)
    eager.updates(4)
    if _bits(lazy.w) != _bits(eager.w) or lazy.state.keys() != eager.state.keys():
        yield (
            "a run from {} and one from init(w) differ; expected the same steps and entries; usual "
            "cause: a start value that update and init set differently"
        )


@examination_of_defaults
def t_counts_every_update(make: Callable[[], Optimizer]) -> Iterator[str]:
    run = begin(make())
    for expected in range(1, LONG_RUN + 1):
        run.update()
        t = run.state.get("t", expected)
        if t != expected:
            yield (
                f"state['t'] is {t} after {expected} updates; expected {expected}; usual cause: "
                "counting epochs, starting anew in each epoch, or forgetting to count"
            )
            return


@examination
def a_gradient_that_is_no_number_is_not_hidden(make: Callable[[], Optimizer]) -> Iterator[str]:
    run = begin(make()).updates(2)
    dw = run.gradient()
    dw.reshape(-1)[0] = np.nan
    try:
        run.update(dw)
        bad = not (np.isfinite(run.w).all() and np.isfinite(run.readout()).all())
        run.update()
    except ArithmeticError:
        return
    bad = bad or not (np.isfinite(run.w).all() and np.isfinite(run.readout()).all())
    if not bad:
        yield (
            "nan in dw left w finite; expected nan in w, or an ArithmeticError, so that the user "
            "learns of it; usual cause: np.nan_to_num, or a comparison that nan fails"
        )


@examination_of_defaults
def it_asks_for_one_batch_only_so_often(make: Callable[[], Optimizer]) -> Iterator[str]:
    run = begin(make())
    for _ in range(SAME_BATCH_LIMIT):
        run.update()
        if not run.optimizer.same_batch(run.state):
            return
    yield (
        f"same_batch was still true after {SAME_BATCH_LIMIT} updates; expected it to end, since no "
        "other batch comes before; usual cause: a flag in the state that nothing takes back"
    )


@examination_of_defaults
def another_rate_makes_another_step(make: Callable[[], Optimizer]) -> Iterator[str]:
    optimizer = make()
    if optimizer.rate is None:
        return
    half = optimizer.rate / 2
    other = optimizer.with_lr(half)
    if other.rate != half:
        yield (
            f"with_lr({half}) has the lr {other.rate}; expected {half}; usual cause: a "
            "wrapper that keeps its base as it was"
        )
        return
    a, b = begin(optimizer).updates(LONG_RUN), begin(other).updates(LONG_RUN)
    if _bits(a.readout()) == _bits(b.readout()) and np.isfinite(a.readout()).all():
        yield (
            "half the lr made the same steps; expected others; usual cause: a rate that is kept in "
            "the state, where a schedule cannot reach it"
        )


@examination_of_defaults
def it_descends_on_a_parabola(make: Callable[[], Optimizer]) -> Iterator[str]:
    optimizer = make()
    for shape in SHAPES[optimizer.scope]:
        run = begin(optimizer, shape)
        first = run.loss(run.w)
        reached = []
        for factor in (1, 0.1, 0.01):  # a default lr may be too long for this parabola
            slower = optimizer if optimizer.rate is None else optimizer.scaled(factor)
            run = begin(slower, shape).updates(LONG_RUN)
            reached.append(run.loss(run.readout()))
        if not min(reached) < first:
            yield (
                f"on a parabola the loss went from {first:.4g} to {reached[0]:.4g} in {LONG_RUN} "
                f"updates (w {list(shape)}), and to {reached[-1]:.4g} with a hundredth of lr; "
                "expected it to fall; usual cause: the wrong sign, slots returned in another order "
                "than they came, or a step that grows"
            )
            return


@examination_of_defaults
def it_is_stable_where_theory_says_so(make: Callable[[], Optimizer]) -> Iterator[str]:
    optimizer = make()
    original = _original(optimizer)
    if original is None or original.name not in LIMITS:
        return
    limit = LIMITS[original.name](original)
    for share, converges in ((0.95, True), (1.05, False)):
        w = np.ones(1)
        state: State = {}
        opt = optimizer.with_lr(share * limit)
        for _ in range(1000):
            opt.update(w, w.copy(), state)  # the gradient of w^2 / 2
        size = float(abs(opt.readout(w, state)[0]))
        if (size < 1e-3) != converges:
            expected = "convergence" if converges else "divergence"
            yield (
                f"on a parabola of curvature 1 with lr {share * limit:.3g} it reached {size:.2g} "
                f"from 1; expected {expected}, since {original.name} is stable below {limit:.3g}; "
                "usual cause: the order of the two lines, or a sign in the look ahead"
            )


@examination
def its_steps_are_those_of_its_name(make: Callable[[], Optimizer]) -> Iterator[str]:
    optimizer = make()
    original = _original(optimizer)
    if original is None or type(optimizer) is type(original):
        return
    uneven = "loss" not in original.needs
    for shape in SHAPES[original.scope]:
        ours, theirs = begin(original, shape, uneven=uneven), begin(optimizer, shape, uneven=uneven)
        for step in range(1, LONG_RUN + 1):
            if step == LATE and original.rate is not None:  # a schedule may lower lr
                ours.optimizer = original.with_lr(original.rate / 10)
                theirs.optimizer = optimizer.with_lr(original.rate / 10)
            ours.update()
            theirs.update()
            for what in ("readout", "w"):
                a, b = (r.readout() if what == "readout" else r.w for r in (ours, theirs))
                error = float(np.max(np.abs(a - b) / (1e-3 + np.abs(a)), initial=0))
                if not error < 1e-6:
                    yield (
                        f"it goes by the name of {original.name}, and its {what} parts from that "
                        f"one's at update {step}, by a relative {error:.2g}; expected the same to "
                        f"1e-6; usual cause: {_cause(step)}"
                    )
                    return


def _cause(step: int) -> str:
    if step == 1:
        return "the formula itself, a start value, or another default"
    if step <= 5:
        return "what is remembered: the order of two lines, a power of t, a decay"
    if step >= LATE:
        return "what a new lr does to old gradients (lr was lowered here), or a count"
    return "what happens late: a count that starts anew, or a memory that is lost"


def _original(optimizer: Optimizer) -> Optimizer | None:
    """The optimizer of the registry that this one claims to be, with the same numbers."""
    known: dict[str, type[Optimizer]] = OPTIMIZERS | WRAPPERS
    cls = known.get(claimed_name(type(optimizer)))
    if cls is None or type(optimizer) is cls:
        return optimizer if cls else None
    fields = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    return cls(**{name: getattr(optimizer, name) for name in fields if hasattr(optimizer, name)})


def claimed_name(cls: type[Optimizer]) -> str:
    """The name of the optimizer whose steps these should be; its own unless it `claims` one."""
    name: str = getattr(cls, "claims", cls.name)
    return name


def _arrays(state: State) -> Iterator[tuple[str, Array]]:
    return ((key, value) for key, value in leaves(state) if isinstance(value, np.ndarray))


def _bits(array: Array) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"another array, {value.dtype}{list(value.shape)}"
    return repr(value)
