"""The notebooks: both forms say the same, they run, and their checkers tell right from wrong."""

import ast
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from matplotlib import rc_params_from_file

import nnscratch as nn
from nnscratch.looks import COLORS
from nnscratch.own_file import import_file

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("0*.py"))
KOREAN = [name for name in NOTEBOOKS if name.endswith(".ko")]
OTHERWISE = [
    name for name in NOTEBOOKS if name[:2] in ("02", "04", "05", "06") and name not in KOREAN
]
HANGUL = re.compile("[가-힣]")
SECONDS = 60  # that a cell may take, on a machine that is busy with other things

ADAGRAD = """
dw = dw + weight_decay * w
cache = {cache}
w = w - lr * dw / {root}
return {new}
"""
TORCH = """
b = {b}
w = {w}
return w, b
"""
POWER = """
v = np.ones(n) / np.sqrt(n)
for _ in range({steps}):
    v = {v}
return {value}
"""


def adagrad(
    cache: str = "cache + dw**2",
    root: str = "(np.sqrt(cache + eps_root) + eps)",
    new: str = "w, cache",
) -> str:
    return ADAGRAD.format(cache=cache, root=root, new=new)


def torch(b: str = "momentum * b + dw", w: str = "w - lr * b") -> str:
    return TORCH.format(b=b, w=w)


def power(
    v: str = "product(v) / np.linalg.norm(product(v))",
    value: str = "v @ product(v)",
    steps: int = 100,
) -> str:
    return POWER.format(v=v, value=value, steps=steps)


def interval(half: str, mean: str = "np.mean(b - a)") -> str:
    return f"""
from scipy import stats
n, t = len(a), stats.t.ppf(0.975, len(a) - 1)
return {mean} - {half}, {mean} + {half}
"""


def m_hat(new: str = "(1 - beta1)", divisor: str = "1 - beta1 ** len(gradients)") -> str:
    return f"""
m = 0.0
for g in gradients:
    m = beta1 * m + {new} * g
return m / ({divisor})
"""


# for the exercises of each notebook: a right answer, and wrong ones with a part of the hint
ANSWERS: dict[str, list[tuple[str, dict[str, str]]]] = {
    "01_forward_and_backward": [
        (
            "[0.433, -0.433]",
            {
                "[-0.433, 0.433]": "the sign",
                "[0.433, 0.567]": "these are the probabilities",
                "[-0.567, 0.567]": "class 0",
                "[0.433]": "2 classes",
                "[0.1, 0.2]": "p - y",
                "'a lot'": "ValueError",
            },
        ),
        (
            "return da * (1 - a**2)",
            {
                "return da * a * (1 - a)": "sigmoid",
                "return 1 - a**2": "chain rule",
                "return da * (1 - np.tanh(a) ** 2)": "no second tanh",
                "return da * (1 - a)": "square",
                "return da[:3]": "shape",
                "return da": "numerical_gradient",
                "return da * b": "NameError",
            },
        ),
    ],
    "02_one_optimizer": [
        ("0.001", {"1": "SGD", "0.00316": "without correction", "1000": "m_hat / sqrt(v_hat)"}),
        (
            m_hat(),
            {
                m_hat(divisor="1"): "not yet corrected",
                m_hat(divisor="1 - beta1"): "not by 1 - beta1",
                m_hat(divisor="1 - beta1 ** (len(gradients) - 1)"): "t counts from 1",
                m_hat(new="beta1"): "and not beta1",
                m_hat(new="1"): "and not 1",
                "return sum(gradients)": "one division",
            },
        ),
    ],
    "03_surfaces_and_troubles": [
        (
            "0.99",
            {
                "1": "swings for ever",
                "0.5": "steep side in one step",
                "100": "diverges",
                "0.01": "same size",
            },
        ),
        (
            "return x, y**3 - y",
            {
                "return y**3 - y, x": "first df/dx",
                "return x, y + y**3": "sign",
                "return x, -y": "last term",
                "return 2 * x, y**3 - y": "first term",
                "return x, 4 * y**3 - y": "y^4 / 4",
                "return x": "two values",
            },
        ),
    ],
    "04_compare_fairly": [
        (
            interval("t * np.std(b - a, ddof=1) / np.sqrt(n)"),
            {
                interval("t * np.std(b - a, ddof=1) / np.sqrt(n)", "np.mean(a - b)"): "the sign",
                interval("t * np.std(b - a, ddof=1)"): "root of n",
                interval("1.96 * np.std(b - a, ddof=1) / np.sqrt(n)"): "Student",
                interval("t * np.std(b - a) / np.sqrt(n)"): "ddof=1",
                interval("t * np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / n)"): "the pairs",
                interval("0.2"): "d = b - a",
                "return np.mean(b - a)": "two numbers",
            },
        ),
        ("9", {"6": "seven times", "8": "too few", "12": "fewer", "8.1": "whole"}),
    ],
    "05_batch_size_and_flat_minima": [
        ("0.04", {"0.02": "one step", "50": "denominator", "0.5": "solve"}),
        (
            power(),
            {
                power(v="product(v)"): "divide it by its length",
                power(value="product(v) @ product(v)"): "|H v|^2",
                power(value="v @ v"): "length of v",
                power(value="v"): "a number",
                power(steps=1): "more products",
            },
        ),
    ],
    "06_your_own_optimizer": [
        (
            adagrad(),
            {
                adagrad(cache="dw**2"): "forgets",
                adagrad(cache="cache + dw"): "square",
                adagrad(new="cache, w"): "first w",
                adagrad(new="w"): "return w, cache",
                adagrad(root="cache"): "the root of the cache",
                adagrad(root="np.sqrt(cache - dw**2)"): "new cache",
                adagrad(root="(np.sqrt(cache) + 2 * eps)"): "ContractError",
            },
        ),
        (
            torch(),
            {
                torch(b="momentum * b - lr * dw", w="w + b"): "lecture",
                torch(b="momentum * b + (1 - momentum) * dw"): "a sum and no mean",
                torch(b="dw"): "new b",
                torch(w="w + lr * b"): "ContractError",
            },
        ),
    ],
}


