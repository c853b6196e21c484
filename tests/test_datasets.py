"""Data sets: files that are wrong in every way, where files are looked for, and the splits."""

import gzip
import hashlib
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nnscratch as nn
from nnscratch.datasets import mnist
from nnscratch.datasets.idx import IdxFile

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 3)).astype(np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9], np.uint8)


def idx_bytes(array: np.ndarray) -> bytes:
    """An idx file, from the description of the format."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


def described(name: str, array: np.ndarray) -> IdxFile:
    return IdxFile(name, array.shape, hashlib.sha256(idx_bytes(array)).hexdigest())


FILE = described("toy-images-idx3-ubyte", IMAGES)
LABEL_FILE = described("toy-labels-idx1-ubyte", LABELS)
GOOD = idx_bytes(IMAGES)


def read(path: Path, content: bytes) -> np.ndarray:
    path.write_bytes(content)
    return FILE.read(path)


@pytest.mark.parametrize(
    "name",
    [
        "toy-images-idx3-ubyte",
        "toy-images-idx3-ubyte.gz",
        "toy-images.idx3-ubyte",
        "toy-images.idx3-ubyte.gz",
    ],
)
@pytest.mark.parametrize("compressed", [True, False])
def test_a_good_file_is_found_and_read_whatever_its_name_says(tmp_path, name, compressed) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(GOOD) if compressed else GOOD)
    assert FILE.find(tmp_path) == path
    array = FILE.read(path)
    assert (array == IMAGES).all()
    assert not array.flags.writeable


def test_a_file_that_was_compressed_again_is_the_same_file(tmp_path: Path) -> None:
    for level, mtime in ((1, 0), (9, 12345)):
        packed = gzip.compress(GOOD, level, mtime=mtime)
        assert (read(tmp_path / "a.gz", packed) == IMAGES).all()


WRONG_COUNT = struct.pack(">HBB3I", 0, 8, 3, 7, 4, 3) + IMAGES.tobytes()
HUGE_COUNT = struct.pack(">HBB3I", 0, 8, 3, 2**31, 2**31, 3) + IMAGES.tobytes()
OTHER = idx_bytes(IMAGES[::-1])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (gzip.compress(b""), "empty"),
        (GOOD[:-1], "incomplete: 87 of 88 bytes"),
        (GOOD[:17], "incomplete: 17 of 88 bytes"),
        (GOOD[:3], "not an idx file"),
        (GOOD[:9], "ends in its header"),
        (GOOD + b"x", "longer than 88 bytes"),
        (gzip.compress(GOOD)[:-9], "incomplete: it ends too early"),
        (gzip.compress(GOOD)[:12], "incomplete: it ends too early"),
        (gzip.compress(GOOD)[:-8] + b"\0" * 8, "damaged"),
        (gzip.compress(gzip.compress(GOOD)), "compressed twice"),
        (gzip.compress(b"\0" * 50_000_000), "not an idx file"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\n  <html>", "web page"),
        (idx_bytes(LABELS), "this is a file of labels, expected the image file"),
        (struct.pack("<I3I", 0x803, 6, 4, 3) + IMAGES.tobytes(), "little-endian"),
        (struct.pack(">HBB3I", 0, 0x0D, 3, 6, 4, 3), "not an idx file"),
        (WRONG_COUNT, "its header says 7 x 4 x 3, not 6 x 4 x 3"),
        (HUGE_COUNT, "its header says 2147483648 x"),
        (OTHER, "other contents (sha256 differs)"),
        (b"PK\x03\x04" + GOOD, "not an idx file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_file_is_never_read_and_the_reason_is_named(tmp_path, content, reason) -> None:
    with pytest.raises(nn.DataError) as error:
        read(tmp_path / "toy-images-idx3-ubyte.gz", content)
    assert reason in error.value.what
    assert str(tmp_path) in error.value.what
    assert error.value.fix.startswith(f"replace {tmp_path / 'toy-images-idx3-ubyte.gz'} by")
    assert error.value.exit_code == 3


@pytest.mark.parametrize("packed", [GOOD, gzip.compress(GOOD, mtime=0)], ids=["plain", "gz"])
def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path, packed: bytes) -> None:
    for length in range(len(packed)):
        with pytest.raises(nn.DataError):
            read(tmp_path / "file", packed[:length])


@pytest.mark.parametrize("packed", [GOOD, gzip.compress(GOOD, mtime=0)], ids=["plain", "gz"])
def test_one_flipped_bit_anywhere_is_harmless_or_refused(tmp_path: Path, packed: bytes) -> None:
    for place in range(8 * len(packed)):
        flipped = bytearray(packed)
        flipped[place // 8] ^= 1 << place % 8
        try:
            array = read(tmp_path / "file", bytes(flipped))
        except nn.DataError:
            continue
        assert (array == IMAGES).all()  # a bit of gzip's own header, like its time stamp


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), zipped=st.booleans())
def test_random_bytes_are_refused_with_a_reason(tmp_path: Path, content, zipped) -> None:
    with pytest.raises(nn.DataError):
        read(tmp_path / "file", gzip.compress(content) if zipped else content)


def test_a_bomb_is_not_unpacked_beyond_what_the_file_should_have(tmp_path: Path) -> None:
    bomb = GOOD[:4] + bytes(100_000_000)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bomb, 1))
    del bomb
    tracemalloc.start()
    with pytest.raises(nn.DataError, match="its header says"):
        FILE.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("folder", "fifo", "dangling"):
        with pytest.raises(nn.DataError, match="not a regular file"):
            FILE.read(tmp_path / name)


def test_a_dangling_link_is_reported_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / FILE.name).symlink_to(tmp_path / "nowhere")
    assert FILE.find(tmp_path) == tmp_path / FILE.name


def test_all_missing_files_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(nn.DataError) as error:
        mnist.read(tmp_path, (FILE, LABEL_FILE))
    assert "toy-images-idx3-ubyte, toy-labels-idx1-ubyte" in error.value.what
    assert str(tmp_path) in error.value.fix


def test_the_published_files_have_the_published_sizes() -> None:
    assert [file.size for file in mnist.FILES] == [47_040_016, 60_008, 7_840_016, 10_008]
    assert all(len(file.sha256) == 64 for file in mnist.FILES)


# --- where MNIST is looked for -----------------------------------------------------------------

TOY_FILES = (FILE, LABEL_FILE, described("toy2-images-idx3-ubyte", IMAGES), LABEL_FILE)


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch) -> Path:
    """An empty working folder and cache, toy files for MNIST's, and a network that is down."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NNSCRATCH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mnist, "FILES", TOY_FILES)
    monkeypatch.setattr(mnist, "_answering", lambda *_: [])
    return tmp_path


