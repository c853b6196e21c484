"""Hashes: another one for whatever changes a result, the same for whatever does not."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from study_rows import workload

import nnscratch as nn
from nnscratch.own_file import load_optimizer
from nnscratch.study import fingerprint
from nnscratch.study.trials import Trial

OWN = '''"""My optimizer."""
from dataclasses import dataclass

import nnscratch as nn


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
        (files,) = fingerprint.own_files(optimizer).values()
        assert [file.name for file in files] == ["own.py", "my_rules.py"]
        return fingerprint.of_code(optimizer)

    plain = hashed("a", "def f(x):\n    return x\n")
    assert hashed("b", "def f(x):\n    return x  # itself\n") == plain
    assert hashed("c", "def f(x):\n    return 2 * x\n") != plain
    sys.modules.pop("my_rules")


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
    plain = fingerprint.of_data(data)
    assert fingerprint.of_data({"train": toy[:]}) == plain
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
    assert len({plain, *map(fingerprint.of_data, others)}) == len(others) + 1


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
