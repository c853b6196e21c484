"""Loaders: every image once an epoch, in an order that the seed decides, as scaled floats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnscratch as nn
from nnscratch import seeds


def numbered(n: int, unit: float = 1.0, dtype: str = "float32") -> nn.Split:
    """n images of two bytes that tell which one they are; the label tells it too."""
    k = np.arange(n)
    return nn.Split(np.stack([k % 256, k // 256], axis=1).astype(np.uint8), k, unit, dtype)


def epoch(loader: nn.Loader) -> list[np.ndarray]:
    return [labels.copy() for _, labels in loader]


@given(n=st.integers(1, 300), batch_size=st.integers(1, 300), seed=st.integers(0, 2**70))
def test_every_image_comes_once_an_epoch_and_no_batch_is_dropped(n, batch_size, seed) -> None:
    batch_size = min(batch_size, n)
    batches = epoch(nn.mini_batch(numbered(n), batch_size, seed))
    assert sorted(np.concatenate(batches)) == list(range(n))
    assert [len(b) for b in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert len(batches[-1]) == (n % batch_size or batch_size)
    assert len(nn.mini_batch(numbered(n), batch_size)) == len(batches)


@given(n=st.integers(2, 600), batch_size=st.integers(1, 50))
def test_images_and_labels_stay_together(n: int, batch_size: int) -> None:
    for x, labels in nn.mini_batch(numbered(n), min(batch_size, n)):
        assert (x[:] @ [1, 256] == labels).all()
        assert x.shape == (len(labels), 2)


def test_the_samples_are_shuffled_and_not_only_the_batches() -> None:
    first = epoch(nn.mini_batch(numbered(100), 10))[0]
    assert len(set(first // 10)) > 1


def test_every_epoch_has_an_order_of_its_own_and_a_seed_fixes_them_all() -> None:
    a, b, other = (nn.mini_batch(numbered(50), 7, seed) for seed in (3, 3, 4))
    orders = [np.concatenate(epoch(a)).tolist() for _ in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    assert orders == [np.concatenate(epoch(b)).tolist() for _ in range(3)]
    assert orders[0] != np.concatenate(epoch(other)).tolist()


def test_an_epoch_that_was_left_early_does_not_disturb_the_next() -> None:
    a, b = (nn.mini_batch(numbered(50), 7) for _ in range(2))
    next(iter(a))
    epoch(b)
    assert np.concatenate(epoch(a)).tolist() == np.concatenate(epoch(b)).tolist()


def test_without_a_batch_size_it_is_128_or_all_images() -> None:
    assert nn.mini_batch(numbered(500)).batch_size == 128
    assert nn.mini_batch(numbered(50)).batch_size == 50


def test_weights_order_and_validation_images_are_drawn_apart_from_each_other() -> None:
    """One stream for two purposes would tie the order of the images to the weights."""
    purposes = [key for name, key in vars(seeds).items() if name.isupper()]
    draws = {p: tuple(np.random.default_rng(seeds.stream(0, p)).random(3)) for p in purposes}
    assert len(set(draws.values())) == len(purposes) == 6
    loader = nn.mini_batch(numbered(50), 7, seed=3)
    expected = np.random.SeedSequence(3, spawn_key=(seeds.SHUFFLE, 4))
    assert (loader.order(4) == np.random.default_rng(expected).permutation(50)).all()


def test_the_batch_size_does_not_change_the_order() -> None:
    a, b = (np.concatenate(epoch(nn.mini_batch(numbered(50), size, 1))) for size in (7, 50))
    assert (a == b).all()


def test_batch_gives_all_images_as_they_lie_in_one_update() -> None:
    loader = nn.batch(numbered(40))
    assert len(loader) == 1
    for _ in range(2):
        assert [b.tolist() for b in epoch(loader)] == [list(range(40))]


def test_stochastic_gives_one_image_at_a_time_shuffled() -> None:
    loader = nn.stochastic(numbered(40), seed=0)
    labels = [label for (label,) in epoch(loader)]
    assert len(loader) == 40
    assert labels != sorted(labels)


def test_all_three_loaders_are_in_the_registry() -> None:
    assert list(nn.LOADERS) == ["batch", "mini_batch", "stochastic"]
    assert list(nn.LOADERS.values()) == [nn.batch, nn.mini_batch, nn.stochastic]


@pytest.mark.parametrize("size", [0, -1, 41, 2.0, "8", True])
def test_a_batch_size_that_cannot_be_is_refused(size: int) -> None:
    with pytest.raises(nn.UsageError) as error:
        nn.mini_batch(numbered(40), size)
    assert "[1, 40]" in error.value.what


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bytes_are_divided_by_255_in_the_dtype_asked_for(dtype: str) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(64, 4)
    split = nn.Split(pixels, np.zeros(64, int), unit=255.0, dtype=dtype)
    expected = (pixels / np.array(255, dtype)).astype(dtype)
    x, _ = next(iter(nn.batch(split)))
    for read in (x[:], split.x[:], np.asarray(split.x), np.asarray(x)):
        assert read.dtype == dtype
        assert (read == expected).all()
        assert read.max() == 1


def test_raw_pixels_stay_what_they_are() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(64, 4)
    x, _ = next(iter(nn.batch(nn.Split(pixels, np.zeros(64, int), unit=1.0))))
    assert (x[:] == pixels).all()
    assert x[:].dtype == np.float32


def test_batches_take_shape_in_one_buffer() -> None:
    loader = nn.mini_batch(numbered(40), 10)
    places = {x.read(slice(0, 5)).ctypes.data for x, _ in loader}
    assert len(places) == 1
    assert next(iter(places)) % 64 == 0


def test_pixels_can_be_indexed_like_the_matrix_that_they_stand_for() -> None:
    split = numbered(30, unit=2.0)
    whole = split.images / 2
    assert (split.x[3] == whole[3]).all()
    assert (split.x[[4, 1]] == whole[[4, 1]]).all()
    assert (split.x[5:9] == whole[5:9]).all()
    x, labels = next(iter(nn.mini_batch(split, 8)))
    assert (x[2] == whole[labels[2]]).all()
    assert (x[2:5] == whole[labels[2:5]]).all()
    assert (x.read(slice(2, 5)) == whole[labels[2:5]]).all()


def test_what_was_indexed_stays_what_it_was() -> None:
    loader = nn.mini_batch(numbered(40), 8)
    kept = [(x[:4], x[4:], labels) for x, labels in loader]
    for first, second, labels in kept:
        assert (np.concatenate([first, second]) @ [1, 256] == labels).all()


def test_the_images_of_a_split_cannot_be_changed_nor_are_the_callers_locked() -> None:
    images, labels = np.zeros((3, 2)), np.zeros(3, int)
    split = nn.Split(images, labels)
    for array in (split.images, split.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    images[0] = 1
    labels[0] = 1


@pytest.mark.parametrize(
    ("images", "labels", "what"),
    [
        (np.zeros((3, 2)), np.zeros(4, int), "3 images but 4 labels"),
        (np.zeros((3, 2, 2)), np.zeros(3, int), "images have shape (3, 2, 2)"),
        (np.zeros((3, 2)), np.zeros((3, 1), int), "labels (3, 1)"),
        (np.zeros((3, 2)), np.zeros(3), "float64"),
        (np.zeros((3, 2)), np.array([0, 1, -1]), "not class numbers"),
        (np.zeros((3, 2)), np.array(["a", "b", "c"]), "not class numbers"),
    ],
)
def test_images_and_labels_that_do_not_belong_together_are_refused(images, labels, what) -> None:
    with pytest.raises(nn.UsageError) as error:
        nn.Split(images, labels)
    assert what in error.value.what
    assert error.value.fix


@pytest.mark.parametrize("unit", [0, -1.0, float("nan")])
def test_a_unit_that_cannot_divide_is_refused(unit: float) -> None:
    with pytest.raises(nn.UsageError, match="unit must be a number"):
        nn.Split(np.zeros((3, 2)), np.zeros(3, int), unit=unit)


def test_an_empty_split_cannot_be_loaded() -> None:
    with pytest.raises(nn.UsageError, match="no images"):
        nn.batch(numbered(3)[:0])


def test_a_seed_that_is_none_is_refused() -> None:
    for seed in (-1, 1.5, "0"):
        with pytest.raises(nn.UsageError, match="seed must be a whole number"):
            list(nn.stochastic(numbered(3), seed=seed))


def test_what_a_notebook_shows_of_data_and_loaders(toy: nn.Split) -> None:
    assert repr(toy) == "<Split of 300 images of 12 pixels>"
    shown = "<Loader of 3 batches of 128 from <Split of 300 images of 12 pixels>>"
    assert repr(nn.mini_batch(toy, 128)) == shown


@pytest.mark.parametrize("images", [np.eye(3), (np.eye(3), np.arange(3)), [1, 2, 3]])
@pytest.mark.parametrize("name", nn.LOADERS)
def test_images_that_are_no_split_are_refused_with_what_to_give(name, images) -> None:
    with pytest.raises(nn.UsageError, match=r"nn\.Split\(x, labels\)"):
        nn.LOADERS[name](images)
