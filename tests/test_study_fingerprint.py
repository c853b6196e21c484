"""Hashes: another one for whatever changes a result, the same for whatever does not."""

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from study_rows import workload

import nnscratch as nn
from nnscratch.datasets.split import data_hash
from nnscratch.own_file import load_optimizer
from nnscratch.study import fingerprint
from nnscratch.study.trials import Trial
from nnscratch.study.workers import OwnModule, Task

OWN = '''"""My optimizer."""
from dataclasses import dataclass

import nnscratch as nn
from nnscratch.datasets.split import data_hash


@dataclass(frozen=True)
class Own(nn.Elementwise):
    """Steps."""

    lr: float = nn.hyper(0.5, "(0, inf)", "step size")

    @staticmethod
    def rule(w, dw, *, lr):
        return w - lr * dw  # downhill
'''


@pytest.fixture
def code_of(tmp_path: Path):
    def hashed(source: str) -> str:
        path = tmp_path / f"own{len(list(tmp_path.iterdir()))}" / "own.py"
        path.parent.mkdir()
        path.write_text(source)
        return fingerprint.of_code(load_optimizer(f"{path}:Own")())

    return hashed


def test_a_formula_that_changes_changes_the_code(code_of) -> None:
    plain = code_of(OWN)
    assert code_of(OWN.replace("lr * dw", "2 * lr * dw")) != plain
    assert code_of(OWN.replace("0.5", "0.25")) != plain


def test_comments_docstrings_and_line_breaks_do_not_count(code_of) -> None:
    plain = code_of(OWN)
    assert code_of(OWN.replace("# downhill", "# down the hill")) == plain
    assert code_of(OWN.replace("Steps.", "Takes steps.")) == plain
    assert code_of(OWN.replace("w - lr * dw", "(w\n        - lr * dw)")) == plain
    assert code_of(OWN.replace('    """Steps."""\n', "")) == plain
    assert code_of(OWN.replace("lr):", 'lr):\n        """Down."""')) == plain


def test_what_an_own_file_imports_from_beside_it_is_its_code(tmp_path: Path) -> None:
    source = OWN.replace(
        "import nnscratch as nn\n", "import nnscratch as nn\nfrom my_rules import f\n"
    )

    def hashed(folder: str, rules: str) -> str:
        path = tmp_path / folder / "own.py"
        path.parent.mkdir()
        path.write_text(source.replace("lr * dw", "lr * f(dw)"))
        (path.parent / "my_rules.py").write_text(rules)
        sys.modules.pop("my_rules", None)
        optimizer = load_optimizer(f"{path}:Own")()
        ((root, files),) = fingerprint.own_files(optimizer).values()
        assert [file.relative_to(root).name for file in files] == ["own.py", "my_rules.py"]
        return fingerprint.of_code(optimizer)

    plain = hashed("a", "def f(x):\n    return x\n")
    assert hashed("b", "def f(x):\n    return x  # itself\n") == plain
    assert hashed("c", "def f(x):\n    return 2 * x\n") != plain
    sys.modules.pop("my_rules")


@pytest.fixture
def packaged(tmp_path: Path):
    """An own optimizer whose formula stands in a folder beside it, and which says `down` there."""

    def load(folder: str, imported: str, down: str, *packages: str) -> nn.Optimizer:
        for name in [name for name in sys.modules if name.partition(".")[0] == "helpers"]:
            del sys.modules[name]
        root = tmp_path / folder
        (root / "helpers" / "deep").mkdir(parents=True)
        for package in packages:
            (root / package / "__init__.py").write_text("")
        (root / "helpers" / "maths.py").write_text("from helpers.deep.sign import down\n")
        (root / "helpers" / "deep" / "sign.py").write_text(f"def down(x):\n    return {down}\n")
        (root / "own.py").write_text(
            f"{imported}\n"
            + OWN[: OWN.index("    @staticmethod")].replace("nn.Elementwise", "nn.Optimizer")
            + "    def update(self, w, dw, state):\n"
            + "        w += self.lr * maths.down(dw)\n        return w\n"
        )
        return load_optimizer(f"{root / 'own.py'}:Own")()

    return load


@pytest.mark.slow
@pytest.mark.parametrize("imported", ["from helpers import maths", "import helpers.maths as maths"])
@pytest.mark.parametrize("packages", [(), ("helpers", "helpers/deep")])
def test_what_an_own_file_imports_from_folders_beside_it_is_its_code(
    packaged, imported: str, packages: tuple[str, ...]
) -> None:
    plain = fingerprint.of_code(packaged("a", imported, "-x", *packages))
    assert fingerprint.of_code(packaged("b", imported, "-x  # downhill", *packages)) == plain
    assert fingerprint.of_code(packaged("c", imported, "-7 * x", *packages)) != plain


@pytest.mark.slow
def test_a_worker_elsewhere_has_the_folders_beside_an_own_file(packaged, toy: nn.Split) -> None:
    optimizer = packaged("here", "from helpers import maths", "-x", "helpers")
    trial = Trial(workload(sizes=(12, 5, 3)), optimizer, nn.SCHEDULES["constant"](), 1, 0, False)
    task = Task.of(trial)
    (module,) = task.own_modules
    elsewhere = replace(task, own_modules=(replace(module, folder="/nowhere"),))
    code = "import pickle, sys; print(*pickle.load(sys.stdin.buffer)())"
    data = {"train": toy, "val": toy, "test": toy}
    for sent in (task, elsewhere):  # as to a process that has seen none of it
        call = pickle.dumps(partial(outcome_of, sent, data))
        command = [sys.executable, "-c", code]
        path = os.pathsep.join([str(Path(__file__).parent), str(fingerprint.PACKAGE.parent)])
        env = os.environ | {"PYTHONPATH": path}
        out = subprocess.run(command, input=call, capture_output=True, check=True, env=env).stdout
        assert out.decode().strip() == "done"


