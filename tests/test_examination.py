"""The examination: it accepts every optimizer of ours and rejects every wrong one, and says why."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from wrong_optimizers import WRONG

import nnscratch as nn
from nnscratch import check, command_line
from nnscratch.contract import OF_DEFAULTS, TESTS

OURS = [*nn.OPTIMIZERS.values(), nn.ClipNorm, nn.DecoupledDecay, nn.WeightEMA]


@pytest.fixture(autouse=True)
def _numpy_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small arrays, many rules: compiling them would take most of the time."""
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numpy")


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.name)
def test_every_optimizer_of_ours_passes(cls) -> None:
    nn.check_optimizer(cls)


@pytest.mark.parametrize("outer", [nn.ClipNorm, nn.DecoupledDecay, nn.WeightEMA])
@pytest.mark.parametrize("inner", ["sam", "lookahead", "schedule_free_sgd", "muon", "kfac"])
def test_every_stack_of_ours_passes(outer, inner: str) -> None:
    nn.check_optimizer(outer(nn.OPTIMIZERS[inner]()))


@pytest.mark.parametrize("cls", WRONG, ids=lambda cls: cls.__name__)
def test_every_wrong_optimizer_is_rejected(cls) -> None:
    with pytest.raises(nn.ContractError) as error:
        nn.check_optimizer(cls)
    assert error.value.failures
    for failure in error.value.failures:
        assert failure in str(error.value)
        assert "expected" in failure or "it raised" in failure
        assert "usual cause" in failure or "it raised" in failure


def test_the_ten_public_mistakes_and_the_slips_are_among_the_wrong_ones() -> None:
    assert len(WRONG) >= 40
    assert len({cls.__name__ for cls in WRONG}) == len(WRONG)


@pytest.mark.slow
def test_no_part_of_the_examination_is_idle() -> None:
    """Each test is failed by at least one of the wrong optimizers, or by one of these."""

    class ScopeUnknown(nn.Optimizer):
        scope = "galaxy"

        def update(self, w, dw, state):
            w -= dw
            return w

    class ReadoutMoves(nn.Optimizer):
        def update(self, w, dw, state):
            w -= 0.1 * dw
            return w

        def readout(self, w, state):
            w += 1
            return w

    class InitDiffers(nn.Optimizer):
        def init(self, w):
            return {"lr": 0.2}

        def update(self, w, dw, state):
            w -= state.get("lr", 0.1) * dw
            return w

    @dataclass(frozen=True)
    class RateInState(nn.Optimizer):
        lr: float = nn.hyper(0.1, "(0, inf)", "step size")

        def update(self, w, dw, state):
            w -= 0.1 * dw
            return w

    class WithoutEps(nn.Optimizer):
        def update(self, w, dw, state):
            v = state.setdefault("v", np.zeros_like(w))
            v *= 0.9
            v += 0.1 * dw**2
            w -= 0.01 * dw / np.sqrt(v)
            return w

    others = [ScopeUnknown, ReadoutMoves, InitDiffers, RateInState, WithoutEps]
    unfailed = {test.__name__ for test in (*TESTS, *OF_DEFAULTS)}
    for cls in (*WRONG, *others):
        for test in (*TESTS, *OF_DEFAULTS):
            try:
                with np.errstate(all="ignore"):  # as the examination does
                    failed = bool(list(test(cls)))
            except Exception:
                failed = False
            if failed:
                unfailed.discard(test.__name__)
    assert unfailed == set()


def failures_of(optimizer) -> list[str]:
    with pytest.raises(nn.ContractError) as error:
        nn.check_optimizer(optimizer)
    return error.value.failures


def test_a_failure_says_what_was_expected_what_was_seen_and_the_usual_cause() -> None:
    class Rebinds(nn.Optimizer):
        def update(self, w, dw, state):
            w = w - 0.1 * dw
            return w

    first = failures_of(Rebinds)[0]
    assert "update returned another array" in first
    assert "expected the w that it was given" in first
    assert "usual cause: w = w - ..." in first


def test_all_failures_are_listed_and_not_the_first_alone() -> None:
    class TwoMistakes(nn.Optimizer):
        def update(self, w, dw, state):
            dw *= 0.1
            state["previous"] = dw
            w -= dw
            return w

    text = " ".join(failures_of(TwoMistakes))
    assert "dw was changed in update 1" in text
    assert "state['previous'] is the memory of dw itself" in text
    assert "state['previous'] is another array" in text


class Descends(nn.Optimizer):
    """What the optimizers below do rightly."""

    def update(self, w, dw, state):
        w -= 0.1 * dw
        return w


class StandsStill(Descends):
    def update(self, w, dw, state):
        state["next"] = w - 0.1 * dw
        return w


class ReadsAnotherShape(Descends):
    def readout(self, w, state):
        return np.zeros((2, 2), w.dtype)


