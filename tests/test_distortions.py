"""Distortions: what is read where, against SciPy, and how the displacements are spread."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, stats

import nnscratch as nn
from nnscratch import distortions

SIDES = [1, 2, 5, 28, 29]
AFFINE = nn.DISTORTIONS["affine"]
ELASTIC = nn.DISTORTIONS["elastic"]
STILL = {"rotation": 0, "scaling": 0, "shear": 0, "shift": 0}


class Given(nn.Distortion):
    """The displacements that it was made with, for each image the same."""

    def __init__(self, d: np.ndarray) -> None:
        self.d = d

    def field(self, rng: np.random.Generator, n: int, side: int) -> np.ndarray:
        return np.broadcast_to(self.d[:, np.newaxis], (2, n, side, side))


class Drawn:
    """In the place of a random generator: these numbers, in the order in which they are drawn."""

    def __init__(self, angle=0.0, tall=0.0, wide=0.0, slant=0.0, down=0.0, right=0.0) -> None:
        self.numbers = np.array([[angle], [tall], [wide], [slant], [down], [right]])

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
        assert (low, high, shape) == (-1, 1, self.numbers.shape)
        return self.numbers


def one(distortion: nn.Distortion, image: np.ndarray, rng: object = None) -> np.ndarray:
    return distortion.distorted(image[np.newaxis], rng or np.random.default_rng(0))[0]


def picture(side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side)).astype(np.uint8)


def fields(distortion: nn.Distortion, n: int, side: int, seed: int = 0) -> np.ndarray:
    return distortion.field(np.random.default_rng(seed), n, side).copy()


# --- reading between the pixels ------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("reach", [0.3, 3.0, 100.0])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_between_pixels_it_is_scipys_linear_interpolation_with_zeros_around(side, reach, dtype):
    rng = np.random.default_rng(side)
    image = rng.integers(0, 256, (side, side)).astype(dtype)
    d = rng.uniform(-reach, reach, (2, side, side))
    places = np.indices((side, side)) + d + 2
    expected = ndimage.map_coordinates(np.pad(image.astype(float), 2), places, order=1)
    np.testing.assert_allclose(one(Given(d), image), expected, atol=255 * 1e-5)


@pytest.mark.parametrize("shift", [(1, 0), (0, -1), (-2, 3), (0, 5), (-40, 0), (3e5, -3e5)])
def test_whole_pixels_are_moved_bit_for_bit_and_nothing_comes_from_outside(shift) -> None:
    image = np.random.default_rng(0).random((5, 5), np.float32)
    down, right = np.clip(shift, -5, 5).astype(int)
    around = np.pad(image, 5)
    expected = around[5 + down : 10 + down, 5 + right : 10 + right]
    d = np.broadcast_to(np.array(shift, float)[:, np.newaxis, np.newaxis], (2, 5, 5))
    assert (one(Given(d), image) == expected).all()


@given(seed=st.integers(0, 1000), name=st.sampled_from(list(nn.DISTORTIONS)))
def test_no_pixel_is_brighter_than_the_brightest_or_darker_than_nothing(seed, name) -> None:
    """What is read beyond the last pixel of a row is not the first one of the next."""
    images = np.full((3, 9, 9), 255, np.uint8)
    new = nn.DISTORTIONS[name]().distorted(images, np.random.default_rng(seed))
    assert new.min() >= 0
    assert new.max() <= 255 * (1 + 1e-6)


def test_images_do_not_reach_into_each_other() -> None:
    """Black ones between white ones stay black, however far is read."""
    images = np.zeros((9, 7, 7), np.uint8)
    images[::2] = 255
    wild = ELASTIC(intensity=40, elasticity=1)
    new = wild.distorted(images, np.random.default_rng(0))
    assert (new[1::2] == 0).all()
    assert (new[::2] > 0).any(axis=(1, 2)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    "still",
    [nn.DISTORTIONS["none"](), AFFINE(**STILL), ELASTIC(intensity=0)],
    ids=lambda distortion: distortion.name,
)
def test_without_strength_images_stay_as_they_are_bit_for_bit(still, side, dtype) -> None:
    images = (255 * np.random.default_rng(0).random((3, side, side))).astype(dtype)
    new = still.distorted(images, np.random.default_rng(1))
    assert new.dtype == (np.float64 if dtype is np.float64 else np.float32)
    assert (new == images).all()


def test_bytes_and_floats_come_to_the_same() -> None:
    image = picture(28)
    found = [one(nn.DISTORTIONS["affine_elastic"](), image.astype(t)) for t in ("u1", "f4", "f8")]
    assert (found[0] == found[1]).all()
    np.testing.assert_allclose(found[2], found[0], atol=255 * 1e-6)


def test_images_and_displacements_are_left_as_they_were() -> None:
    image, d = picture(6), np.random.default_rng(0).normal(size=(2, 6, 6)).astype(np.float32)
    images, before = np.stack([image, image]), d.copy()
    first, second = Given(d).distorted(images, np.random.default_rng(0))
    assert (d == before).all()
    assert (images == image).all()
    assert (first == second).all()


def test_more_images_than_are_held_at_a_time_get_displacements_of_their_own() -> None:
    n = distortions.at_a_time(28)
    assert n == 128
    images = np.tile(picture(28), (2 * n + 3, 1, 1))
    new = ELASTIC().distorted(images, np.random.default_rng(0))
    assert len({image.tobytes() for image in new}) == len(images)


def test_large_images_are_distorted_one_at_a_time_and_as_small_ones() -> None:
    assert distortions.at_a_time(1000) == 1
    image = picture(400)
    d = np.random.default_rng(0).uniform(-9, 9, (2, 400, 400))
    expected = ndimage.map_coordinates(
        image.astype(float), np.indices((400, 400)) + d, order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(one(Given(d), image), expected, atol=255 * 1e-4)


@pytest.mark.parametrize("name", nn.DISTORTIONS)
def test_no_images_at_all_are_distorted_to_none(name: str) -> None:
    assert nn.DISTORTIONS[name]().distorted(np.empty((0, 28, 28)), None).shape == (0, 28, 28)


@pytest.mark.parametrize("shape", [(28, 28), (3, 784), (3, 4, 5), (1, 1, 4, 4)])
def test_images_of_another_shape_are_refused_with_it(shape: tuple[int, ...]) -> None:
    with pytest.raises(nn.UsageError) as error:
        ELASTIC().distorted(np.zeros(shape), np.random.default_rng(0))
    assert str(shape) in error.value.what
    assert "(n, side, side)" in error.value.fix


# --- affine --------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("seed", range(4))
def test_affine_is_scipys_affine_transform_with_the_matrix_of_the_formula(side, seed) -> None:
    u = np.random.default_rng(seed).uniform(-1, 1, 6)
    limits = {"rotation": 180, "scaling": 0.6, "shear": 0.7, "shift": 3}
    angle, v1, v2, slant = u[:4] * [math.pi, 0.6, 0.6, 0.7]
    R = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    A = np.array(R) @ np.diag([1 + v1, 1 + v2]) @ [[1, 0], [slant, 1]]
    c = np.full(2, (side - 1) / 2)
    image = picture(side)
    expected = ndimage.affine_transform(
        image.astype(float), A, c - A @ c + 3 * u[4:], order=1, mode="grid-constant"
    )
    found = one(AFFINE(**limits), image, Drawn(*u))
    np.testing.assert_allclose(found, expected, atol=255 * 1e-5)


@pytest.mark.parametrize("side", SIDES)
def test_a_positive_angle_turns_clockwise(side: int) -> None:
    image = picture(side)
    quarter = AFFINE(**STILL | {"rotation": 90})
    np.testing.assert_allclose(one(quarter, image, Drawn(angle=1)), np.rot90(image, -1), atol=1e-3)
    np.testing.assert_allclose(one(quarter, image, Drawn(angle=-1)), np.rot90(image), atol=1e-3)
    half = AFFINE(**STILL | {"rotation": 180})
    np.testing.assert_allclose(one(half, image, Drawn(angle=1)), image[::-1, ::-1], atol=1e-3)


def centre_and_spread(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the ink lies on average, and its covariance: rows, then columns."""
    places = np.indices(image.shape).reshape(2, -1)
    centre = np.average(places, axis=1, weights=image.ravel())
    return centre, np.cov(places, aweights=image.ravel(), ddof=0)