def outcome_of(task: Task, data) -> tuple[str, ...]:
    outcome = task(data).outcome
    return tuple(filter(None, (outcome.status, outcome.message)))


def test_an_own_file_beside_this_package_is_the_same_code_elsewhere(monkeypatch) -> None:
    """In the folder of a checkout, `import nnscratch` is not what the user wrote."""
    path = fingerprint.PACKAGE.parent / "own.py"
    text = fingerprint._text
    monkeypatch.setattr(fingerprint, "_text", lambda file: OWN if file == path else text(file))
    assert fingerprint._imports(fingerprint.Place(path, path.parent)) == set()


@pytest.mark.slow
def test_each_optimizer_has_the_code_that_it_runs_and_no_more(monkeypatch) -> None:
    codes = {name: fingerprint.of_code(cls()) for name, cls in nn.OPTIMIZERS.items()}
    assert len({codes[name] for name in ("sgd", "adam", "sam", "muon", "lookahead")}) == 5
    assert codes["momentum"] == codes["heavy_ball"]  # of one file
    bare = fingerprint._bare_source

    def changed(name: str) -> set[str]:
        """The optimizers whose code is another one once that file is."""
        monkeypatch.setattr(
            fingerprint, "_bare_source", lambda f: bare(f) + "#" * (f.name == f"{name}.py")
        )
        fingerprint._of_classes.cache_clear()
        return {n for n, cls in nn.OPTIMIZERS.items() if fingerprint.of_code(cls()) != codes[n]}

    assert changed("muon") == {"muon"}
    assert changed("adam") >= {"adam", "sam", "lookahead"}  # they go around an Adam
    assert "sgd" not in changed("adam")
    for name in ("loop", "model", "layers", "loaders", "seeds", "elementwise", "split", "trials"):
        assert changed(name) == set(nn.OPTIMIZERS)
    for name in ("plots", "analysis", "workers", "ledger", "mnist", "command_line"):
        assert not changed(name)
    fingerprint._of_classes.cache_clear()


def test_one_pixel_one_label_or_another_scale_is_other_data(toy: nn.Split) -> None:
    data = {"train": toy}
    plain = data_hash(data)
    assert data_hash({"train": toy[:]}) == plain
    pixels, labels = toy.images.copy(), toy.labels.copy()
    pixels[7, 3] ^= 1
    labels[7] = (labels[7] + 1) % 3
    others = [
        {"train": nn.Split(pixels, toy.labels, 255.0)},
        {"train": nn.Split(toy.images, labels, 255.0)},
        {"train": nn.Split(toy.images, toy.labels, 1.0)},
        {"train": nn.Split(toy.images, toy.labels, 255.0, "float64")},
        {"train": toy[:-1]},
        {"val": toy},
        {"train": nn.Split(np.ascontiguousarray(pixels[::-1]), toy.labels, 255.0)},
    ]
    assert len({plain, *map(data_hash, others)}) == len(others) + 1


def test_every_setting_of_a_trial_is_in_its_hash(monkeypatch) -> None:
    trial = Trial(workload(), nn.OPTIMIZERS["lookahead"](), nn.SCHEDULES["constant"](), 3, 0, False)
    others = [
        replace(trial, epochs=4),
        replace(trial, seed=1),
        replace(trial, reads_test=True),
        replace(trial, schedule=nn.SCHEDULES["cosine"]()),
        replace(trial, schedule=nn.SCHEDULES["constant"](warmup=3)),
        replace(trial, optimizer=nn.OPTIMIZERS["lookahead"](k=6)),
        replace(trial, optimizer=nn.OPTIMIZERS["lookahead"](nn.OPTIMIZERS["adam"](lr=0.5))),
        replace(trial, optimizer=nn.OPTIMIZERS["lookahead"](nn.OPTIMIZERS["adamw"]())),
        replace(trial, workload=workload(threads=2)),
        replace(trial, workload=workload(data="mnist 9999")),
        replace(trial, workload=workload(sizes=(784, 999, 10))),
        replace(trial, workload=workload(activation=nn.ACTIVATIONS["leaky_relu"](0.2))),
        replace(trial, workload=workload(activation=nn.ACTIVATIONS["leaky_relu"]())),
        replace(trial, workload=workload(batch_size=99)),
    ]
    keys = {fingerprint.of_trial(t, "search") for t in (trial, *others)}
    keys.add(fingerprint.of_trial(trial, "full"))
    monkeypatch.setattr(fingerprint, "of_code", lambda _: "other")
    keys.add(fingerprint.of_trial(trial, "search"))
    assert len(keys) == len(others) + 3


def test_a_worker_with_a_long_life_takes_the_new_text_of_a_file_and_of_what_it_imports(
    tmp_path: Path,
) -> None:
    for number in (1, 2):
        sources = (
            ("long_lived.py", "from long_lived_helper import NUMBER\n"),
            ("long_lived_helper.py", f"NUMBER = {number}\n"),
        )
        OwnModule("long_lived", str(tmp_path), sources).ensure_imported()
        assert number == sys.modules["long_lived"].NUMBER