class ComesLate(Descends):
    def update(self, w, dw, state):
        state["t"] = state.get("t", 0) + 1
        if state["t"] == 3:
            state["mean"] = np.zeros_like(w)
        return super().update(w, dw, state)


class NumbersItsKeys(Descends):
    def update(self, w, dw, state):
        state.setdefault(1, np.zeros_like(w))
        return super().update(w, dw, state)


class KeepsAList(Descends):
    def update(self, w, dw, state):
        state["seen"] = [1.0]
        return super().update(w, dw, state)


class HasOneArrayTwice(Descends):
    def update(self, w, dw, state):
        if not state:
            state["m"] = state["v"] = np.zeros_like(w)
        return super().update(w, dw, state)


class MovesInInit(Descends):
    def init(self, w):
        w += 1
        return {}


@dataclass(frozen=True)
class KeepsItsRate(Descends):
    lr: float = nn.hyper(0.1, "(0, inf)", "step size")

    def with_lr(self, lr):
        return self


@pytest.mark.parametrize(
    ("optimizer", "failure"),
    [
        (StandsStill, "w did not move in 3 updates"),
        (ReadsAnotherShape, "readout is another array, float32[2, 2]"),
        (ComesLate, "state got mean after the first update"),
        (NumbersItsKeys, "state[1] has no name; expected strings as keys"),
        (KeepsAList, "state['seen'] is list; expected an array, a number or a string"),
        (HasOneArrayTwice, "state['m'] and state['v'] are one memory"),
        (MovesInInit, "init changed w; expected it as it was"),
        (KeepsItsRate, "with_lr(0.05) has the lr 0.1; expected 0.05"),
    ],
)
def test_a_single_mistake_is_told_by_what_it_is(optimizer, failure: str) -> None:
    nn.check_optimizer(Descends)
    assert any(failure in one for one in failures_of(optimizer)), failures_of(optimizer)