def test_the_digit_goes_as_the_docstring_says() -> None:
    """A blot in the middle: narrower for a positive v, leaning to the right, up and to the left."""
    image = np.zeros((41, 41))
    image[16:25, 16:25] = 1
    centre, spread = centre_and_spread(image)

    def of(**numbers: float) -> tuple[np.ndarray, np.ndarray]:
        limits = {"rotation": 0, "scaling": 0.5, "shear": 0.5, "shift": 4}
        return centre_and_spread(one(AFFINE(**limits), image, Drawn(**numbers)))

    assert of(tall=1)[1][0, 0] < 0.6 * spread[0, 0]
    assert of(tall=1)[1][1, 1] == pytest.approx(spread[1, 1], rel=1e-3)
    assert of(wide=-1)[1][1, 1] > 3 * spread[1, 1]
    assert of(slant=1)[1][0, 1] < -0.4 * spread[0, 0]  # the upper rows lie more to the right
    assert of(down=1)[0] == pytest.approx(centre - [4, 0], abs=1e-3)
    assert of(right=1)[0] == pytest.approx(centre - [0, 4], abs=1e-3)


def test_affine_draws_evenly_within_its_ranges_and_one_thing_apart_from_another() -> None:
    """The six numbers are read off the displacements: A is R, then a lower triangle."""
    n, side = 5000, 5
    limits = {"rotation": 40, "scaling": 0.3, "shear": 0.6, "shift": 2.5}
    d = fields(AFFINE(**limits), n, side).astype(np.float64)
    t = d[:, :, 2, 2]
    A = np.stack([d[:, :, 3, 2] - t, d[:, :, 2, 3] - t], axis=2) + np.eye(2)[:, np.newaxis]
    angle = np.arctan2(-A[0, :, 1], A[1, :, 1])
    across = np.stack([np.cos(angle), np.sin(angle)]), np.stack([-np.sin(angle), np.cos(angle)])
    height, leaning = ((A[:, :, 0] * direction).sum(axis=0) for direction in across)
    width = np.hypot(A[0, :, 1], A[1, :, 1])
    found = {
        "angle": np.degrees(angle) / 40,
        "height": (height - 1) / 0.3,
        "width": (width - 1) / 0.3,
        "slant": leaning / width / 0.6,
        "down": t[0] / 2.5,
        "right": t[1] / 2.5,
    }
    for name, numbers in found.items():
        assert np.abs(numbers).max() <= 1 + 1e-5, name
        assert stats.kstest(numbers, stats.uniform(-1, 2).cdf).pvalue > 1e-3, name
    for (a, x), (b, y) in combinations(found.items(), 2):
        assert stats.pearsonr(x, y).pvalue > 1e-3, (a, b)


