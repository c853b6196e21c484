"""One formula, two engines: what they compute, and what the compiled one does with its cache."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nnscratch as nn
from nnscratch import elementwise
from nnscratch.cache import user_cache
from nnscratch.compiled import loop_source
from nnscratch.formula import NoFormula, array_names, formula
from nnscratch.hyper import hypers, values

HAS_NUMBA = importlib.util.find_spec("numba") is not None
with_numba = pytest.mark.skipif(not HAS_NUMBA, reason="numba is not installed")
ELEMENTWISE = [cls for cls in nn.OPTIMIZERS.values() if issubclass(cls, nn.Elementwise)]
SIZE = 2 * elementwise.BLOCK + 17  # three blocks, the last one short


def decay_rule(w, dw, m, *, lr, beta):
    """A docstring, which the translation has to step over."""
    m = beta * m + (1 - beta) * dw
    w = w - lr * np.where(m > 0, m, 0.5 * m)
    return w, m


def arrays(n: int, dtype: str, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [np.abs(rng.normal(size=n)).astype(dtype) for _ in range(count)]


def run(cls: type[nn.Elementwise], dtype: str, size: int = SIZE) -> dict[str, np.ndarray]:
    """w and the slots after 5 updates, weight decay included, and w as it was before."""
    rng = np.random.default_rng(1)
    opt = cls(**{"weight_decay": 0.01} if "weight_decay" in hypers(cls) else {})
    w, state = rng.normal(size=size).astype(dtype), {}
    before = w.copy()
    for _ in range(5):
        dw = (rng.normal(size=size) * 10.0 ** rng.uniform(-6, 2, size)).astype(dtype)
        dw[::7] = 0
        opt.update(w, dw, state)
    slots = {name: slot for name, slot in state.items() if isinstance(slot, np.ndarray)}
    return {"before": before, "w": w, **slots}


@with_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cls", ELEMENTWISE, ids=lambda cls: cls.name)
def test_numpy_and_numba_agree_to_rounding(cls, dtype: str, monkeypatch) -> None:
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numba")
    compiled = run(cls, dtype)
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numpy")
    plain = run(cls, dtype)
    for name in plain:
        a, b = compiled[name], plain[name]
        assert a.dtype == b.dtype == dtype
        scale = np.abs(b)
        if name in ("w", *cls.positions):  # a point may end nearer to zero than it was
            scale = scale + np.abs(plain["before"])
        assert (np.abs(a - b) <= 32 * np.finfo(dtype).eps * scale).all(), name


@with_numba
@pytest.mark.parametrize("cls", ELEMENTWISE, ids=lambda cls: cls.name)
def test_every_rule_of_ours_can_be_compiled(cls, monkeypatch) -> None:
    """A rule that numba refuses would run, with a warning, at a tenth of the speed."""
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numba")
    assert elementwise._loop(cls.rule, np.dtype("float32"), "numba") is not None


@with_numba
def test_the_numba_engine_is_really_used_where_numba_is_installed(monkeypatch) -> None:
    monkeypatch.delenv("NNSCRATCH_ENGINE", raising=False)
    assert nn.engine() == "numba"
    monkeypatch.setattr(elementwise, "in_blocks", lambda *_: pytest.fail("NumPy was used"))
    run(nn.OPTIMIZERS["adam"], "float32")


def test_without_numba_the_numpy_engine_is_used(monkeypatch) -> None:
    monkeypatch.setattr(elementwise, "_numba_works", lambda: False)
    monkeypatch.delenv("NNSCRATCH_ENGINE", raising=False)
    assert nn.engine() == "numpy"
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numba")
    with pytest.raises(nn.UsageError, match="numba is missing"):
        nn.engine()


def test_a_numba_that_cannot_be_imported_is_left_out_and_said_to_be(monkeypatch) -> None:
    def too_new(name: str) -> None:
        raise ImportError("Numba needs NumPy 2.4 or less")

    monkeypatch.delenv("NNSCRATCH_ENGINE", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(importlib, "import_module", too_new)
    elementwise._numba_works.cache_clear()
    with pytest.warns(nn.NnscratchWarning, match="numba is left out: Numba needs NumPy"):
        assert nn.engine() == "numpy"
    elementwise._numba_works.cache_clear()


def test_an_unknown_engine_is_refused(monkeypatch) -> None:
    monkeypatch.setenv("NNSCRATCH_ENGINE", "cuda")
    with pytest.raises(nn.UsageError, match="NNSCRATCH_ENGINE is 'cuda'"):
        nn.engine()


@pytest.mark.parametrize("engine", ["numpy", pytest.param("numba", marks=with_numba)])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (5, 3), (2, 3, 4)])
def test_arrays_of_any_shape_are_updated_in_place(engine: str, shape, monkeypatch) -> None:
    monkeypatch.setenv("NNSCRATCH_ENGINE", engine)
    w, dw, m = np.full(shape, 2.0), np.full(shape, 4.0), np.zeros(shape)
    elementwise.apply(decay_rule, [w, dw, m], {"lr": 0.5, "beta": 0.75, "unused": 9})
    assert (m == 1.0).all()
    assert (w == 1.5).all()
    assert (dw == 4.0).all()


@pytest.mark.parametrize("engine", ["numpy", pytest.param("numba", marks=with_numba)])
def test_arrays_that_are_not_contiguous_are_updated_all_the_same(engine, monkeypatch) -> None:
    monkeypatch.setenv("NNSCRATCH_ENGINE", engine)
    rng = np.random.default_rng(0)
    w, dw = rng.normal(size=(6, 8)), rng.normal(size=(6, 8))
    expected = w - 0.1 * dw
    for view in (lambda a: a, lambda a: a.T, lambda a: a[::2, 1::3], lambda a: a[::-1]):
        v = w.copy()
        nn.OPTIMIZERS["sgd"](lr=0.1).update(view(v), view(dw), {})
        np.testing.assert_allclose(view(v), view(expected), rtol=1e-15)


def test_a_read_only_gradient_is_enough() -> None:
    w, dw = np.ones(3), np.ones(3)
    dw.flags.writeable = False
    nn.OPTIMIZERS["adam"]().update(w, dw, {})
    assert (w < 1).all()


def test_numpys_blocks_leave_no_seam() -> None:
    w, dw, m = arrays(SIZE, "float64", 3)
    whole = decay_rule(w.copy(), dw, m.copy(), lr=0.1, beta=0.9)
    elementwise.in_blocks(decay_rule, [w, dw, m], {"lr": 0.1, "beta": 0.9})
    assert (w == whole[0]).all()
    assert (m == whole[1]).all()


def test_the_compiled_loop_computes_numbers_outside_and_in_no_wider_type() -> None:
    text = loop_source(formula(decay_rule))
    prelude, loop = text.split("for _i in")
    assert "_number(1 - beta)" in prelude
    for wide in ("1 - beta", "0.5", "lr *", "beta *"):
        assert wide not in loop


@pytest.mark.slow
@with_numba
def test_an_edited_formula_takes_effect_although_machine_code_is_kept(tmp_path: Path) -> None:
    program = tmp_path / "own.py"
    text = (
        "import numpy as np\n"
        "from nnscratch.elementwise import apply\n"
        "def rule(w, dw, *, lr):\n"
        "    return w - lr * dw\n"
        "w = np.ones(4, np.float32)\n"
        "apply(rule, [w, w.copy()], {'lr': 0.25})\n"
        "print(w[0])\n"
    )

    def printed(source: str) -> str:
        program.write_text(source)
        done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert printed(text) == "0.75"
    assert printed(text) == "0.75"
    assert printed(text.replace("w - lr", "w + lr")) == "1.25"


@with_numba
def test_damaged_machine_code_in_the_cache_is_made_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    elementwise._loop.cache_clear()
    expected = run(nn.OPTIMIZERS["momentum"], "float32", 50)
    files = list(user_cache().glob("loops/__pycache__/*"))
    assert files
    for file in files:
        file.write_bytes(b"not machine code")
    elementwise._loop.cache_clear()
    again = run(nn.OPTIMIZERS["momentum"], "float32", 50)
    for a, b in zip(again.values(), expected.values(), strict=True):
        assert (a == b).all()


@with_numba
def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # no folder can be made there
    elementwise._loop.cache_clear()
    w = run(nn.OPTIMIZERS["sgd"], "float32", 50)["w"]
    assert np.isfinite(w).all()


@with_numba
def test_a_stale_source_in_the_cache_is_written_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    elementwise._loop.cache_clear()
    expected = run(nn.OPTIMIZERS["sgd"], "float32", 50)["w"]
    (source,) = user_cache().glob("loops/*.py")
    text = source.read_text()
    source.write_text(text.replace(" - ", " + "))
    elementwise._loop.cache_clear()
    assert (run(nn.OPTIMIZERS["sgd"], "float32", 50)["w"] == expected).all()
    assert source.read_text() == text


BOTH_ENGINES = pytest.mark.parametrize("engine", ["numpy", pytest.param("numba", marks=with_numba)])


@BOTH_ENGINES
def test_a_rule_may_return_what_it_was_given(engine: str, monkeypatch) -> None:
    """Written back one by one, w_prev would get the new w, and the two slots one value."""
    monkeypatch.setenv("NNSCRATCH_ENGINE", engine)

    def remembering(w, dw, w_prev, a, b, *, lr):
        w_prev = w
        w = w - lr * dw
        return w, w_prev, b, a

    w, dw, w_prev, a, b = (np.full(3, value) for value in (1.0, 1.0, 0.0, 5.0, 7.0))
    for step in (1, 2, 3):
        before = w.copy()
        elementwise.apply(remembering, [w, dw, w_prev, a, b], {"lr": 0.1})
        assert (w_prev == before).all()
        assert (w == before - 0.1).all()
        assert (a[0], b[0]) == ((7, 5) if step % 2 else (5, 7))


@BOTH_ENGINES
def test_what_concerns_numbers_alone_is_exact_also_under_a_name(engine: str, monkeypatch) -> None:
    """1 - (1 - 1e-9) in single precision would be 0."""
    monkeypatch.setenv("NNSCRATCH_ENGINE", engine)

    def named(w, dw, *, lr):
        keep = 1 - lr
        rest = 1 - keep
        return w - rest * dw

    w = np.zeros(3, np.float32)
    elementwise.apply(named, [w, np.ones(3, np.float32)], {"lr": 1e-9})
    np.testing.assert_allclose(w, -1e-9, rtol=1e-6)


def mean(w, dw, *, lr):
    return w - lr * (dw - np.mean(dw))


def norm(w, dw, *, lr):
    return w - lr * dw / np.linalg.norm(dw)


def method(w, dw, *, lr):
    return w - lr * dw / dw.max()


def element(w, dw, *, lr):
    return w - lr * dw[0]


def matrix(w, dw, *, lr):
    return w - lr * (dw @ dw)


def product(w, dw, *, lr):
    return w - lr * np.matmul(dw, dw)


def branching(w, dw, *, lr):
    if dw > 0:
        w = -w
    return w


def in_place(w, dw, *, lr):
    w -= lr * dw
    return w


def forgetful(w, dw, m, *, lr):
    return w - lr * dw


def without_star(w, dw, lr):
    return w - lr * dw


def silent(w, dw, *, lr):
    w = w - lr * dw


@BOTH_ENGINES
@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (mean, "calls np.mean"),
        (norm, "calls np.linalg.norm"),
        (method, "calls dw.max"),
        (element, "takes elements"),
        (matrix, "multiplies matrices"),
        (product, "calls np.matmul"),
        (branching, "no assignment: if dw > 0:"),
        (in_place, "changes an array in place: w -= lr * dw"),
        (forgetful, "returns 1 values and not the new w, m"),
        (without_star, "returns 1 values and not the new w, lr"),
        (silent, "does not end with return"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_is_no_formula_is_refused_by_both_engines(engine, rule, reason, monkeypatch) -> None:
    monkeypatch.setenv("NNSCRATCH_ENGINE", engine)
    arrays = [np.ones(3) for _ in array_names(rule)]
    with pytest.raises(nn.UsageError) as error:
        elementwise.apply(rule, arrays, {"lr": 0.1})
    assert error.value.what.startswith(rule.__name__)
    assert reason in error.value.what
    assert error.value.fix


@BOTH_ENGINES
def test_a_number_that_nobody_gives_is_named(engine: str, monkeypatch) -> None:
    monkeypatch.setenv("NNSCRATCH_ENGINE", engine)
    with pytest.raises(nn.UsageError, match="decay_rule wants beta, which nobody gives"):
        elementwise.apply(decay_rule, [np.ones(3)] * 3, {"lr": 0.1})


@with_numba
def test_a_rule_that_numba_cannot_take_still_runs_and_says_why(monkeypatch) -> None:
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numba")
    factor = 3.0

    def outside(w, dw, *, lr):
        return w - factor * lr * dw

    def clipping(w, dw, *, lr):
        return w - np.clip(dw, -lr, lr)

    def assigning(w, dw, *, lr):
        lr = 2 * lr
        return w - lr * dw

    short = lambda w, dw, *, lr: w - lr * dw  # noqa: E731
    nameless = eval("lambda w, dw, *, lr: w - lr * dw")
    for rule, reason in [
        (assigning, "it assigns to lr"),
        (short, "it is not written with def"),
        (outside, "it uses factor from outside"),
        (clipping, "numba refuses it"),
        (nameless, "put it into a file"),
    ]:
        w = np.ones(3)
        with pytest.warns(nn.NnscratchWarning, match=reason) as warning:
            elementwise.apply(rule, [w, np.ones(3)], {"lr": 0.25})
        assert (w < 1).all()
        assert len(str(warning[0].message)) < 300


def test_a_gradient_cannot_be_written_by_a_rule_whose_source_is_out_of_sight(monkeypatch) -> None:
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numpy")
    namespace: dict = {}
    exec("def rule(w, dw, *, lr):\n    dw += 0.5 * w\n    return w - lr * dw", namespace)
    dw = np.ones(3)
    with pytest.raises(ValueError, match="read-only"):
        elementwise.apply(namespace["rule"], [np.ones(3), dw], {"lr": 0.1})
    assert (dw == 1).all()


@with_numba
def test_the_rule_is_compiled_before_the_first_update(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numba")
    elementwise._loop.cache_clear()
    nn.OPTIMIZERS["adagrad"]().init(np.ones(3, np.float32))
    assert list(user_cache().glob("loops/__pycache__/*.nbc"))


def test_the_users_cache_follows_the_systems_customs(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/where")
    assert user_cache() == Path("/some/where/nnscratch")
    for ignored in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert user_cache() == Path.home() / ".cache" / "nnscratch"


def test_values_gives_the_numbers_of_a_record() -> None:
    assert values(nn.OPTIMIZERS["sgd"](lr=0.5)) == {"lr": 0.5, "weight_decay": 0.0}


# --- names that change their meaning on the way --------------------------------------------------


def reused(w, dw, *, lr):
    step = lr
    step = step * dw
    w = w - step
    return w


def doubled(w, dw, *, lr):
    step = lr
    a = step * dw
    step = 2 * lr
    w = w - a - step * dw
    return w


@with_numba
@pytest.mark.parametrize("rule", [reused, doubled])
def test_a_name_may_hold_a_number_first_and_something_else_later(rule, monkeypatch) -> None:
    results = []
    for engine in ("numpy", "numba"):
        monkeypatch.setenv("NNSCRATCH_ENGINE", engine)
        w = np.ones(3)
        elementwise.apply(rule, [w, np.array([1.0, 2.0, 3.0])], {"lr": 0.1})
        results.append(w)
    np.testing.assert_allclose(*results, rtol=1e-15)
    assert results[0][2] == pytest.approx(0.7 if rule is reused else 0.1)


def chosen(w, dw, *, lr):
    w = np.where(dw > 0, w - lr * dw, np.where(dw < 0, w + 2 * lr * dw, w))
    return w


def condition_alone(w, dw):
    return np.where(dw > 0)


@with_numba
def test_np_where_is_fast_and_the_same(monkeypatch) -> None:
    dw = np.random.default_rng(0).normal(size=500)
    dw[::5] = 0
    results = []
    for engine in ("numpy", "numba"):
        monkeypatch.setenv("NNSCRATCH_ENGINE", engine)
        w = np.ones(500)
        elementwise.apply(chosen, [w, dw], {"lr": 0.1})
        results.append(w)
    assert (results[0] == results[1]).all()
    assert "np.where" not in loop_source(formula(chosen))


def test_np_where_with_a_condition_alone_is_refused() -> None:
    with pytest.raises(nn.UsageError, match=r"np\.where with other than three arguments"):
        formula(condition_alone)


def test_a_file_that_forgot_to_import_numpy_is_told_so(tmp_path: Path, monkeypatch) -> None:
    """numba would run it all the same, for the compiled file has the import."""
    path = tmp_path / "forgot_numpy.py"
    path.write_text("def rule(w, dw):\n    return w - np.sign(dw)\n")
    spec = importlib.util.spec_from_file_location("forgot_numpy", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(nn.UsageError, match="uses np, which its file lacks"):
        formula(module.rule)


def test_a_change_in_place_is_shown_written_out() -> None:
    with pytest.raises(nn.UsageError) as error:
        formula(in_place)
    assert error.value.fix == "write w = w - lr * dw"


def test_a_rule_whose_file_is_another_one_now_has_no_formula(tmp_path: Path) -> None:
    path, namespace = tmp_path / "mine.py", {}
    path.write_text("x = (\n" * 9)  # what stands there now does not even end
    code = "\n\ndef rule(w, dw, *, lr):\n    return w - lr * dw\n"
    exec(compile(code, path, "exec"), namespace)
    with pytest.raises(NoFormula, match="source cannot be read"):
        formula(namespace["rule"])
