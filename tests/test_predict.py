"""The predict command: digits in pictures of any kind, and pictures that are none."""

import io
import json
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nnscratch as nn
from nnscratch import predict, train
from nnscratch.command_line import run
from nnscratch.handwriting import as_digits, as_mnist
from nnscratch.pictures import KINDS, read_grey

Picture = np.ndarray


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    flags = ["--dataset", "digits", "--hidden", "50", "--epochs", "15", "--quiet", "--lr", "0.005"]
    assert run(train.main, [*flags, "--batch-size", "32", "--out", str(path)]) == 0
    return path


def drawn(height: int, width: int, top: int = 9, left: int = 13, thick: int = 4) -> Picture:
    """An L of that size on a large canvas: 1 where there is ink."""
    picture = np.zeros((height + 60, width + 80))
    picture[top : top + height, left : left + thick] = 1
    picture[top + height - thick : top + height, left : left + width] = 1
    return picture


def cut(picture: Picture) -> Picture:
    """The part with ink on it."""
    rows, columns = np.nonzero(picture)
    return picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def centre(picture: Picture) -> np.ndarray:
    rows, columns = np.indices(picture.shape)
    return np.array([np.average(rows, weights=picture), np.average(columns, weights=picture)])


def images(n: int) -> tuple[Picture, np.ndarray]:
    """Test images of the digits set, from 0 to 1."""
    test = nn.load_dataset("digits").test
    return test.images[:n].reshape(-1, 28, 28) / 255, test.labels[:n]


def enlarged(picture: Picture, times: int) -> Picture:
    """Smoothly, as a drawing program does."""
    image = Image.fromarray(np.float32(picture))
    size = (times * picture.shape[1], times * picture.shape[0])
    return np.clip(np.asarray(image.resize(size, Image.Resampling.BICUBIC)), 0, 1)


def saved(path: Path, grey: Picture) -> Path:
    Image.fromarray(np.uint8(np.rint(255 * grey))).save(path)
    return path


# --- the picture that the network sees -----------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width"),
    [(20, 20), (100, 50), (50, 100), (37, 91), (300, 8), (8, 300), (9, 5), (1000, 900)],
)
def test_the_digit_fits_a_box_of_20_and_its_centre_of_mass_is_the_middle(height, width) -> None:
    seen = as_mnist(1 - drawn(height, width))
    assert (seen.shape, seen.dtype, seen.max()) == ((28, 28), np.uint8, 255)
    rows, columns = cut(seen).shape
    assert max(rows, columns) == 20
    assert rows / columns == pytest.approx(
        height / width, rel=0.06 if min(rows, columns) > 5 else 1
    )
    assert (np.abs(centre(seen) - 14) <= 0.5 + 5e-3).all()  # of bytes, which are rounded


def test_a_digit_with_all_its_mass_at_one_end_stays_in_the_picture() -> None:
    picture = np.zeros((120, 120))
    picture[10:110, 58:62] = 0.3
    picture[90:110, 30:90] = 1
    seen = as_mnist(1 - picture)
    assert cut(seen).shape[0] == 20
    assert seen[0].any()  # its top, which the centre of mass would have pushed out


@pytest.mark.slow
def test_mnists_own_centre_is_pixel_14_and_its_box_20(mnist: nn.Dataset) -> None:
    pictures = mnist.test.images.reshape(-1, 28, 28)[:500]
    centres = np.array([centre(picture) for picture in pictures])
    assert (np.abs(centres - 14) <= 0.5 + 1e-3).all()
    assert {max(cut(picture).shape) for picture in pictures} == {20}


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "light on dark": lambda grey: 1 - grey,
    "moved": lambda grey: np.roll(grey, (20, 31), axis=(0, 1)),
    "more paper": lambda grey: np.pad(grey, ((0, 70), (300, 5)), constant_values=1),
    "cut close": lambda grey: grey[8:-48, 12:-60],
    "enlarged": lambda grey: grey.repeat(5, axis=0).repeat(5, axis=1),
    "grey ink on grey paper": lambda grey: 0.4 + 0.3 * grey,
    "dark ground": lambda grey: 0.3 - 0.2 * grey,
    "dust": lambda grey: np.where(np.isin(np.arange(grey.size).reshape(grey.shape), DUST), 0, grey),
}
DUST = [2 * 110 + 2, 95 * 110 + 100]  # two pixels of 100 x 110, one above the digit, one below