def answers(name: str) -> list[tuple[str, dict[str, str]]]:
    return ANSWERS[name.removesuffix(".ko")]


def cells(name: str) -> list[tuple[str, str]]:
    """Kind and text of each cell, read without jupytext."""
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    _, *parts = re.split(r"^# %%(.*)\n", text, flags=re.MULTILINE)
    return [
        (kind.strip() or "code", cell.strip())
        for kind, cell in zip(parts[::2], parts[1::2], strict=True)
    ]


def code(name: str) -> list[str]:
    return [cell for kind, cell in cells(name) if kind == "code"]


def exercise_cells(name: str) -> list[str]:
    return [cell for cell in code(name) if re.search(r"^(exercises\.)?check_\w+\(", cell, re.M)]


def answered(cell: str, answer: str) -> str:
    """The cell of an exercise with an answer in the place of None."""
    if "answer = None" in cell:
        return cell.replace("answer = None", f"answer = {answer}")
    (indent,) = re.findall(r"^( *)return None$", cell, re.M)
    body = answer.strip("\n").replace("\n", f"\n{indent}")
    return cell.replace("return None", body)


# --- both forms, both languages ------------------------------------------------------------------


def test_the_figures_have_the_colors_of_the_package() -> None:
    style = rc_params_from_file(FOLDER / "notebooks.mplstyle", use_default_template=False)
    assert style["axes.prop_cycle"].by_key()["color"] == list(COLORS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_says_what_the_script_says_and_holds_no_output(name: str) -> None:
    """Else: jupytext --to ipynb --update notebooks/0*.py"""
    import jupytext

    script = jupytext.read(FOLDER / f"{name}.py")
    notebook = jupytext.read(FOLDER / f"{name}.ipynb")
    assert [(c.cell_type, c.source) for c in notebook.cells] == [
        (c.cell_type, c.source) for c in script.cells
    ]
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_no_notebook_lacks_its_script() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NOTEBOOKS


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_begins_with_a_question_and_ends_with_two_exercises(name: str) -> None:
    (kind, first), *_ = cells(name)
    assert kind == "[markdown]"
    assert first.splitlines()[0].startswith("# # ")
    assert first.splitlines()[0].endswith("?")
    assert len(exercise_cells(name)) == 2
    assert cells(name)[-1][1] == exercise_cells(name)[-1]


def same_code(english: Any, korean: Any) -> bool:
    """Whether two syntax trees differ in nothing but strings that are Korean in the second."""
    if type(english) is not type(korean):
        return False
    if isinstance(english, list):
        return len(english) == len(korean) and all(map(same_code, english, korean))
    if isinstance(english, ast.Constant) and HANGUL.search(str(korean.value)):
        return isinstance(english.value, str)
    if isinstance(english, ast.JoinedStr) and HANGUL.search(ast.unparse(korean)):
        numbers = (
            sorted(ast.dump(part) for part in tree.values if isinstance(part, ast.FormattedValue))
            for tree in (english, korean)
        )
        return next(numbers) == next(numbers)  # another language may have another order
    if isinstance(english, ast.AST):
        return all(same_code(getattr(english, f), getattr(korean, f)) for f in english._fields)
    return english == korean


@pytest.mark.parametrize("name", KOREAN)
def test_the_korean_notebook_has_the_code_of_the_english_one(name: str) -> None:
    english, korean = cells(name.removesuffix(".ko")), cells(name)
    assert [kind for kind, _ in english] == [kind for kind, _ in korean]
    for (kind, ours), (_, theirs) in zip(english, korean, strict=True):
        if kind == "code":
            assert same_code(ast.parse(ours), ast.parse(theirs)), theirs
        else:
            assert HANGUL.search(theirs), theirs
            assert not HANGUL.search(ours), ours


@pytest.mark.parametrize(
    ("english", "korean", "same"),
    [
        ("print('yes', x)", "print('예', x)", True),
        ("print(f'{a} of {b}')", "print(f'{b} 가운데 {a}')", True),
        ("print(f'{a} of {b}')", "print(f'{b} 가운데 {b}')", False),
        ("train('adam')", "train('sgd')", False),
        ("x = 1", "x = '하나'", False),
        ("x = 1", "x = 2", False),
        ("f(x)", "f(x, x)", False),
    ],
)
def test_other_code_is_found(english: str, korean: str, same: bool) -> None:
    assert same_code(ast.parse(english), ast.parse(korean)) == same


# --- the exercises --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exercises() -> ModuleType:
    return import_file(FOLDER / "exercises.py", "exercises")


def said(cell: str, exercises: ModuleType, capsys: pytest.CaptureFixture[str]) -> str:
    """What the checker in the cell says."""
    p = np.array([[0.4332, 0.5668]])  # of notebook 01, two cells further up
    names = {"np": np, "nn": nn, "dataclass": dataclass, "p": p, "exercises": exercises}
    exec(compile(cell, "cell", "exec"), vars(exercises) | names)
    return capsys.readouterr().out.strip()


ONE_BY_ONE = [(name, k) for name in NOTEBOOKS for k in (0, 1)]


@pytest.mark.filterwarnings("ignore:.*runs without numba")  # no source file in this test
@pytest.mark.parametrize(("name", "k"), ONE_BY_ONE)
def test_a_checker_tells_right_from_wrong(
    name: str, k: int, exercises: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    cell, (right, wrong) = exercise_cells(name)[k], answers(name)[k]
    is_korean = name in KOREAN
    exercises.speak("한국어" if is_korean else "English")
    assert bool(HANGUL.search(exercises.said("right"))) == is_korean
    assert said(cell, exercises, capsys) == exercises.said("not yet answered")
    assert said(answered(cell, right), exercises, capsys) == exercises.said("right")
    for answer, hint in wrong.items():
        told = said(answered(cell, answer), exercises, capsys)
        assert told.startswith(exercises.said("not right: {hint}").partition("{")[0]), answer
        if is_korean:
            assert HANGUL.search(told.partition(":")[2]) or "Error" in told, told
        else:
            assert hint in told, f"{answer}: {told}"


# --- they run -------------------------------------------------------------------------------------


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The cells of a notebook after it has run, in a copy of its folder and in its fast form."""
    import jupytext
    import nbclient

    here = folder / "notebooks"
    shutil.copytree(FOLDER, here, ignore=shutil.ignore_patterns("__pycache__", "*.ipynb"))
    monkeypatch.setenv("NNSCRATCH_FAST", "1")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    before = sorted(here.rglob("*"))
    notebook = jupytext.read(here / f"{name}.py")
    resources = {"metadata": {"path": str(here)}}
    nbclient.NotebookClient(notebook, timeout=SECONDS, resources=resources).execute()
    assert sorted(here.rglob("*")) == before
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: Any) -> str:
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")


def check_ran(ran: list[Any], name: str, exercises: ModuleType) -> None:
    exercises.speak("한국어" if name in KOREAN else "English")
    unanswered = [
        cell for cell in ran if printed(cell).strip() == exercises.said("not yet answered")
    ]
    assert len(unanswered) == 2
    seen = printed(ran[-3])  # before the two exercises
    assert seen.startswith("- ")
    assert "nan" not in seen
    pictures = [o for cell in ran for o in cell.outputs if "image/png" in o.get("data", {})]
    assert pictures


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_without_mnist_network_and_numba(
    name: str, exercises: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NNSCRATCH_DATA", raising=False)
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numpy")
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nobody listens there: no network
    check_ran(run(name, tmp_path, monkeypatch), name, exercises)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERWISE)
def test_a_notebook_runs_on_mnist_and_without_the_committed_results(
    name: str,
    exercises: ModuleType,
    mnist_folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NNSCRATCH_DATA", mnist_folder)
    check_ran(run(name, tmp_path, monkeypatch), name, exercises)
