"""The recipes: each block runs as it stands and prints what stands below it."""

import importlib
import re
import shlex
from pathlib import Path

import matplotlib.pyplot as plt
import optuna
import pytest

from nnscratch.command_line import run

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "notebooks" / "recipes.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SLOW = {"Runs side by side in pandas": pytest.mark.slow}  # two runs with their figures
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


@pytest.mark.parametrize(
    "title", [pytest.param(title, marks=SLOW.get(title, ()), id=title) for title in RECIPES]
)
def test_a_recipe_runs_and_prints_what_stands_below_it(
    title: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numpy")  # numba takes a second to compile a rule
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    blocks = BLOCK.findall(RECIPES[title])
    assert [language for language, _ in blocks][-2:] == ["python", "text"]
    for language, text in blocks:
        if language == "sh":
            for line in text.splitlines():
                _, _, module, *argv = shlex.split(line)
                assert run(importlib.import_module(module).main, argv) == 0
            capsys.readouterr()
        elif language == "python":
            exec(compile(text, "recipes.md", "exec"), {"__name__": "__main__"})
            plt.close("all")
        else:
            # Optuna's sampler tried other values before version 5
            other_numbers = "Optuna" in title and int(optuna.__version__.split(".")[0]) < 5
            compare(capsys.readouterr().out, text, other_numbers)


def compare(printed: str, shown: str, other_numbers: bool) -> None:
    """The same words, and numbers that differ by 2 %: other BLAS kernels round otherwise."""
    printed = re.sub(" +$", "", printed, flags=re.MULTILINE)  # pandas fills its lines
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", shown)
    if other_numbers:
        return
    for number, expected in zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=True):
        assert float(number) == pytest.approx(float(expected), rel=0.02)
