"""The lab of the activations: its theory on closed forms, its measurements on networks by hand."""

import importlib
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from lab_tables import EXPERIMENTS, RESULTS, rows_of

import nnscratch as nn


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return importlib.import_module("activations")


@pytest.fixture(scope="module")
def digits() -> nn.Dataset:
    return nn.load_dataset("digits", limit=300)


def two_images() -> np.ndarray:
    """Orthogonal ones, of lengths 3 and 5."""
    return np.array([[3.0, 0.0], [0.0, 5.0]])


def test_a_line_carries_the_difference_of_images_by_the_root_of_n_var(lab) -> None:
    variances = [0.1, 0.03, 0.002]
    found, slopes = lab.expected_signal(nn.ACTIVATIONS["identity"](), variances, two_images())
    # the deviation of two numbers is half their difference
    first = math.sqrt(0.1 * (9 + 25)) / 2
    expected = [first, first * math.sqrt(3), first * math.sqrt(3 * 0.2)]
    assert found == pytest.approx(expected, rel=1e-3)
    assert slopes == pytest.approx([1, 1, 1])


def test_a_relu_correlates_orthogonal_images_as_the_arc_cosine_kernel_says(lab) -> None:
    """Cho and Saul, NIPS 2009: E f(u) f(v) = |u| |v| / (2 pi) at a right angle."""
    (found,), (slope,) = lab.expected_signal(nn.ACTIVATIONS["relu"](), [1.0], two_images())
    mean_square = 9 / 2 + 25 / 2 - 2 * 15 / (2 * math.pi)
    assert found == pytest.approx(math.sqrt(mean_square) / 2, rel=5e-3)
    assert slope == pytest.approx(0.5)


def test_the_sigmoid_near_zero_is_a_line_of_slope_a_quarter(lab) -> None:
    x = 1e-3 * two_images()
    found, slopes = lab.expected_signal(nn.ACTIVATIONS["sigmoid"](), [1.0], x)
    assert found == pytest.approx([0.25 * 1e-3 * math.sqrt(34) / 2], rel=1e-3)
    assert slopes == pytest.approx([1 / 16], rel=1e-3)


def test_gradients_in_theory_multiply_from_the_outputs_down(lab) -> None:
    found = lab.expected_gradients(8.0, [99.0, 0.01, 0.04], [0.25, 0.0625])
    assert found == pytest.approx([8 * 0.5 * 0.5, 8 * 0.5])  # 100 x 0.04 x 0.0625 = 1 / 4


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "silu"])
def test_the_theory_is_what_networks_do_on_the_average(lab, name) -> None:
    rng = np.random.default_rng(3)
    x, labels = rng.normal(size=(6, 20)), rng.integers(0, 10, 6)
    signal, gradient, outputs = [], [], []
    for seed in range(150):
        model = nn.MLP([20, 100, 100, 10], name, "he_normal", seed=seed, dtype="float64")
        found = lab.probed(model, x, labels)
        signal.append([layer["std of a"] ** 2 for layer in found])
        gradient.append([layer["|dL/dz|"] ** 2 for layer in found])
        outputs.append(lab.outputs_gradient(model) ** 2)
    variances = [0.1, 0.02, 0.02]
    deviations, slopes = lab.expected_signal(model.activation, variances[:-1], x)
    assert np.mean(signal, axis=0) == pytest.approx(np.square(deviations), rel=0.06)
    theory = lab.expected_gradients(math.sqrt(np.mean(outputs)), variances, slopes)
    assert np.mean(gradient, axis=0) == pytest.approx(np.square(theory), rel=0.08)


@pytest.mark.parametrize("name", list(nn.ACTIVATIONS))
def test_no_gradient_is_beyond_its_bound(lab, name) -> None:
    rng = np.random.default_rng(5)
    x, labels = rng.normal(size=(30, 12)), rng.integers(0, 3, 30)
    model = nn.MLP([12, 8, 8, 8, 3], name, nn.INITIALIZERS["normal"](std=1.0), dtype="float64")
    for layer in lab.probed(model, x, labels):
        assert 0 < layer["|dL/dz|"] <= layer["bound"] * (1 + 1e-12)


def test_dead_is_off_for_every_image_and_saturated_counts_images(lab) -> None:
    model = nn.MLP([1, 4, 2], "relu", dtype="float64")
    W, b = model.parameters[0].w, model.parameters[1].w
    W[...] = [[1.0, -1.0, 0.0, 0.0]]
    b[...] = [0.0, 0.0, -1.0, 1.0]  # on at one image, at the other, at none, at both
    (found,) = lab.probed(model, np.array([[1.0], [-1.0]]), np.array([0, 1]))
    assert found["dead"] == 0.25
    assert found["saturated"] == 0.5
    assert found["std of a"] == pytest.approx(math.sqrt((0.25 + 0.25) / 4))


def test_the_watched_update_is_lr_times_the_gradient(lab, digits) -> None:
    """The first update, by hand: its batch, its gradient, its length."""
    rows = lab.watched_rows(digits, "tanh", 2, 0.5, 1, seed=7)
    sizes = [digits.train.images.shape[1], lab.WIDTH, lab.WIDTH, digits.classes]
    model = nn.MLP(sizes, "tanh", "glorot_normal", seed=7)
    x, labels = next(iter(nn.mini_batch(digits.train, lab.BATCH, 7)))
    model.loss_and_grad(x, labels)
    weights = [p for p in model.parameters if p.name.startswith("W")]
    expected = [0.5 * np.linalg.norm(p.dw) / np.linalg.norm(p.w) for p in weights]
    start = [row for row in rows if row["epoch"] == 0]
    assert [row["|update| / |W|"] for row in start] == pytest.approx(expected[:2], rel=1e-3)
    assert {row["epoch"] for row in rows} == {0, 1}
    assert rows[0]["|dL/dW|"] != rows[-2]["|dL/dW|"]


def test_the_committed_sentences_are_those_of_the_committed_numbers(lab) -> None:
    scan, start, training = (
        rows_of(RESULTS / f"activations{part}.csv") for part in ("", "_start", "_training")
    )
    said = [
        *lab.findings_of_start(start),
        *lab.findings_of_depth(scan),
        *lab.findings_of_training(training),
    ]
    page = (RESULTS / "activations.md").read_text()
    assert [line[2:] for line in page.splitlines() if line.startswith("- ")] == said


@pytest.mark.slow
def test_the_fast_form_leaves_tables_figures_and_a_page(lab, tmp_path: Path) -> None:
    frame = importlib.import_module("lab")
    args = ["--fast", "--dataset", "digits", "--out", str(tmp_path)]
    assert frame.run(lab.main, args) == 0
    made = {path.name for path in tmp_path.iterdir()}
    for part in ("", "_start", "_training"):
        assert {f"activations{part}.csv", f"activations{part}.png"} <= made
    page = (tmp_path / "activations.md").read_text()
    assert page.startswith("# How far does a signal come through each activation")
