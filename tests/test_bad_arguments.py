"""Every flag of every command and every field of every part, with values that cannot be.

What the flags are and which numbers they take is read from --help, as a user reads it.
"""

import argparse
import contextlib
import io
import math
import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as nn
from nnscratch import check, compare, report, surfaces, train
from nnscratch.command_line import number, run
from nnscratch.errors import UsageError
from nnscratch.hyper import Interval, hypers
from nnscratch.optim import WRAPPERS
from nnscratch.settings import PARTS

FLAG = re.compile(r"^  (?:-h, )?(--[a-z0-9-]+)(?:, --no-[a-z0-9-]+)?(?: (\S+))?$")
NO_NUMBERS = ["", " ", "abc", "nan", "inf", "-inf", "1e999", "1_0", "0,5", "1e", "0x10", "--", "²"]
NO_NAMES = [
    "",
    "--",
    " ",
    "nothing",
    "os.system",
    "../x",
    "adam;ls",
    "__init__",
    "x" * 300,
    "a\nb",
    "é",
]


def output_of(main, *argv: str) -> tuple[int, str]:
    """Exit code and stderr; a traceback ends the test."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run(main, list(argv))
        except SystemExit as stop:  # --help
            code = int(stop.code or 0)
    return code, err.getvalue() or out.getvalue()


def flags_in_help(main, *argv: str) -> dict[str, tuple[str | None, str | None]]:
    """flag -> (metavar, interval), as --help tells them."""
    code, text = output_of(main, *argv, "--help")
    assert code == 0
    found: dict[str, tuple[str | None, str | None]] = {}
    entries = re.split(r"\n(?=  -)", text.partition("\n\n")[2])
    for entry in entries:
        first, *rest = entry.split("\n")
        head, _, text = first.strip().partition("  ")
        match = FLAG.match("  " + head)
        if match:
            meaning = " ".join([text, *rest])
            interval = re.search(r"in +([\[(]\S+, +\S+[\])])", " ".join(meaning.split()))
            found[match[1]] = match[2], interval[1] if interval else None
    return found


def outside(interval: Interval, whole: bool) -> Iterator[str]:
    """Numbers that are not in the interval, at its ends and far away."""
    _, low, high, _ = interval._ends()
    candidates = [low, high, low - 1, high + 1, low - 1e-9, high + 1e-9, -1e30, 1e30, 0.0]
    for candidate in candidates:
        if math.isfinite(candidate) and candidate not in interval:
            yield f"{int(candidate)}" if whole and candidate == int(candidate) else repr(candidate)
    if whole:
        yield from ("1.5", "1e3", "2.0")


def check_refused(main, argv: list[str], code: int = 2) -> str:
    found, said = output_of(main, *argv)
    lines = said.splitlines()
    assert found == code, (argv, said)
    assert len(lines) == 2, (argv, said)
    assert lines[0].startswith("nnscratch: error: "), (argv, said)
    assert lines[1].startswith("fix: "), (argv, said)
    assert "Traceback" not in said
    return said


CASES = [(train.main, ["--dataset", "digits", "--hidden", "2", "--epochs", "1"])] + [
    (train.main, ["--dataset", "digits", f"--{choice}", name])
    for choice, (_, registry, _) in PARTS.items()
    for name in registry
    if choice != "base" and hypers(registry[name])
]
CASES += [(train.main, ["--dataset", "digits", "--loader", name]) for name in nn.LOADERS]
CASES += [(compare.main, ["--opts", "sgd", "--tier", "smoke", "--dataset", "digits"])]
CASES += [(surfaces.main, ["--opts", "sgd"])]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("main", "argv"), CASES, ids=[f"{main.__module__} {' '.join(argv)}" for main, argv in CASES]
)
def test_every_flag_refuses_every_number_that_cannot_be(main, argv, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = flags_in_help(main, *argv)
    numeric = {flag: kind for flag, kind in flags.items() if kind[0] in ("N", "X", "N[,N]")}
    assert numeric
    for flag, (metavar, interval) in numeric.items():
        assert interval is not None or metavar == "N[,N]", flag
        whole = metavar != "X"
        bad = [*NO_NUMBERS, *outside(Interval(interval or "[1, inf)"), whole)]
        rest = [token for token in argv if token != flag]
        if flag in argv:
            at = argv.index(flag)
            rest = argv[:at] + argv[at + 2 :]
        for value in bad:
            said = check_refused(main, [*rest, f"{flag}={value}"])
            assert flag in said, (flag, value, said)
        check_refused(main, [*rest, flag])  # no value at all
        check_refused(main, [*rest, f"{flag}=1", f"{flag}=1"])
    assert list(tmp_path.iterdir()) == []  # nothing was begun


@pytest.mark.slow
@pytest.mark.parametrize("main", [train.main, compare.main])
def test_every_choice_refuses_what_is_no_name(main, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    needed = ["--opts", "sgd"] * (main is compare.main)
    flags = flags_in_help(main, *needed)
    choices = [flag for flag, (metavar, _) in flags.items() if metavar in ("NAME", "NAMES")]
    choices += [flag for flag, (metavar, _) in flags.items() if str(metavar).startswith("{")]
    assert len(choices) >= 6
    for flag in choices:
        for value in NO_NAMES:
            if flag == "--blas-kernel" and value == "nothing":
                continue  # may be the name of kernels of another OpenBLAS
            rest = [] if flag == "--opts" else needed
            data = [] if flag == "--dataset" else ["--dataset=digits"]
            check_refused(main, [*rest, *data, f"{flag}={value}"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("main", "argv"),
    [
        (train.main, ["--nothing"]),
        (train.main, ["--ep", "3"]),  # no abbreviations
        (train.main, ["file.txt"]),
        (train.main, ["-x"]),
        (train.main, ["--bias", "False"]),
        (train.main, ["--json=yes"]),
        (compare.main, []),
        (compare.main, ["--opts", "sgd", "--nothing"]),
        (compare.main, ["--opts", "sgd", "more"]),
        (report.main, []),
        (report.main, ["nowhere"]),
        (report.main, ["a", "b"]),
        (report.main, ["--nothing", "a"]),
        (check.main, ["--nothing"]),
        (check.main, ["adm"]),
        (check.main, ["nowhere.py:X"]),
        (check.main, [""]),
    ],
)
def test_what_no_command_knows_is_refused(main, argv, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_refused(main, argv)
    assert list(tmp_path.iterdir()) == []


ALL_PARTS = {
    **{name: cls for _, registry, _ in PARTS.values() for name, cls in registry.items()},
    **WRAPPERS,
}
WRONG = [None, "1", "nan", math.nan, math.inf, -math.inf, [], {}, 1j, object(), True, np.ones(2)]


@pytest.mark.parametrize("name", [name for name, cls in ALL_PARTS.items() if hypers(cls)])
def test_every_field_of_every_part_refuses_what_it_cannot_be(name: str) -> None:
    cls = ALL_PARTS[name]
    base = {"base": nn.OPTIMIZERS["adam"]()} if name in WRAPPERS else {}
    for hyper in hypers(cls).values():
        good = {other.name: other.default for other in hypers(cls).values() if name in WRAPPERS}
        good = {key: value for key, value in good.items() if isinstance(value, int | float)}
        numbers = [float(text) for text in outside(hyper.interval, hyper.kind is int)]
        numbers = [n for n in numbers if n not in hyper.interval or n != int(n)]
        for value in [*WRONG, *numbers]:
            with pytest.raises(UsageError) as error:
                cls(**{**base, **good, hyper.name: value})
            assert hyper.name in error.value.what
            assert error.value.fix
            assert "\n" not in error.value.what


@given(st.text(max_size=30))
def test_any_text_is_a_number_in_the_range_or_refused(text: str) -> None:
    """What is accepted is what Python's float makes of it; nothing else gets through."""
    for kind, interval in ((int, Interval("[0, inf)")), (float, Interval("(0, 1]"))):
        with contextlib.suppress(argparse.ArgumentTypeError):
            value = number(kind, interval)(text)
            assert re.fullmatch(r"[0-9eE.+-]+", text)
            assert value == kind(text)
            assert value in interval


@given(st.floats() | st.integers() | st.decimals(allow_nan=False))
def test_any_number_that_is_written_out_is_read_as_itself_or_refused(value) -> None:
    interval = Interval("(0, inf)")
    try:
        found = number(float, interval)(str(value))
    except argparse.ArgumentTypeError:
        assert not (math.isfinite(value) and float(value) in interval) or "_" in str(value)
    else:
        assert found == float(value)
        assert found > 0