# --- elastic -------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("sigma", [0.1, 0.7, 4.0, 50.0])
def test_elastic_is_scipys_gaussian_filter_of_the_noise_that_was_drawn(side, sigma) -> None:
    d = fields(ELASTIC(intensity=34, elasticity=sigma), 3, side, seed=5)
    noise = 2 * np.random.default_rng(5).random((2, 3, side, side), np.float32) - 1
    for mine, drawn in zip(d.reshape(-1, side, side), noise.reshape(-1, side, side), strict=True):
        expected = ndimage.gaussian_filter(drawn.astype(float), sigma, mode="constant", truncate=12)
        np.testing.assert_allclose(mine, 34 * expected, atol=34 * 1e-6)


@pytest.mark.parametrize(("intensity", "elasticity"), [(34, 4), (10, 1), (100, 8)])
def test_elastic_displacements_are_as_large_as_the_docstring_says(intensity, elasticity) -> None:
    n, side = 400, 64
    d = fields(ELASTIC(intensity=intensity, elasticity=elasticity), n, side)
    typical = intensity / (6.14 * elasticity)
    middle = d[:, :, 32, 32]
    assert middle.std() == pytest.approx(typical, rel=0.1)
    assert abs(middle.mean()) < 4 * typical / math.sqrt(2 * n)
    assert d[:, :, 0, 0].std() < 0.85 * typical
    rows, columns = middle
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 4 / math.sqrt(n)