def test_what_a_constructor_refuses_is_told_as_it_says(capsys, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "import nnscratch as nn\n"
        "class Refuses(nn.Optimizer):\n"
        "    def __init__(self):\n"
        "        raise nn.UsageError('it wants more', 'give more')\n"
        "    def update(self, w, dw, state):\n"
        "        return w\n"
    )
    assert command_line.run(check.main, [f"{own}:Refuses"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"FAIL {own}:Refuses",
        "  - it wants more; give more",
        "0 of 1 passed",
    ]


def test_an_error_in_update_is_told_and_not_thrown() -> None:
    class Raises(nn.Optimizer):
        def update(self, w, dw, state):
            state["m"] *= 0.9
            return w

    (failure,) = failures_of(Raises)
    assert "it raised KeyError: 'm' (test_examination.py, line " in failure
    assert "read before state has it" in failure


def test_a_record_with_its_own_numbers_can_be_examined() -> None:
    nn.check_optimizer("adam")
    nn.check_optimizer(nn.OPTIMIZERS["adam"](lr=0.01, beta1=0.5))
    nn.check_optimizer(nn.OPTIMIZERS["sgd"](lr=1.0))  # too long for the parabola, but no mistake
    with pytest.raises(nn.ContractError, match="expected it to fall"):
        nn.check_optimizer(nn.OPTIMIZERS["sgd"](lr=1e4))


def test_one_that_claims_another_name_is_held_against_it() -> None:
    @dataclass(frozen=True)
    class MyMomentum(nn.Elementwise):
        claims = "momentum"
        lr: float = nn.hyper(1e-3, "(0, inf)", "step size")
        momentum: float = nn.hyper(0.9, "[0, 1)", "part of the velocity that remains")

        @staticmethod
        def rule(w, dw, v, *, lr, momentum):
            w = w + momentum * v - lr * dw
            v = momentum * v - 2 * lr * dw
            return w, v

    assert any("goes by the name of momentum" in failure for failure in failures_of(MyMomentum))


@pytest.mark.parametrize("thing", [3, int, None])
def test_what_is_no_optimizer_is_refused(thing) -> None:
    with pytest.raises(nn.UsageError, match="is no optimizer"):
        nn.check_optimizer(thing)


def test_one_that_needs_arguments_is_refused() -> None:
    @dataclass(frozen=True)
    class NeedsLr(nn.Optimizer):
        lr: float

        def update(self, w, dw, state):
            return w

    with pytest.raises(nn.UsageError, match="cannot be made without arguments"):
        nn.check_optimizer(NeedsLr)


# --- the command -------------------------------------------------------------------------------


def command(*argv: str) -> int:
    return command_line.run(check.main, argv)


OWN = """
import nnscratch as nn


class Good(nn.Optimizer):
    def update(self, w, dw, state):
        w -= 0.1 * dw
        return w


class Bad(nn.Optimizer):
    def update(self, w, dw, state):
        w += 0.1 * dw
        return w


NUMBER = 3
"""


@pytest.fixture
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(OWN)
    return "mine.py"


@pytest.mark.slow
def test_the_command_passes_everything_of_ours(capsys) -> None:
    assert command() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("PASS gradient of 784-1000-10 in float64: worst parameter ")
    assert [line.split()[1] for line in lines[1:-1]] == [cls.name for cls in OURS]
    assert lines[-1] == f"{len(OURS) + 1} of {len(OURS) + 1} passed"


def test_a_wrong_gradient_fails_and_the_parameter_is_named(capsys, monkeypatch) -> None:
    backward = nn.MLP.backward

    def wrong(self, dz):
        backward(self, dz)
        self.parameters[2].dw[3, 4] *= 1.01  # one weight of W2

    monkeypatch.setattr(nn.MLP, "backward", wrong)
    worst = check.gradient_check(nn.MLP([20, 8, 5], dtype="float64"))
    assert worst.name == "W2"
    assert worst.error > 1e-4


def test_the_gradient_of_a_network_with_all_that_training_adds_is_right() -> None:
    limits = nn.Regularization(l2=0.1, l1=0.01, dropout=0.5, input_dropout=0.2)
    net = nn.MLP([20, 8, 6, 5], dtype="float64", batch_norm=True, regularization=limits)
    assert check.gradient_check(net).error < 1e-5


def test_the_gradient_of_the_real_network_is_right_to_six_digits() -> None:
    assert check.gradient_check(nn.MLP(check.SIZES, dtype="float64")).error < 5e-7


def test_ones_own_file_passes_or_fails(own_file: str, capsys) -> None:
    assert command(f"{own_file}:Good") == 0
    assert capsys.readouterr().out == (
        "PASS mine.py:Good: the contract; its formula was compared with nothing\n1 of 1 passed\n"
    )
    assert command(f"{own_file}:Good", f"{own_file}:Bad") == 1
    out = capsys.readouterr().out
    assert "FAIL mine.py:Bad\n  - " in out
    assert out.endswith("1 of 2 passed\n")


def test_one_optimizer_of_the_registry_can_be_named(capsys) -> None:
    assert command("adam") == 0
    assert capsys.readouterr().out == "PASS adam\n1 of 1 passed\n"
    assert command("nestrov") == 2
    assert "did you mean 'nesterov'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "target", "what", "fix"),
    [
        (OWN, "mine.py:Gone", "Gone is not in the file mine.py", "it has Good, Bad"),
        (OWN, "mine.py:NUMBER", "NUMBER is no optimizer", "it has Good, Bad"),
        (OWN, "other.py:Good", "there is no file other.py", "give the path"),
        (OWN, "mine.py", "names no class in a file", "my_opt.py:MyOpt"),
        ("import nowhere", "mine.py:Good", "line 1: ModuleNotFoundError", "`python mine.py` runs"),
        ("x = 1\ny = 1 / 0\n", "mine.py:Good", "line 2: ZeroDivisionError", "python mine.py"),
        ("def f(:\n", "mine.py:Good", "line 1: SyntaxError", "python mine.py"),
        ("", "mine.py:Good", "Good is not in the file", "derive a class from nn.Elementwise"),
    ],
)
@pytest.mark.parametrize("program", ["check", "train"])
def test_a_file_that_gives_no_optimizer_gets_two_lines_and_no_traceback(
    source, target, what, fix, program, tmp_path, monkeypatch, capsys
) -> None:
    from nnscratch import train

    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(source)
    if program == "check":
        assert command(target) == 2
    else:
        assert command_line.run(train.main, ["--opt", target, "--dataset", "digits"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert what in first
    assert fix in second


def test_the_file_may_import_its_neighbours(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("folder/neighbour_of_mine.py").write_text("RATE = 0.1\n")
    Path("folder/mine2.py").write_text(
        "from neighbour_of_mine import RATE\n" + OWN.replace("0.1", "RATE")
    )
    assert command("folder/mine2.py:Good") == 0


def test_the_numbers_of_a_record_survive_the_second_round() -> None:
    """It varies the record that it was given, and does not change it."""
    opt = nn.OPTIMIZERS["adam"](beta1=0.5)
    nn.check_optimizer(opt)
    assert opt == replace(opt, beta1=0.5)
    assert np.isclose(opt.beta1, 0.5)


# --- right optimizers, written in other ways ------------------------------------------------------


class StepCount(nn.Optimizer):
    """Adam with a count under another name, and whole numbers in an array."""

    def init(self, w):
        slots = {"m": np.zeros_like(w), "v": np.zeros_like(w), "seen": np.zeros(w.shape, int)}
        return {"step": 0, **slots}

    def update(self, w, dw, state):
        for key, value in self.init(w).items():
            state.setdefault(key, value)
        state["step"] += 1
        state["seen"] += dw != 0
        m, v, t = state["m"], state["v"], state["step"]
        m[...] = 0.9 * m + 0.1 * dw
        v[...] = 0.999 * v + 0.001 * dw**2
        w -= 0.01 * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return w


class LongStep(nn.Optimizer):
    """SGD whose rate is right for a network and too long for the parabola of the examination."""

    lr = None

    def update(self, w, dw, state):
        w -= 0.2 * dw
        return w


@dataclass(frozen=True)
class Big(nn.Elementwise):
    lr: float = nn.hyper(1.0, "(0, inf)", "step size")

    @staticmethod
    def rule(w, dw, *, lr):
        return w - lr * dw


@pytest.mark.parametrize("cls", [StepCount, LongStep, Big])
def test_a_right_optimizer_written_otherwise_passes(cls) -> None:
    nn.check_optimizer(cls)


def test_a_record_around_another_base_is_compared_with_that_base() -> None:
    nn.check_optimizer(nn.OPTIMIZERS["lookahead"](base=nn.OPTIMIZERS["sam"]()))
    nn.check_optimizer(nn.OPTIMIZERS["sam"](base=nn.OPTIMIZERS["sgd"](lr=0.1)))


# --- wrong ones, each with the message that leads to its cause -----------------------------------


def without_eps():
    @dataclass(frozen=True)
    class AdaGrad(nn.Elementwise):
        lr: float = nn.hyper(1e-2, "(0, inf)", "step size")

        @staticmethod
        def rule(w, dw, s, *, lr):
            s = s + dw**2
            w = w - lr * dw / np.sqrt(s)
            return w, s

    return AdaGrad


def sum_form():
    @dataclass(frozen=True)
    class Momentum(nn.Elementwise):
        lr: float = nn.hyper(1e-3, "(0, inf)", "step size")
        momentum: float = nn.hyper(0.9, "[0, 1)", "part that remains")

        @staticmethod
        def rule(w, dw, v, *, lr, momentum):
            v = momentum * v + dw
            w = w - lr * v
            return w, v

    return Momentum


def lying_scope():
    class Normalized(nn.Optimizer):
        scope = "element"

        def update(self, w, dw, state):
            w -= 0.01 * dw / np.linalg.norm(dw)
            return w

    return Normalized


def zero_over_zero():
    class FirstStep(nn.Optimizer):
        def update(self, w, dw, state):
            state["n"] = state.get("n", -1) + 1
            w -= 0.1 * dw / (1 - 0.9 ** state["n"])
            return w

    return FirstStep


def frozen():
    @dataclass(frozen=True)
    class OnSelf(nn.Optimizer):
        lr: float = nn.hyper(0.1, "(0, inf)", "step size")

        def update(self, w, dw, state):
            self.v = dw
            return w

    return OnSelf


def plain_class():
    class Plain(nn.Optimizer):
        lr = 0.1

        def update(self, w, dw, state):
            w -= self.lr * dw
            return w

    return Plain


def not_static():
    class Loose(nn.Elementwise):
        def rule(w, dw):
            return w - 0.1 * dw

    return Loose


def moments_of_nothing():
    class Curvature(nn.Optimizer):
        needs = frozenset({"moments"})

        def update(self, w, dw, state):
            return w

    return Curvature


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (without_eps, "one weight had the gradient 0; expected numbers; usual cause: 0 / 0"),
        (sum_form, "parts from that one's at update 200"),
        (lying_scope, "an array cut in two took other steps than in one piece"),
        (zero_over_zero, "w is no longer finite after 3 updates"),
        (frozen, "usual cause: memory on self; it belongs into state"),
        (plain_class, "write @dataclass(frozen=True) above the class"),
        (not_static, "write @staticmethod above def rule(...)"),
        (moments_of_nothing, "its scope is 'tensor'; expected scope = 'layer'"),
    ],
)
def test_the_message_leads_to_the_cause(make, message: str) -> None:
    assert any(message in failure for failure in failures_of(make()))


def test_a_file_that_leaves_python_does_not_pass(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("import sys\nsys.exit(0)\n")
    assert command("mine.py:Good") == 2
    assert "line 2: SystemExit" in capsys.readouterr().err


@pytest.mark.parametrize("stem", ["random", "scipy", "mine"])
def test_a_file_may_have_any_name(stem: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").mkdir()
    Path("b").mkdir()
    for folder, lr in (("a", 0.1), ("b", 0.2)):
        text = "from __future__ import annotations\n" + OWN.replace("0.1", str(lr))
        Path(f"{folder}/{stem}.py").write_text(text)
    assert command(f"a/{stem}.py:Good", f"b/{stem}.py:Good") == 0
    import random

    assert random.random() < 1
