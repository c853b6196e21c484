"""Which kernels multiply matrices: tried, remembered, chosen before NumPy is, and never guessed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnscratch import blas, products
from nnscratch.errors import UsageError

AVX512_PROCESSOR = {
    "model name": "A new one",
    "flags": " ".join(blas.NEWER["Cooperlake"] | {"fma", "avx2"}),
}
OTHER = "Nehalem"  # kernels that every x86-64 processor of today can run, and none would pick

on_openblas = pytest.mark.skipif(
    (products.libraries() or [{}])[0].get("internal_api") != "openblas"
    or blas.processor().get("flags", "").find("sse4_2") < 0
    or blas.loaded_kernels() == OTHER,
    reason="NumPy's BLAS here is not an OpenBLAS for x86-64",
)


class Trials:
    """Stands in for the processes that multiply: what each kernel would do."""

    def __init__(self, picked: str, **gflops: float) -> None:
        self.picked, self.gflops, self.wrong = picked, gflops, set[str]()
        self.asked: list[str] = []

    def __call__(self, coretype: str) -> dict[str, Any] | None:
        self.asked.append(coretype)
        kernels = coretype if coretype in self.gflops else self.picked
        if self.gflops[kernels] == 0:
            return None  # an illegal instruction
        right = kernels not in self.wrong
        return {"kernels": kernels, "right": right, "gflops": self.gflops[kernels], "libraries": []}


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def use(picked: str, **gflops: float) -> Trials:
        stand_in = Trials(picked, **gflops)
        monkeypatch.setattr(blas, "_trial", stand_in)
        return stand_in

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(blas, "processor", lambda: AVX512_PROCESSOR)
    return use


def test_newer_kernels_are_chosen_where_they_are_faster(trials) -> None:
    trials("Haswell", Haswell=120.0, SkylakeX=210.0)
    found = blas.find_best()
    assert found["best"] == "SkylakeX"
    assert found["gflops"] == {"Haswell": 120.0, "SkylakeX": 210.0}


def test_the_fastest_of_several_is_chosen(trials) -> None:
    trials("Zen", Zen=120.0, Haswell=120.0, SkylakeX=210.0, Cooperlake=230.0)
    assert blas.find_best()["best"] == "Cooperlake"


@pytest.mark.parametrize("speed", [90.0, 120.0, 130.0])
def test_kernels_that_are_hardly_faster_are_not_chosen(trials, speed: float) -> None:
    trials("Haswell", Haswell=120.0, SkylakeX=speed)
    assert blas.find_best()["best"] == ""


def test_kernels_that_multiply_wrongly_are_not_chosen(trials) -> None:
    trials("Haswell", Haswell=120.0, SkylakeX=210.0).wrong = {"SkylakeX"}
    assert blas.find_best()["best"] == ""


def test_kernels_that_crash_are_not_chosen(trials) -> None:
    trials("Haswell", Haswell=120.0, SkylakeX=0.0)
    assert blas.find_best()["best"] == ""


def test_kernels_that_crash_now_and_then_are_not_chosen(trials, monkeypatch) -> None:
    stand_in = trials("Haswell", Haswell=120.0, SkylakeX=210.0)

    def unreliable(coretype: str) -> dict[str, Any] | None:
        last_round = stand_in.asked.count("SkylakeX") == blas.ROUNDS
        trial = stand_in(coretype)
        return None if coretype == "SkylakeX" and last_round else trial

    monkeypatch.setattr(blas, "_trial", unreliable)
    assert blas.find_best()["best"] == ""


def test_kernels_beyond_the_processor_are_not_even_tried(trials, monkeypatch) -> None:
    monkeypatch.setattr(blas, "processor", lambda: {"model name": "old", "flags": "avx2 fma"})
    stand_in = trials("Haswell", Haswell=120.0, SkylakeX=210.0)
    assert blas.find_best()["best"] == ""
    assert stand_in.asked == [""]


def test_older_kernels_are_not_tried(trials) -> None:
    stand_in = trials("SkylakeX", SkylakeX=120.0, Haswell=500.0)
    assert blas.find_best()["best"] == ""
    assert "Haswell" not in stand_in.asked


@pytest.mark.parametrize("picked", ["", "neoversen1", "None"])
def test_nothing_is_tried_on_a_library_that_is_not_known(trials, picked: str) -> None:
    stand_in = trials(picked, **{picked: 100.0})
    assert blas.find_best()["best"] == ""
    assert stand_in.asked == [""]


def test_the_answer_is_remembered_for_this_processor_and_this_numpy(trials, monkeypatch) -> None:
    trials("Haswell", Haswell=120.0, SkylakeX=210.0)
    assert blas.remembered() is None
    blas.find_best()
    assert (blas.remembered() or {})["best"] == "SkylakeX"
    with monkeypatch.context() as other:
        other.setattr(blas, "processor", lambda: {"model name": "another"})
        assert blas.remembered() is None
    monkeypatch.setattr(blas, "_numpy_version", lambda: "9.9")
    assert blas.remembered() is None


def test_a_damaged_memory_is_no_memory(trials) -> None:
    trials("Haswell", Haswell=120.0, SkylakeX=210.0)
    blas.find_best()
    blas._memory().write_text('{"best": "Sky')
    assert blas.remembered() is None
    for damaged in ("[]", "{}", '{"best": 5}'):
        blas._memory().write_text(damaged)
        assert blas.remembered() is None


def test_without_a_cache_the_best_kernels_are_found_all_the_same(trials, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    trials("Haswell", Haswell=120.0, SkylakeX=210.0)
    with pytest.warns(UserWarning, match="cannot be remembered"):
        assert blas.find_best()["best"] == "SkylakeX"


def test_a_trial_that_hangs_or_crashes_has_no_result(monkeypatch) -> None:
    monkeypatch.setattr(blas, "TRIAL_SECONDS", 0)
    assert blas._trial("Haswell") is None


def test_a_system_that_tells_little_of_its_processor_has_one_all_the_same(monkeypatch) -> None:
    assert blas.processor()["model name"]
    monkeypatch.setattr(Path, "is_file", lambda _: False)
    assert list(blas.processor()) == ["model name"]


# --- in processes of their own -------------------------------------------------------------------

SHOW = "import nnscratch.blas; print(nnscratch.blas.loaded_kernels())"


def run(*arguments: str, cache: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        k: v for k, v in os.environ.items() if k not in (blas.CORETYPE, "NNSCRATCH_DATA")
    }
    environment |= {"XDG_CACHE_HOME": str(cache), **variables}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def remembering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache in which other kernels than OpenBLAS's own are the best."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    blas._remember({"best": OTHER, "gflops": {}})
    return tmp_path


@on_openblas
def test_remembered_kernels_are_in_use_after_the_import(remembering: Path) -> None:
    assert run("-c", SHOW, cache=remembering).stdout.strip() == OTHER


@on_openblas
def test_what_the_user_chose_stays(remembering: Path) -> None:
    shown = run("-c", SHOW, cache=remembering, OPENBLAS_CORETYPE="Sandybridge").stdout
    assert shown.strip() == "Sandybridge"
    assert run("-c", SHOW, cache=remembering, OPENBLAS_CORETYPE="").stdout.strip() != OTHER


@on_openblas
def test_nothing_is_pretended_where_numpy_was_there_first(remembering: Path) -> None:
    show = f"import numpy, os; {SHOW}; print(os.environ.get('{blas.CORETYPE}'))"
    kernels, variable = run("-c", show, cache=remembering).stdout.split()
    assert kernels != OTHER
    assert variable == "None"


TRAIN = [
    "-m",
    "nnscratch.train",
    "--dataset",
    "digits",
    "--epochs",
    "1",
    "--quiet",
    "--hidden",
    "9",
]


def environment_of(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "env.json").read_text()))


@pytest.mark.slow
@on_openblas
def test_a_named_kernel_is_the_one_that_trains(tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = [*TRAIN, "--blas-kernel", OTHER.lower(), "--threads", "1", "--out", str(out)]
    done = run(*arguments, cache=tmp_path)
    assert done.returncode == 0, done.stderr
    library = environment_of(out)["blas"][0]
    assert (library["architecture"], library["num_threads"]) == (OTHER, 1)


@pytest.mark.slow
@on_openblas
def test_default_is_what_openblas_picks(remembering: Path) -> None:
    for choice in ("auto", "default"):
        arguments = [*TRAIN, "--blas-kernel", choice, "--out", str(remembering / choice)]
        done = run(*arguments, cache=remembering)
        assert done.returncode == 0, done.stderr
    kernels = {
        c: environment_of(remembering / c)["blas"][0]["architecture"] for c in ("auto", "default")
    }
    assert kernels["auto"] == OTHER
    assert kernels["default"] == run("-c", SHOW, cache=remembering / "none").stdout.strip() != OTHER


@on_openblas
def test_kernels_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    done = run(*TRAIN, "--blas-kernel", "Skylark", "--out", str(tmp_path / "run"), cache=tmp_path)
    assert done.returncode == 2
    what, fix = done.stderr.splitlines()
    assert "no kernels 'Skylark'" in what
    assert "SkylakeX" in fix
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@on_openblas
def test_the_first_training_finds_out_and_the_second_remembers(tmp_path: Path) -> None:
    first = run(*TRAIN, "--out", str(tmp_path / "1"), cache=tmp_path)
    second = run(*TRAIN, "--out", str(tmp_path / "2"), cache=tmp_path)
    assert "once on this machine" in first.stderr
    assert "once on this machine" not in second.stderr
    assert environment_of(tmp_path / "1")["blas"] == environment_of(tmp_path / "2")["blas"]


@on_openblas
def test_a_process_that_is_no_command_of_ours_is_not_started_again() -> None:
    with pytest.raises(UsageError, match="running process"):
        blas.use(OTHER)


def test_a_processor_that_cannot_run_the_kernels_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr(blas, "_trial", lambda coretype: None)
    with pytest.raises(UsageError, match="do not work on this processor"):
        blas.use("SapphireRapids2")


def test_more_threads_than_processors_are_warned_of() -> None:
    code = "from nnscratch import blas; blas.set_threads(1000)"
    done = run("-c", code, cache=Path("/nowhere"))
    assert "1000 threads for" in done.stderr


def test_a_product_with_one_wrong_element_is_noticed() -> None:
    assert products.are_right()

    def nearly_right(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        product = a @ b
        if product.shape == (67, 97):
            product[66, 96] += 1
        return product

    assert not products.are_right(nearly_right)
    assert not products.are_right(lambda a, b: np.zeros_like(a @ b))
    assert not products.are_right(lambda a, b: (a @ b) * (b.ndim == 2))
    assert not products.are_right(lambda a, b: (a @ b) * (a.shape != b.T.shape))


def test_the_speed_of_products_is_a_speed() -> None:
    assert 0.1 < products.gflops(batch=8) < 1e5
