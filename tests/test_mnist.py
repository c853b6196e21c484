"""Real MNIST: the numbers that this project promises. NNSCRATCH_DATA names the four files."""

import json

import numpy as np
import pytest

import nnscratch as nn
from nnscratch import train
from nnscratch.command_line import run


@pytest.fixture
def train_on_mnist(mnist_folder, tmp_path, capsys):
    """Runs the train command and gives its JSON and its history."""

    def command(*argv: str) -> tuple[dict, list[dict]]:
        out = tmp_path / "run"
        flags = ["--dataset", "mnist", "--data-dir", mnist_folder, "--out", str(out)]
        assert run(train.main, [*flags, "--json", "--quiet", *argv]) == 0
        lines = (out / "history.jsonl").read_text().splitlines()
        return json.loads(capsys.readouterr().out), [json.loads(line) for line in lines]

    return command


def test_mnist_is_mnist(mnist: nn.Dataset) -> None:
    assert (len(mnist.train), len(mnist.val), len(mnist.test)) == (50_000, 10_000, 10_000)
    # the mean and the standard deviation of the training pixels, quoted everywhere
    pixels = nn.load_dataset("mnist", val_size=0).train.images
    assert pixels.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert pixels.std() / 255 == pytest.approx(0.3081, abs=5e-5)
    assert np.bincount(mnist.test.labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


def test_validation_is_a_stratified_sixth(mnist: nn.Dataset) -> None:
    share = np.bincount(mnist.val.labels) / np.bincount(np.r_[mnist.val.labels, mnist.train.labels])
    assert abs(share - 1 / 6).max() < 1e-4


def test_no_image_is_in_two_splits(mnist: nn.Dataset) -> None:
    """An error that is lower than it should be does not come of images that were learned."""
    splits = (mnist.train, mnist.val, mnist.test)
    images = np.concatenate([split.images for split in splits])
    assert len({image.tobytes() for image in images}) == 70_000


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_adam_with_its_defaults_reaches_97_point_3(train_on_mnist, seed: int) -> None:
    result, _ = train_on_mnist("--opt", "adam", "--seed", str(seed))
    assert result["dataset"] == "mnist"
    assert result["test_accuracy"] >= 0.973


@pytest.mark.slow
def test_the_lecture_preset_reaches_what_the_lectures_program_reaches(train_on_mnist) -> None:
    """91.2 % after 100 epochs, measured with a copy of the program itself."""
    result, history = train_on_mnist("--preset", "lecture")
    assert len(history) == result["updates"] == 100
    assert result["test_accuracy"] == pytest.approx(0.912, abs=0.004)


@pytest.mark.slow
def test_the_curve_of_another_framework_is_reproduced(train_on_mnist) -> None:
    """DeZero's published losses: sigmoid 784-1000-10, SGD 0.01, batch 100, N(0, 1/fan_in)."""
    _, history = train_on_mnist(
        *("--opt", "sgd", "--lr", "0.01", "--batch-size", "100", "--epochs", "5"),
        *("--init", "lecun_normal", "--val-size", "0"),
    )
    published = [1.9140, 1.2791, 0.9211, 0.7381, 0.6339]
    assert [line["train_loss"] for line in history] == pytest.approx(published, rel=0.02)
