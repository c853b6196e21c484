"""All labs: each is in the list with its question, and its results are there, and small."""

import importlib.util
import re
from pathlib import Path

import pytest
from PIL import Image

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
RESULTS = EXPERIMENTS / "results" / "labs"
LIST = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
LABS = sorted(
    path.stem
    for path in EXPERIMENTS.glob("*.py")
    if "\ndef main(lab: Lab)" in path.read_text(encoding="utf-8")
)


def test_the_list_has_each_lab_with_its_question() -> None:
    listed = dict(re.findall(r"^\| \[(\w+)\]\(results/labs/\1\.md\) \| (.*) \|$", LIST, re.M))
    assert sorted(listed) == LABS
    for name, question in listed.items():
        first = (EXPERIMENTS / f"{name}.py").read_text(encoding="utf-8").splitlines()[0]
        assert first.strip('"') == question
        assert question.endswith("?")


def test_the_list_has_the_other_scripts_too() -> None:
    listed = re.findall(r"^\| \[(\w+)\.py\]", LIST, re.M)
    scripts = {path.stem for path in EXPERIMENTS.glob("*.py")} - set(LABS) - {"lab"}
    assert sorted(listed) == sorted(scripts)


@pytest.mark.parametrize("name", LABS)
def test_the_page_has_its_command_and_all_its_tables_and_figures_are_there(name: str) -> None:
    page = (RESULTS / f"{name}.md").read_text(encoding="utf-8")
    script = (EXPERIMENTS / f"{name}.py").read_text(encoding="utf-8")
    assert page.startswith(f"# {script.splitlines()[0].strip(chr(34))}\n")
    assert f"`python experiments/{name}.py`: " in page
    files = re.findall(r"\]\((\S+)\)", page)
    assert any(file.endswith(".png") for file in files)
    assert any(file.endswith(".csv") for file in files)
    for file in files:
        assert (RESULTS / file).is_file(), file


def test_nothing_lies_among_the_results_that_no_page_names() -> None:
    named = {f"{name}.md" for name in LABS}
    for name in LABS:
        page = (RESULTS / f"{name}.md").read_text(encoding="utf-8")
        named |= set(re.findall(r"\]\((\S+)\)", page))
    assert {path.name for path in RESULTS.iterdir()} == named


@pytest.mark.parametrize("path", sorted(RESULTS.iterdir()), ids=lambda path: path.name)
def test_results_are_small_and_figures_can_be_read_in_a_page(path: Path) -> None:
    assert path.stat().st_size < 200_000
    if path.suffix == ".png":
        with Image.open(path) as picture:
            assert 900 <= picture.width <= 1100
    if path.suffix == ".csv":
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) >= 2


@pytest.fixture
def lab(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    spec = importlib.util.spec_from_file_location("lab", EXPERIMENTS / "lab.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small(lab, folder: Path, fast: bool = True):
    return lab.Lab(Path("twice.py"), "Is it twice?", folder, fast, "digits")


def test_a_lab_writes_a_page_with_command_sentences_figures_and_tables(lab, tmp_path) -> None:
    one = small(lab, tmp_path / "out")
    one.data(limit=100)
    one.table([{"n": 1, "twice": 2.0}, {"n": 3, "twice": 1 / 3}])
    one.say("It is twice.")
    figure, (axes, *_) = lab.blank()
    axes.plot([1, 2])
    one.draw(figure, "What is seen.", "part")
    one.end()
    page = (tmp_path / "out" / "twice.md").read_text(encoding="utf-8")
    assert page.startswith("# Is it twice?\n\n")
    assert "`python experiments/twice.py --fast --dataset digits`: " in page
    assert "digits, 100 images to train" in page
    assert "- It is twice.\n" in page
    assert "![What is seen.](twice_part.png)" in page
    assert page.endswith("[twice.csv](twice.csv)\n")
    table = (tmp_path / "out" / "twice.csv").read_text(encoding="utf-8")
    assert table == "n,twice\n1,2\n3,0.333333\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("twice.md", "twice.csv", "twice_part.png")
    }


def test_a_limit_beyond_the_images_takes_all_of_them(lab, tmp_path) -> None:
    assert len(small(lab, tmp_path).data(limit=10**6).train) == 1250


def test_fast_and_full_are_picked_as_asked(lab, tmp_path) -> None:
    assert small(lab, tmp_path).pick(5, fast=1) == 1
    assert small(lab, tmp_path, fast=False).pick(5, fast=1) == 5


@pytest.mark.parametrize(
    ("argv", "code", "what"),
    [
        (["--fastt"], 2, "unrecognized arguments: --fastt"),
        (["--fast", "--out", "taken"], 6, "taken cannot be written"),
        (["--fast", "--out", "new", "--dataset", "mnistt"], 2, "unknown data set 'mnistt'"),
    ],
)
def test_wrong_arguments_cost_two_lines(lab, argv, code, what, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("")
    monkeypatch.setitem(lab.sys.modules, "lab", lab)

    def main(one) -> None:
        one.data()

    main.__module__ = "lab"
    assert lab.run(main, argv) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert what in lines[0]