def fill(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for file, array in zip(TOY_FILES, (IMAGES, LABELS, IMAGES, LABELS), strict=True):
        (folder / file.name).write_bytes(idx_bytes(array))
    return folder


def spoil(folder: Path) -> Path:
    (fill(folder) / FILE.name).write_bytes(OTHER)
    return folder


def test_a_given_folder_comes_before_the_variable_and_that_before_the_rest(
    somewhere, monkeypatch
) -> None:
    good = fill(somewhere / "good")
    monkeypatch.setenv("NNSCRATCH_DATA", str(spoil(somewhere / "bad")))
    spoil(somewhere / "data" / "mnist")
    assert (mnist.load(good)[0] == IMAGES).all()
    with pytest.raises(nn.DataError, match="bad"):
        mnist.load()
    monkeypatch.setenv("NNSCRATCH_DATA", str(good))
    assert (mnist.load()[0] == IMAGES).all()


def test_data_mnist_comes_before_the_cache(somewhere: Path) -> None:
    fill(somewhere / "cache" / "nnscratch" / "mnist")
    assert (mnist.load()[0] == IMAGES).all()
    spoil(somewhere / "data" / "mnist")
    with pytest.raises(nn.DataError, match="other contents"):
        mnist.load()


@pytest.mark.parametrize("name", ["auto", "mnist"])
@pytest.mark.parametrize("how", ["argument", "variable"])
@pytest.mark.parametrize("content", ["missing", "bad"])
def test_nothing_replaces_files_whose_place_was_given(
    somewhere, monkeypatch, name, how, content
) -> None:
    fill(somewhere / "data" / "mnist")  # would do, but was not asked for
    folder = somewhere / "given"
    if content == "bad":
        spoil(folder)
    if how == "variable":
        monkeypatch.setenv("NNSCRATCH_DATA", str(folder))
    with pytest.raises(nn.DataError, match="given"):
        nn.load_dataset(name, data_dir=folder if how == "argument" else None)


def test_three_of_four_files_in_data_mnist_are_an_error_and_not_an_absence(somewhere) -> None:
    fill(somewhere / "data" / "mnist")
    (somewhere / "data" / "mnist" / FILE.name).unlink()
    with pytest.raises(nn.DataError, match="has no toy-images-idx3-ubyte"):
        nn.load_dataset("auto")


def test_only_files_in_the_cache_are_to_be_deleted_and_downloaded_again(somewhere: Path) -> None:
    """The advice to delete a folder would be fatal for a folder of the user's own."""
    with pytest.raises(nn.DataError) as given:
        mnist.load(spoil(somewhere / "thesis"))
    assert "delete" not in given.value.fix
    cache = spoil(somewhere / "cache" / "nnscratch" / "mnist")
    with pytest.raises(nn.DataError) as cached:
        mnist.load()
    assert cached.value.fix == f"delete {cache}, which is then downloaded anew"


def test_a_folder_that_is_none_is_called_so(somewhere: Path) -> None:
    (somewhere / "file").touch()
    for name in ("nowhere", "file"):
        with pytest.raises(nn.DataError, match=f"{name} is no folder"):
            mnist.load(somewhere / name)


def test_a_tilde_means_home(somewhere: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(somewhere))
    fill(somewhere / "mine")
    assert (mnist.load("~/mine")[0] == IMAGES).all()


def test_a_user_without_a_home_trains_on_digits(somewhere: Path, monkeypatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.warns(nn.DatasetWarning, match="no cache folder"):
        assert nn.load_dataset("auto").name == "digits"


def test_without_files_and_network_auto_takes_digits_and_says_so(somewhere: Path) -> None:
    with pytest.warns(nn.DatasetWarning, match=r"no mirror of it answers.*not MNIST") as warning:
        data = nn.load_dataset("auto")
    assert str(somewhere / "data" / "mnist") in str(warning[0].message)
    assert "--data-dir" in str(warning[0].message)
    assert data.name == "digits"


def test_without_files_and_network_mnist_stops_with_the_names_and_the_place(somewhere) -> None:
    with pytest.raises(nn.DataError) as error:
        nn.load_dataset("mnist")
    place = Path("data/mnist")
    for word in (*(file.name for file in TOY_FILES), str(place), "--data-dir", "NNSCRATCH_DATA"):
        assert word in error.value.fix


# --- digits and splits -------------------------------------------------------------------------


def test_digits_look_like_mnist() -> None:
    data = nn.load_dataset("digits")
    assert data.name == "digits"
    assert (len(data.train), len(data.val), len(data.test)) == (1250, 250, 297)
    assert data.train.images.dtype == np.uint8
    assert data.train.images.shape[1] == 784
    assert data.train.images.max() == 255
    assert set(data.train.labels) == set(range(10))
    assert data.train.x[:].max() == 1
    image = data.train.images[0].reshape(28, 28)
    assert (image[:2] == 0).all()
    assert (image[2:26:3] == image[3:26:3]).all()  # each pixel became three by three


def test_digits_of_the_right_class_went_to_the_right_place() -> None:
    """A nearest neighbour among the training images must know the test images."""
    from sklearn.neighbors import KNeighborsClassifier

    data = nn.load_dataset("digits")
    knn = KNeighborsClassifier(1).fit(data.train.images.astype(float), data.train.labels)
    assert knn.score(data.test.images.astype(float), data.test.labels) > 0.97


def test_validation_takes_a_sixth_by_seed_with_the_same_share_of_every_class() -> None:
    a, again, other = (nn.load_dataset("digits", seed=seed) for seed in (0, 0, 1))
    assert (a.val.images == again.val.images).all()
    assert (a.val.labels != other.val.labels).any()
    assert (a.test.images == other.test.images).all()
    shares = np.bincount(a.val.labels) / np.bincount(np.r_[a.val.labels, a.train.labels])
    assert (abs(shares - 1 / 6) < 0.01).all()


def test_no_image_is_in_two_splits_and_none_is_lost() -> None:
    data = nn.load_dataset("digits")
    rows = np.concatenate([s.images for s in (data.train, data.val, data.test)])
    assert len(np.unique(rows, axis=0)) == len(rows) == 1797


def test_val_size_and_limit_cut_as_they_say() -> None:
    everything = nn.load_dataset("digits", val_size=0)
    assert (len(everything.train), len(everything.val)) == (1500, 0)
    cut = nn.load_dataset("digits", val_size=300, limit=100)
    assert (len(cut.train), len(cut.val), len(cut.test)) == (100, 300, 297)
    uncut = nn.load_dataset("digits", val_size=300)
    assert (cut.val.images == uncut.val.images).all()
    assert (cut.train.images == uncut.train.images[:100]).all()


@pytest.mark.parametrize(("raw", "brightest"), [(False, 1), (True, 255)])
def test_all_three_splits_are_shown_in_the_same_scale_and_type(raw: bool, brightest: int) -> None:
    data = nn.load_dataset("digits", raw_pixels=raw, dtype="float64")
    for split in (data.train, data.val, data.test):
        assert split.x[:].max() == brightest
        assert split.x[:].dtype == np.float64


def test_a_small_training_set_does_not_make_classes_vanish() -> None:
    data = nn.load_dataset("digits", limit=2)
    assert data.train.labels.max() < 9
    assert data.classes == 10


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"val_size": 1500}, "cannot set aside 1500 of 1500"),
        ({"val_size": 3}, "cannot set aside 3 of 1500"),
        ({"val_size": -1}, "val_size must be a whole number in [0, inf), got -1"),
        ({"val_size": 2.5}, "val_size must be a whole number"),
        ({"limit": 0}, "[1, 1250], got 0"),
        ({"limit": 10.0}, "[1, 1250], got 10.0"),
        ({"seed": -1}, "seed must be a whole number in [0, inf), got -1"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"limit": 1251}, "[1, 1250], got 1251"),
        ({"data_dir": "somewhere"}, "digits lie inside scikit-learn"),
        ({"name": "fashion"}, "unknown data set 'fashion'"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, what) -> None:
    with pytest.raises(nn.UsageError) as error:
        nn.load_dataset(**{"name": "digits", **arguments})
    assert what in error.value.what
    assert error.value.fix


def test_importing_the_package_touches_neither_disk_nor_network() -> None:
    """A fresh process with an audit hook, which sees every open and every connection."""
    import subprocess
    import sys

    program = (
        "import sys\n"
        "import numpy, ctypes\n"
        "def watch(event, args):\n"
        "    if event.startswith('socket.') or event in ('os.mkdir', 'os.rename', 'os.remove'):\n"
        "        raise SystemExit(f'{event} {args}')\n"
        "    if event == 'open' and args[1] and set(args[1]) & set('wax+'):\n"
        "        raise SystemExit(f'{event} {args}')\n"
        "    if event == 'open' and 'mnist' in str(args[0]) and not str(args[0]).endswith(\n"
        "        ('.py', '.pyc')):\n"
        "        raise SystemExit(f'{event} {args}')\n"
        "sys.addaudithook(watch)\n"
        "import nnscratch, nnscratch.train\n"
        "heavy = {'sklearn', 'matplotlib', 'numba', 'scipy', 'pandas', 'PIL'} & set(sys.modules)\n"
        "heavy |= {'torch', 'onnx', 'safetensors', 'optuna', 'plotly'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
