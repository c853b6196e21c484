"""python -m nnscratch.augment: how far pixels are moved, and a figure of what comes out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import nnscratch as nn
from nnscratch import augment
from nnscratch.command_line import run


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def command(*argv: str) -> int:
    return run(augment.main, ["--dataset", "digits", *argv])


def test_the_figure_is_written_and_its_name_printed(capsys) -> None:
    assert command("--show") == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1:] == ["augment.png"]
    assert err == ""
    assert [path.name for path in Path().iterdir()] == ["augment.png"]
    with Image.open("augment.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 800


def test_it_shows_each_image_its_copies_and_where_the_first_copy_is_read(drawn, capsys) -> None:
    flags = ["--distortion", "elastic", "--images", "3", "--seed", "7", "--show", "three.png"]
    assert command(*flags) == 0
    (figure,) = drawn
    assert figure.get_suptitle() == "elastic(intensity=34, elasticity=4), seed 7"
    sheet, origin, copy = (axes.images[0].get_array() for axes in figure.axes)
    cells = [
        [sheet[30 * row :][:28, 30 * column :][:, :28] for column in range(10)] for row in range(3)
    ]
    assert sheet.shape == (3 * 30 - 2, 10 * 30 - 2)
    training = nn.load_dataset("digits", val_size=0).train.images.reshape(-1, 28, 28)
    for image, *copies in cells:
        assert (training == image).all(axis=(1, 2)).any()
        assert all((one != image).any() for one in copies)
        assert len({one.tobytes() for one in copies}) == 9
    assert (origin == cells[0][0]).all()
    assert (copy == cells[0][1]).all()
    (arrows,) = figure.axes[1].collections
    assert (arrows.scale, arrows.scale_units, arrows.angles) == (1, "xy", "xy")  # true to scale
    assert arrows.XY.tolist() == [[x, y] for y in range(0, 28, 2) for x in range(0, 28, 2)]
    tips = arrows.XY.T[::-1] + np.stack([arrows.V, arrows.U])
    read = ndimage.map_coordinates(origin.astype(float), tips, order=1, mode="grid-constant")
    np.testing.assert_allclose(copy[::2, ::2].ravel(), read, atol=0.01)


def test_the_numbers_are_those_of_the_displacements(capsys) -> None:
    """Shifts alone: uniform in a square of side 2, whose points lie 0.7652 from its middle."""
    still = ["--rotation", "0", "--scaling", "0", "--shear", "0"]
    assert command("--distortion", "affine", *still, "--shift", "10") == 0
    line = capsys.readouterr().out.strip()
    assert line.startswith("affine(rotation=0, scaling=0, shear=0, shift=10): a pixel is read ")
    mean, within = (
        float(word) for word in line.split() if word.replace(".", "").isdigit() and "." in word
    )
    assert mean == pytest.approx(7.652, abs=0.3)
    assert within == pytest.approx(12.1, abs=0.4)
    assert command("--distortion", "none") == 0
    assert "0.00 pixels from its place" in capsys.readouterr().out
    assert list(Path().iterdir()) == []


def test_a_seed_fixes_the_figure_and_another_draws_other_images(drawn) -> None:
    for seed, name in (("1", "a.png"), ("1", "b.png"), ("2", "c.png")):
        assert command("--images", "1", "--seed", seed, "--show", name) == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    a, _, c = (figure.axes[0].images[0].get_array() for figure in drawn)
    assert (a[:, :28] != c[:, :28]).any()


def test_help_lists_the_hyper_parameters_of_the_chosen_distortion(capsys) -> None:
    with pytest.raises(SystemExit) as left:
        command("--distortion", "affine", "--help")
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert "--distortion affine:" in out
    assert "--rotation X" in out
    assert "--intensity" not in out


@pytest.mark.parametrize(
    ("flags", "what", "fix"),
    [
        (["--distortion", "elastik"], "unknown distortion 'elastik'", "did you mean 'elastic'?"),
        (
            ["--distortion", "affine", "--intensity", "3"],
            "affine has no --intensity; it has --rotation, --scaling, --shear, --shift",
            "--intensity belongs to --distortion elastic, affine_elastic",
        ),
        (["--rotation", "181"], "--rotation: must be a number in [0, 180], got '181'", "see "),
        (["--images", "0"], "--images: must be a whole number in [1, 20], got '0'", "see "),
        (["--seed", "-1"], "--seed: must be a whole number in [0, inf), got '-1'", "see "),
        (["--lr", "1"], "unknown flag --lr", "did you mean"),
        (["--seed", "1", "--seed", "2"], "--seed is given twice", "keep one of the two"),
        (["a.png"], "unexpected argument 'a.png'", "see python -m nnscratch.augment --help"),
        (["--show", "a.jpg"], "--show writes a PNG, and a.jpg is named as none", "end it with"),
    ],
)
def test_flags_that_cannot_be_cost_a_line_and_a_cure(flags, what, fix, capsys) -> None:
    assert command(*flags) == 2
    error, cure = capsys.readouterr().err.splitlines()
    assert error == f"nnscratch: error: {what}"
    assert cure.startswith(f"fix: {fix}")
    assert list(Path().iterdir()) == []


def test_a_folder_that_is_not_there_is_told() -> None:
    assert command("--images", "1", "--show", "nowhere/a.png") == 6