@pytest.mark.parametrize("centred", [as_mnist, as_digits])
@pytest.mark.parametrize("change", list(CHANGES))
def test_what_is_around_the_digit_and_how_it_is_lit_does_not_matter(change, centred) -> None:
    grey = 1 - drawn(40, 30)
    before, after = centred(grey), centred(CHANGES[change](grey))
    assert np.abs(before.astype(int) - after).max() <= 1


@pytest.mark.parametrize(("dark", "noise"), [(0.6, 0.005), (0.85, 0.04)])
def test_a_shadow_noise_of_the_paper_and_dust_are_left_out(dark: float, noise: float) -> None:
    rng = np.random.default_rng(0)
    strokes = drawn(200, 140, top=40, left=50, thick=30)
    light = np.linspace(dark, 0.85, strokes.shape[1])
    photo = np.clip(light * (1 - 0.7 * strokes) + rng.normal(0, noise, strokes.shape), 0, 1)
    photo[3:6, 4:7] = 0  # dust
    clean, seen = (cut(as_mnist(grey)).astype(int) for grey in (1 - strokes, photo))
    assert seen.shape == clean.shape
    assert seen[clean == 0].max() < 64  # of 255: the edges are less sharp
    assert np.abs(seen - clean).mean() < 10


def test_a_jpegs_ghosts_around_the_strokes_are_left_out(tmp_path: Path) -> None:
    clean = 1 - drawn(200, 140, top=40, left=50, thick=30)
    file = tmp_path / "digit.jpg"
    Image.fromarray(np.uint8(255 * clean)).save(file, quality=20)
    seen = as_mnist(read_grey(file))
    assert cut(seen).shape == cut(as_mnist(clean)).shape


def test_a_digit_of_the_digits_set_comes_back_as_it_was() -> None:
    """But for faint pixels at its edge, and a place aside where it stood out of the middle."""
    pictures, _ = images(100)
    same = [np.abs(as_digits(p) / 255 - p).max() <= 0.13 for p in pictures]
    assert np.mean(same) > 0.5


# --- kinds of files ------------------------------------------------------------------------------


def rgba(strokes: Picture, ink: int) -> Image.Image:
    """Ink of that grey on nothing."""
    levels = np.zeros((*strokes.shape, 4), np.uint8)
    levels[..., :3] = ink
    levels[..., 3] = 255 * strokes
    return Image.fromarray(levels)


STROKES = drawn(40, 30)
GREY = Image.fromarray(np.uint8(255 * (1 - STROKES)))
NAVY = Image.fromarray(np.uint8(255 - STROKES[..., None] * [255, 255, 127]))
FILES: dict[str, Image.Image] = {
    "grey.png": GREY,
    "one_bit.png": GREY.convert("1"),
    "palette.png": NAVY.quantize(4),
    "palette.gif": GREY.convert("P"),
    "navy.png": NAVY,
    "16_bits.png": Image.fromarray(np.uint16(50_000 * (1 - STROKES))),
    "black_on_nothing.png": rgba(STROKES, 0),
    "white_on_nothing.png": rgba(STROKES, 255),
    "grey_on_nothing.png": rgba(STROKES, 100),
    "grey_and_alpha.png": rgba(STROKES, 0).convert("LA"),
    "grey.bmp": GREY,
    "grey.tiff": GREY,
    "16_bits.tiff": Image.fromarray(np.uint16(50_000 * (1 - STROKES))),
    "grey.ppm": NAVY,
    "lossless.webp": NAVY,
    "cmyk.tiff": NAVY.convert("CMYK"),
    "cmyk.jpg": NAVY.convert("CMYK"),
    "grey.jpg": GREY,
}


@pytest.mark.parametrize("name", list(FILES))
def test_the_same_drawing_is_seen_in_a_file_of_every_kind(name: str, tmp_path: Path) -> None:
    options = {"lossless": True} if name.endswith("webp") else {}
    if name.endswith("jpg"):
        options = {"quality": 95}
    FILES[name].save(tmp_path / name, **options)
    grey = read_grey(tmp_path / name)
    assert (grey.shape, grey.dtype) == (STROKES.shape, np.float32)
    assert grey.min() >= 0
    assert grey.max() <= 1
    seen = as_mnist(grey).astype(int)
    off = np.abs(seen - as_mnist(1 - STROKES))
    assert off.max() <= (30 if name.endswith("jpg") else 1)