def test_neighbours_are_moved_alike_and_pixels_far_apart_are_not() -> None:
    d = fields(ELASTIC(), 400, 40)[0, :, 20]
    apart = [np.corrcoef(d[:, 10], d[:, 10 + k])[0, 1] for k in (1, 4, 20)]
    gaussian = [math.exp(-((k / 4) ** 2) / 4) for k in (1, 4, 20)]
    np.testing.assert_allclose(apart, gaussian, atol=0.15)


# --- both ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_affine_elastic_is_the_sum_of_an_affine_and_an_elastic_field(side: int) -> None:
    limits = {"rotation": 30, "scaling": 0.1, "shear": 0.3, "shift": 2}
    bent = {"intensity": 20, "elasticity": 3}
    rng = np.random.default_rng(4)
    affine = AFFINE(**limits).field(rng, 5, side).copy()
    elastic = ELASTIC(**bent).field(rng, 5, side).copy()
    both = fields(nn.DISTORTIONS["affine_elastic"](**limits, **bent), 5, side, seed=4)
    assert (both == affine + elastic).all()


@pytest.mark.parametrize("name", ["affine", "elastic", "affine_elastic"])
def test_the_same_random_numbers_give_the_same_images_and_others_others(name: str) -> None:
    images = np.stack([picture(28, seed) for seed in range(5)])
    a, b, other = (
        nn.DISTORTIONS[name]().distorted(images, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert (a == b).all()
    assert (a != other).any(axis=(1, 2)).all()


def test_all_four_distortions_are_in_the_registry() -> None:
    assert list(nn.DISTORTIONS) == ["none", "affine", "elastic", "affine_elastic"]


@pytest.mark.parametrize(
    ("name", "hyper", "value", "interval"),
    [
        ("affine", "rotation", 181, "[0, 180]"),
        ("affine", "scaling", 1, "[0, 1)"),
        ("affine", "shear", -0.1, "[0, 1]"),
        ("affine", "shift", -1, "[0, 1e6]"),
        ("elastic", "intensity", math.inf, "[0, 1e6]"),
        ("elastic", "elasticity", 0, "[0.1, 1000]"),
        ("affine_elastic", "elasticity", 1e9, "[0.1, 1000]"),
    ],
)
def test_a_number_out_of_range_is_refused_with_the_range(name, hyper, value, interval) -> None:
    with pytest.raises(nn.UsageError) as error:
        nn.DISTORTIONS[name](**{hyper: value})
    assert error.value.what.startswith(f"{name}: {hyper} must be a number in {interval}, got ")


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("affine", {"rotation": 180, "scaling": 0.999999, "shear": 1, "shift": 1e6}),
        ("elastic", {"intensity": 1e6, "elasticity": 0.1}),
        ("elastic", {"intensity": 1e6, "elasticity": 1000}),
        ("affine_elastic", {"shift": 1e6, "intensity": 1e6}),
    ],
)
def test_at_the_ends_of_the_ranges_nothing_overflows(name: str, numbers: dict) -> None:
    images = np.full((50, 28, 28), 200, np.uint8)
    new = nn.DISTORTIONS[name](**numbers).distorted(images, np.random.default_rng(0))
    assert new.min() >= 0
    assert new.max() <= 200 * (1 + 1e-6)
