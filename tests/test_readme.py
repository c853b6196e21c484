"""What the README shows is what happens."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

import nnscratch as nn
from nnscratch import check, command_line, train
from nnscratch.command_line import flag
from nnscratch.hyper import hypers

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
CHECKPOINTS = [block for block in BLOCKS if "save_checkpoint" in block]
LOOKS = [block for block in BLOCKS if "nn.microscope" in block or "nn.find_lr" in block]
ELSEWHERE = [block for block in BLOCKS if "nn.NNClassifier" in block]
PARTS = [block for block in BLOCKS[2:] if block not in CHECKPOINTS + LOOKS + ELSEWHERE]
OUTPUT, TRACE = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
NUMBER = re.compile(r"\d+\.\d+")


@pytest.fixture
def own_registries(monkeypatch) -> None:
    for name in ("OPTIMIZERS", "ACTIVATIONS", "INITIALIZERS"):
        monkeypatch.setattr(nn, name, dict(getattr(nn, name)))


def run(code: str, namespace: dict) -> None:
    exec(compile(code, "README.md", "exec"), namespace)


@pytest.mark.slow
@pytest.mark.usefixtures("mnist_folder")
def test_the_ten_lines_print_what_stands_below_them(capsys) -> None:
    ten_lines, by_hand = BLOCKS[:2]
    assert len([line for line in ten_lines.splitlines() if line]) == 10
    namespace: dict = {}
    run(ten_lines, namespace)
    printed = capsys.readouterr().out
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", OUTPUT)
    for number, shown in zip(NUMBER.findall(printed), NUMBER.findall(OUTPUT), strict=True):
        # other BLAS kernels round otherwise: losses to 2 %, accuracies to half a percent
        assert float(number) == pytest.approx(
            float(shown), rel=0.02 if float(shown) < 10 else 0.005
        )
    before = namespace["model"].evaluate(namespace["data"].val.x, namespace["data"].val.labels)
    run(by_hand, namespace)
    after = namespace["model"].evaluate(namespace["data"].val.x, namespace["data"].val.labels)
    assert after.loss < before.loss


@pytest.mark.slow
@pytest.mark.usefixtures("mnist_folder")
def test_the_microscope_shows_what_stands_below_it(capsys) -> None:
    number = re.compile(r"-?\d+(?:\.\d+)?(?:e-\d+)?")
    run(LOOKS[0], {"nn": nn})
    printed = capsys.readouterr().out
    assert number.sub("#", " ".join(printed.split())) == number.sub("#", " ".join(TRACE.split()))
    for found, shown in zip(number.findall(printed), number.findall(TRACE), strict=True):
        assert float(found) == pytest.approx(float(shown), rel=0.02)


def test_the_table_of_troubles_is_what_was_measured() -> None:
    with (ROOT / "experiments/results/surfaces/troubles.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    measured = {(row["optimizer"], row["trouble"]): row["number"] for row in rows}
    section = README.split("### On surfaces")[1].split("\n#")[0]
    table = re.findall(r"^\| (\w+) \| (.*) \|$", section, re.MULTILINE)
    assert [name for name, _ in table] == list(dict.fromkeys(row["optimizer"] for row in rows))
    names = ["valley 100", "turned", "zig-zag", "z. turned", "lower %", "plateau 3.5", "saddle"]
    for optimizer, cells in table:
        for name, cell in zip(names, cells.split(" | "), strict=True):
            number = measured[optimizer, name]
            assert cell == (f"{round(float(number), 1):.3g}" if number else "never")


def test_what_it_quotes_of_the_labs_is_what_they_say() -> None:
    pages = (ROOT / "experiments" / "results" / "labs").glob("*.md")
    said = {line for page in pages for line in page.read_text(encoding="utf-8").splitlines()}
    quoted = re.findall(r"^> (.+)$", README, re.MULTILINE)
    assert quoted
    assert all(f"- {sentence}" in said for sentence in quoted)


def test_every_file_that_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^):#=]+)\)", README)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []
    notebooks = {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert notebooks <= set(links)


def test_rates_and_curvature_are_looked_at_as_written(capsys) -> None:
    data, model = nn.load_dataset("digits"), nn.MLP([784, 10, 10])
    loader, w = nn.mini_batch(data.train, 50), model.w.copy()
    namespace = {"nn": nn, "data": data, "model": model, "loader": loader}
    run(LOOKS[1], namespace)
    assert (model.w == w).all()
    assert 1e-4 < namespace["optimizer"].lr < 1
    largest, *layers = capsys.readouterr().out.splitlines()
    assert float(largest) > 0
    assert len(layers) == 2


@pytest.mark.slow
def test_a_search_and_the_files_for_others_are_made_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = ELSEWHERE
    namespace: dict = {"nn": nn}
    run(block, namespace)
    assert "lr 0.01 in " in capsys.readouterr().out
    assert namespace["search"].best_score_ > 0.9
    assert (namespace["model"].w == namespace["best"].model_.w).all()
    assert {path.suffix for path in tmp_path.iterdir()} == {".npz", ".safetensors", ".onnx"}


def test_a_run_goes_on_as_written(toy: nn.Split, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = CHECKPOINTS
    whole, model = nn.MLP([12, 5, 3]), nn.MLP([12, 5, 3])
    adam, loader = nn.OPTIMIZERS["adam"](), nn.mini_batch(toy, 50)
    run(block, {"nn": nn, "model": model, "optimizer": adam, "loader": loader})
    list(nn.fit(whole, adam, nn.mini_batch(toy, 50), 20))
    assert (model.w == whole.w).all()


@pytest.mark.usefixtures("own_registries")
@pytest.mark.filterwarnings("ignore:.*runs without numba")  # no source file in this test
def test_the_parts_of_ones_own_work_as_written(toy: nn.Split) -> None:
    namespace: dict = {"nn": nn}
    for block in PARTS:
        run(block, namespace)
    assert nn.OPTIMIZERS["powersign"] is namespace["PowerSign"]
    data = nn.load_dataset("digits")
    for optimizer in (nn.OPTIMIZERS["powersign"](), namespace["NormalizedSGD"]()):
        model = nn.MLP(
            [784, 50, 10], activation=namespace["Softsign"](), init=namespace["Sparse"]()
        )
        records = list(nn.fit(model, optimizer, nn.mini_batch(data.train, 50), 5, val=data.val))
        assert records[-1].val_accuracy > 0.8
    assert (np.count_nonzero(namespace["model"].parameters[0].w, axis=0) == 20).all()


def test_twelve_lines_in_a_file_are_an_optimizer_that_passes_and_trains(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    (block,) = (block for block in BLOCKS if block.startswith("# my_opt.py"))
    assert len([line for line in block.splitlines() if line]) <= 12
    monkeypatch.chdir(tmp_path)
    Path("my_opt.py").write_text(block)
    for module in (check, train):
        command = f"    python -m {module.__name__} "
        (typed,) = (li for li in README.splitlines() if li.startswith(command) and "my_opt" in li)
        argv = typed.removeprefix(command).split()
        quick = ["--dataset", "digits", "--epochs", "3", "--hidden", "30"]
        assert command_line.run(module.main, argv + quick * (module is train)) == 0
    assert "PASS my_opt.py:MyOpt" in capsys.readouterr().out


@pytest.mark.usefixtures("own_registries")
@pytest.mark.filterwarnings("ignore:.*runs without numba")  # no source file in this test
def test_ones_own_activation_in_the_readme_has_the_right_derivative() -> None:
    namespace: dict = {"nn": nn}
    for block in PARTS:
        run(block, namespace)
    softsign, z = namespace["Softsign"](), np.linspace(-3, 3, 12)
    dz = np.empty(12)
    softsign.backward(np.ones(12), z, z, dz)

    def total(z: np.ndarray) -> float:
        a = np.empty(12)
        softsign.forward(z, a)
        return float(a.sum())

    np.testing.assert_allclose(dz, nn.numerical_gradient(total, z), atol=1e-7)


def test_the_lists_of_parts_are_complete() -> None:
    section = README.split("## What there is")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| (\w+) \| (.*) \|$", section, re.MULTILINE))
    registries = {
        "optimizers": nn.OPTIMIZERS,
        "activations": nn.ACTIVATIONS,
        "initializers": nn.INITIALIZERS,
        "losses": nn.LOSSES,
        "schedules": nn.SCHEDULES,
        "loaders": nn.LOADERS,
        "distortions": nn.DISTORTIONS,
    }
    flags = [flag(name) for name in [*hypers(nn.Regularization), "batch_norm"]]
    assert re.findall(r"`(--[\w-]+)`", rows.pop("regularization")) == flags
    assert rows.keys() == registries.keys()
    for kind, registry in registries.items():
        assert re.findall(r"`(\w+)`", rows[kind]) == list(registry)


def test_the_sections_that_it_lists_are_its_sections() -> None:
    sections = re.findall(r"^## (.+)$", README, re.MULTILINE)
    listed = re.findall(r"\[([^\]]+)\]\(#([^)]+)\)", README)
    assert [title for title, _ in listed] == [title for title in sections if title != "Licence"]
    for title, anchor in listed:  # as GitHub makes them
        assert anchor == re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_the_files_that_the_readme_points_to_exist() -> None:
    for target in re.findall(r"\[[^\]\"]+\]\(((?!http|#)[^)]+)\)", README):
        assert (Path(__file__).parent.parent / target).is_file(), target