def test_every_kind_that_the_message_names_was_tried() -> None:
    kinds = {name.rpartition(".")[2].upper().replace("JPG", "JPEG") for name in FILES}
    assert kinds == set(KINDS)


def test_a_photograph_is_turned_as_the_camera_was_held(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: to be turned clockwise
    GREY.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    assert (as_mnist(read_grey(tmp_path / "turned.png")) == as_mnist(1 - STROKES)).all()


def test_16_bits_are_read_as_16(tmp_path: Path) -> None:
    for name in ("levels.png", "levels.tiff"):
        Image.fromarray(np.uint16([[0, 30_001, 30_002, 65_535]])).save(tmp_path / name)
        grey = read_grey(tmp_path / name)
        np.testing.assert_allclose(65_535 * grey, [[0, 30_001, 30_002, 65_535]], atol=0.1)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_numbers_of_which_none_is_known_to_be_white_are_refused(dtype: str, tmp_path: Path) -> None:
    Image.fromarray((1 - STROKES).astype(dtype)).save(tmp_path / "numbers.tiff")
    error = refused(tmp_path / "numbers.tiff")
    assert "none is known to be white" in error.what
    assert error.fix == "save it with 8 or 16 bits a pixel"


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "I;16"])
def test_a_large_picture_is_made_smaller_by_means(mode: str, tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 2, (2 * 1001, 2 * 1001))  # of black and white
    if mode == "I;16":
        image = Image.fromarray(np.uint16(65_535 * levels))
    else:
        image = Image.fromarray(np.uint8(255 * levels)).convert(mode)
    image.save(tmp_path / "large.png", compress_level=1)
    means = levels.reshape(1001, 2, 1001, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(read_grey(tmp_path / "large.png"), means, atol=1 / 255)


@pytest.mark.slow
def test_a_large_picture_takes_no_more_memory_than_is_said(tmp_path: Path) -> None:
    """Nearly Pillow's limit; measured: 0.3 GB."""
    if sys.platform != "linux":
        pytest.skip("the peak of a process is read as Linux tells it")
    large = Image.new("1", (9400, 9400), 1)
    large.paste(0, (4000, 1000, 5000, 8000))
    large.save(tmp_path / "large.png")
    program = (
        "import re, sys; from pathlib import Path\n"
        "from nnscratch.handwriting import as_mnist; from nnscratch.pictures import read_grey\n"
        "as_mnist(read_grey(Path(sys.argv[1])))\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1])"
    )
    argv = [sys.executable, "-c", program, str(tmp_path / "large.png")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500_000


def test_colours_are_as_bright_as_they_look(tmp_path: Path) -> None:
    colors = np.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]])
    Image.fromarray(colors).save(tmp_path / "rgb.png")
    grey = read_grey(tmp_path / "rgb.png")
    np.testing.assert_allclose(grey, [[0.299, 0.587, 0.114]], atol=1 / 255)  # ITU-R BT.601


# --- the command ---------------------------------------------------------------------------------


def answers(capsys, *argv: object) -> tuple[int, str, str]:
    code = run(predict.main, [str(word) for word in argv])
    return code, *capsys.readouterr()


def test_answers_are_told_with_their_probabilities(trained_run: Path, tmp_path, capsys) -> None:
    pictures, labels = images(8)
    files = [saved(tmp_path / f"{k}.png", enlarged(p, 5)) for k, p in enumerate(pictures)]
    code, out, err = answers(capsys, trained_run, *files)
    assert (code, err) == (0, "")
    line = re.compile(r"(\S+): (\d) \((\d+\.\d) %\), then (\d) \((\S+) %\), (\d) \((\S+) %\)")
    told = [line.fullmatch(text).groups() for text in out.splitlines()]
    assert [file for file, *_ in told] == [str(file) for file in files]
    assert np.mean([int(answer) for _, answer, *_ in told] == labels) > 0.6
    code, out, err = answers(capsys, trained_run, *files, "--json")
    model = nn.load_model(trained_run)
    for file, text, words in zip(files, out.splitlines(), told, strict=True):
        found = json.loads(text)
        x = as_digits(read_grey(file)).reshape(1, -1) / np.float32(255)
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(x)[0], rtol=1e-5)
        assert (found["file"], str(found["answer"])) == (words[0], words[1])
        ranked = np.argsort(found["probabilities"])[::-1]
        assert [str(k) for k in ranked[:3]] == [words[1], words[3], words[5]]
        assert f"{100 * max(found['probabilities']):.1f}" == words[2]


def test_a_network_that_saw_raw_pixels_sees_them_again(tmp_path: Path, capsys) -> None:
    model = nn.MLP([784, 10], init="zeros")
    model.parameters[0].w[:, 4] = 1e-4  # 4, the more ink there is
    nn.save_model(tmp_path / "alone.npz", model)
    flags = ["--dataset", "digits", "--hidden", "3", "--epochs", "1", "--raw-pixels", "--quiet"]
    assert run(train.main, [*flags, "--out", str(tmp_path / "raw")]) == 0
    file = saved(tmp_path / "digit.png", 1 - STROKES)
    _, out, _ = answers(capsys, tmp_path / "raw", file, "--json")
    x = as_digits(read_grey(file)).reshape(1, -1).astype(np.float32)
    wanted = nn.load_model(tmp_path / "raw").predict_proba(x)[0]
    np.testing.assert_allclose(json.loads(out)["probabilities"], wanted, rtol=1e-5)
    _, out, _ = answers(capsys, tmp_path / "alone.npz", file, "--json", "--dataset", "mnist")
    ink = as_mnist(read_grey(file)).sum() / 255
    four = np.exp(1e-4 * ink) / (np.exp(1e-4 * ink) + 9)
    assert json.loads(out)["probabilities"][4] == pytest.approx(four, rel=1e-5)


def test_a_bad_file_among_good_ones_costs_only_its_own_answer(
    trained_run: Path, tmp_path: Path, capsys
) -> None:
    good = saved(tmp_path / "good.png", 1 - STROKES)
    text = tmp_path / "text.png"
    text.write_text("seven")
    blank = saved(tmp_path / "blank.png", np.ones((30, 30)))
    missing = tmp_path / "missing.png"
    code, out, err = answers(capsys, trained_run, good, text, missing, good, blank)
    assert code == 3
    assert [line.partition(":")[0] for line in out.splitlines()] == [str(good)] * 2
    what, fix, *others = err.splitlines()
    assert what == f"nnscratch: error: {text} is no picture of a kind that is read here"
    assert fix == "fix: save it anew as one of these: PNG, JPEG, GIF, BMP, TIFF, WEBP, PPM"
    assert others[0] == f"nnscratch: error: there is no picture {missing}"
    assert others[2].startswith(f"nnscratch: error: {blank}: nothing is drawn on it")


def test_a_picture_that_stands_behind_show_is_not_written_over(
    trained_run: Path, tmp_path: Path, capsys
) -> None:
    file = saved(tmp_path / "seven.png", np.tri(30))
    before = file.read_bytes()
    for show, what in ((file, "would write over"), (tmp_path / "a.svg", "writes a PNG")):
        code, _, err = answers(capsys, trained_run, file, "--show", show)
        assert code == 2
        assert what in err
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_what_the_network_sees_is_drawn(trained_run: Path, tmp_path: Path, capsys) -> None:
    file = saved(tmp_path / ("a very long name of a file " * 3 + ".png"), 1 - STROKES)
    code, *_ = answers(capsys, trained_run, file, file, "--show", tmp_path / "seen.png")
    assert code == 0
    with Image.open(tmp_path / "seen.png") as image:
        levels = np.asarray(image.convert("L"))
    assert levels.min() == 0  # the ground of the pictures
    assert np.mean(levels == 0) > 0.05
    code, _, err = answers(capsys, trained_run, file, "--show", tmp_path / "no" / "where.png")
    assert code == 6
    assert "cannot be written" in err


# --- refusals ------------------------------------------------------------------------------------


def refused(path: Path) -> nn.DataError:
    with pytest.raises(nn.DataError) as error:
        as_mnist(read_grey(path))
    assert error.value.fix
    return error.value


EMPTY: dict[str, Picture] = {
    "white": np.ones((50, 70)),
    "black": np.zeros((50, 70)),
    "one pixel": np.ones((1, 1)),
    "hardly darker": 0.5 - 0.05 * STROKES,
    "a speck": np.where(np.indices((50, 50)).sum(axis=0) == 60, 1.0, 1.0),
    "paper": np.random.default_rng(0).normal(0.8, 0.02, (400, 300)).clip(0, 1),
}
EMPTY["a speck"][20:22, 20:23] = 0


@pytest.mark.parametrize("name", list(EMPTY))
def test_an_empty_picture_has_no_digit(name: str, tmp_path: Path) -> None:
    assert "nothing is drawn" in refused(saved(tmp_path / "empty.png", EMPTY[name])).what


def test_a_picture_of_nothing_but_transparency_has_no_digit(tmp_path: Path) -> None:
    rgba(np.zeros((30, 30)), 0).save(tmp_path / "nothing.png")
    assert "nothing is drawn" in refused(tmp_path / "nothing.png").what


def test_a_file_made_to_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    """A PNG of few bytes whose header says 100,000 x 100,000, and one just beyond the limit."""
    for width in (100_000, 10_000):
        header = struct.pack(">IIBBBBB", width, width, 1, 0, 0, 0, 0)
        chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
        content = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
        (tmp_path / "bomb.png").write_bytes(content)
        error = refused(tmp_path / "bomb.png")
        assert "more than 89,478,485 pixels" in error.what
        assert error.fix == "make it smaller"


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm"])
def test_a_damaged_file_is_refused_or_read_and_nothing_else(kind: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    GREY.save(buffer, kind)
    content, rng = buffer.getvalue(), np.random.default_rng(0)
    file = tmp_path / f"damaged.{kind}"
    told = []
    for k in range(120):
        damaged = bytearray(content)
        if k % 3 == 0:
            del damaged[int(rng.integers(len(content))) :]
        else:
            for place in rng.integers(0, min(len(content), 400), 1 + k % 4):
                damaged[place] = rng.integers(256)
        file.write_bytes(damaged)
        try:
            read_grey(file)
        except nn.DataError as error:
            told.append(error.what)
    assert len(told) > 10
    assert all(what.startswith(f"{file} ") for what in told)


@pytest.mark.parametrize("kind", [2, 7, 11], ids=["text", "bytes", "float"])
def test_a_tiff_whose_strips_begin_at_no_number_is_refused(kind: int, tmp_path: Path) -> None:
    """4 x 1 pixels, whose entry StripOffsets has another type: Pillow raises TypeError."""
    entries = [(256, 4, 4), (257, 4, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 122),
               (277, 3, 1), (278, 4, 1), (279, 4, 4)]  # fmt: skip
    for offsets in (4, kind):
        content = b"II*\0" + struct.pack("<IH", 8, len(entries))
        for tag, type_, value in entries:
            content += struct.pack("<HHII", tag, offsets if tag == 273 else type_, 1, value)
        (tmp_path / "tiny.tif").write_bytes(content + bytes(4) + b"\xff\0\xff\0")
        if offsets == 4:
            assert read_grey(tmp_path / "tiny.tif").tolist() == [[1, 0, 1, 0]]
    assert "is damaged" in refused(tmp_path / "tiny.tif").what


def test_a_folder_and_a_file_that_may_not_be_read_are_refused(tmp_path: Path, monkeypatch) -> None:
    assert "cannot be read (Is a directory)" in refused(tmp_path).what
    file = saved(tmp_path / "good.png", 1 - STROKES)

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(Image, "open", forbidden)
    assert refused(file).what == f"{file} cannot be read (Permission denied)"


def test_a_network_that_knows_no_digits_is_refused(trained_run: Path, tmp_path, capsys) -> None:
    file = saved(tmp_path / "digit.png", 1 - STROKES)

    def failure(*argv: object) -> tuple[int, str]:
        code, out, err = answers(capsys, *argv)
        assert out == ""
        what, fix = err.splitlines()
        assert fix.startswith("fix: ")
        return code, what.removeprefix("nnscratch: error: ")

    small, letters, own = (tmp_path / f"{name}.npz" for name in ("small", "letters", "own"))
    nn.save_model(small, nn.MLP([64, 10]))
    nn.save_model(letters, nn.MLP([784, 26]))
    nn.save_model(own, nn.MLP([784, 10]))
    assert failure(small, file)[0] == 2
    wrong = (2, "the network has 64 inputs and 10 outputs")
    assert failure(small, file, "--dataset", "mnist") == wrong
    wrong = (2, "the network has 784 inputs and 26 outputs")
    assert failure(letters, file, "--dataset", "mnist") == wrong
    assert failure(own, file, "--dataset", "cifar") == (2, "unknown data set of digits 'cifar'")
    assert failure(trained_run)[0] == 2  # no picture
    assert failure(tmp_path / "nowhere", file)[0] == 4
    unfinished = tmp_path / "unfinished"
    shutil.copytree(trained_run, unfinished, ignore=shutil.ignore_patterns("model.npz"))
    code, what = failure(unfinished, file)
    assert (code, "there is no trained network in" in what) == (4, True)
    assert failure(trained_run, file, "--jsno")[0] == 2


# --- how well it does ----------------------------------------------------------------------------


@pytest.mark.slow
def test_digits_in_pictures_of_all_sorts_are_told_as_well_as_mnists_own(
    mnist: nn.Dataset, tmp_path: Path, capsys
) -> None:
    """500 test images, each as a file, and from there all the way.

    Measured with four seeds, in points: up to 0.4 below the originals, photographs up to 1.6.
    """
    model = nn.MLP([784, 200, 10])
    list(nn.fit(model, nn.OPTIMIZERS["adam"](), nn.mini_batch(mnist.train), 3))
    n = 500
    own = model.evaluate(mnist.test.x[:n], mnist.test.labels[:n]).accuracy
    assert own > 0.92
    rng = np.random.default_rng(0)

    def photo(p: Picture) -> Picture:
        p = np.pad(enlarged(p, 6), ((60, 100), (90, 20)))
        light = np.linspace(0.65, 0.85, p.shape[1])
        return np.clip(light * (1 - 0.7 * p) + rng.normal(0, 0.02, p.shape), 0, 1)

    sorts: dict[str, Callable[[Picture], Picture]] = {
        "as they are": lambda p: p,
        "enlarged, dark on light": lambda p: 1 - enlarged(p, int(rng.integers(2, 15))),
        "blocks": lambda p: p.repeat(4, axis=0).repeat(4, axis=1),
        "anywhere on a canvas": lambda p: np.pad(
            enlarged(p, 4), [tuple(rng.integers(0, 200, 2)) for _ in range(2)]
        ),
        "ink or paper": lambda p: np.float64(enlarged(p, 8) < 0.5),
        "photo": photo,
    }
    for name, change in sorts.items():
        right = 0
        for picture, label in zip(mnist.test.images[:n], mnist.test.labels[:n], strict=True):
            kind = "jpg" if name == "photo" else "png"
            file = saved(tmp_path / f"digit.{kind}", change(picture.reshape(28, 28) / 255))
            shares = predict.probabilities(model, predict.centred(file, as_mnist), 255.0)
            right += int(np.argmax(shares) == label)
        print(f"{name}: {100 * right / n:.1f} % of {100 * own:.1f} %")
        assert right / n > own - (0.02 if name == "photo" else 0.01), name


@pytest.mark.slow
def test_pictures_of_the_digits_set_are_told_nearly_as_well_as_the_originals() -> None:
    """Measured: 94 % where the originals have 98; a tenth of them stands out of the middle."""
    data = nn.load_dataset("digits")
    model = nn.MLP([784, 200, 10])
    list(nn.fit(model, nn.OPTIMIZERS["adam"](), nn.mini_batch(data.train, 32), 40))
    own = model.evaluate(data.test.x, data.test.labels).accuracy
    pictures, labels = images(297)
    seen = [as_digits(np.pad(1 - enlarged(p, 6), 40, constant_values=1)) for p in pictures]
    x = np.stack(seen).reshape(297, -1) / np.float32(255)
    right = model.evaluate(x, labels).accuracy
    print(f"{100 * right:.1f} % of {100 * own:.1f} %")
    assert own > 0.96
    assert right > own - 0.06
