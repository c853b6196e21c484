"""Optimizers on functions of two variables: the functions, the paths, the rates, the command."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nnscratch as nn
from nnscratch import surfaces
from nnscratch.command_line import run
from nnscratch.landscape import figures, troubles
from nnscratch.landscape.functions import SURFACES, Bowl, Saddle, Valley, Zigzag
from nnscratch.landscape.player import player
from nnscratch.landscape.race import Budget, near, tuned, walk, walks

OPT = nn.OPTIMIZERS
QUICK = Budget(gradients=60, per_decade=2, starts=2)
TURNED = [Valley(turn=45.0), Zigzag(turn=-30.0), Valley(ratio=3.0)]
EVERY = pytest.mark.parametrize(
    "surface", [cls() for cls in SURFACES.values()] + TURNED, ids=lambda s: repr(s)
)


# --- the functions -------------------------------------------------------------------------------


@EVERY
def test_first_and_second_derivatives_are_those_of_the_function(surface) -> None:
    left, right, bottom, top = surface.frame
    points = np.random.default_rng(0).uniform((left, bottom), (right, top), (30, 2))
    for x, y in points:
        point = np.array([x, y])
        g = np.array(surface.gradient(x, y))
        by_value = nn.numerical_gradient(lambda p: float(surface.value(*p)), point)
        scale = 1 + np.abs(g).max()
        np.testing.assert_allclose(g, by_value, atol=2e-5 * scale)
        xx, xy, yy = surface.hessian(x, y)
        for k, row in enumerate([(xx, xy), (xy, yy)]):
            by_slope = nn.numerical_gradient(lambda p, k=k: float(surface.gradient(*p)[k]), point)
            np.testing.assert_allclose(row, by_slope, atol=2e-5 * (1 + np.abs(by_slope).max()))


@EVERY
def test_the_minima_are_minima_and_nothing_in_the_frame_lies_below_them(surface) -> None:
    left, right, bottom, top = surface.frame
    x, y = np.meshgrid(np.linspace(left, right, 401), np.linspace(bottom, top, 401))
    assert surface.value(x, y).min() >= surface.least
    for minimum in surface.minima:
        assert surface.value(*minimum) == surface.least
        assert not np.any(surface.gradient(*minimum))
        xx, xy, yy = surface.hessian(*minimum)
        assert xx > 0
        assert xx * yy - xy * xy > 0
    assert left <= surface.start[0] <= right
    assert bottom <= surface.start[1] <= top
    assert surface.start[0] != 0  # off the axes of symmetry
    assert surface.start[1] != 0


@pytest.mark.parametrize(
    ("name", "point", "value"),
    [
        ("bowl", (-3.0, 4.0), 25.0),
        ("valley", (-7.0, 2.0), 6.45),  # 49 / 20 + 4
        ("zigzag", (10.0, 1.0), 2.0),
        ("rosenbrock", (-1.2, 1.0), 24.2),  # its usual start
        ("beale", (0.0, 0.0), 14.203125),  # 1.5^2 + 2.25^2 + 2.625^2
        ("saddle", (0.0, 0.0), 0.25),
        ("plateau", (3.0, 4.0), 1 - math.exp(-12.5)),
        ("rastrigin", (0.5, 0.5), 40.5),
    ],
)
def test_values_that_are_known(name: str, point, value: float) -> None:
    assert SURFACES[name]().value(*point) == pytest.approx(value, rel=1e-14)


def test_a_turned_valley_is_the_same_valley_turned() -> None:
    plain, turned = Valley(), Valley(turn=30.0)
    assert turned.value(*turned.start) == pytest.approx(plain.value(*plain.start))
    assert math.hypot(*turned.start) == pytest.approx(math.hypot(*plain.start))
    xx, xy, yy = turned.hessian(0.0, 0.0)
    np.testing.assert_allclose(np.linalg.eigvalsh([[xx, xy], [xy, yy]]), [0.1, 2.0])


# --- paths ---------------------------------------------------------------------------------------


def test_gradient_descent_goes_where_the_lecture_says() -> None:
    path = walk(Bowl(), OPT["sgd"](lr=0.1), 100)
    np.testing.assert_allclose(path.points[-1], [-6.111e-10, 8.148e-10], rtol=1e-3)
    assert path.points[0].tolist() == [-3, 4]
    assert path.gradients == 100
    assert path.length == pytest.approx(5.0)
    assert path.left is None


def test_a_path_is_what_update_by_hand_gives() -> None:
    surface, opt = SURFACES["beale"](), OPT["nesterov"](lr=0.003)
    path = walk(surface, opt, 20)
    w, state = np.array(surface.start), {}
    for taken in range(1, 21):
        opt.update(w, np.array(surface.gradient(*w)), state)
        np.testing.assert_array_equal(path.points[taken], opt.readout(w, state))
        assert path.losses[taken] == surface.value(*path.points[taken])


@pytest.mark.parametrize("name", [name for name in OPT if name != "kfac"])
def test_every_optimizer_of_the_registry_finds_its_way_down(name: str) -> None:
    """Also those that want the loss, the norm or second derivatives."""
    best = tuned(Bowl(), OPT[name](), QUICK)
    path = walk(Bowl(), best, 60)
    assert path.losses[-1] < 0.9 * path.losses[0]
    assert path.losses.shape == (61,)


def test_one_that_wants_what_no_surface_has_is_refused() -> None:
    with pytest.raises(nn.UsageError, match="kfac needs what a surface does not have: moments"):
        walk(Bowl(), OPT["kfac"](), 10)


@pytest.mark.parametrize("start", [(9.0, 0.0), (0.0, -9.0), (1.0,), (math.nan, 0.0), "no"])
def test_a_start_outside_of_the_frame_is_refused(start) -> None:
    with pytest.raises((nn.UsageError, ValueError)):
        walk(Bowl(), OPT["sgd"](), 10, start)


def test_a_path_that_leaves_the_frame_goes_on_and_is_told() -> None:
    path = walk(Valley(), OPT["momentum"](lr=1.0), 60)  # swings as far as it stood
    assert path.left is None
    path = walk(Valley(), OPT["rmsprop"](lr=10.0), 60)
    assert path.left == 1
    assert not path.diverged
    assert path.gradients == 60


def test_a_path_that_diverges_is_broken_off_and_told() -> None:
    path = walk(Bowl(), OPT["sgd"](lr=1.5), 1000)  # |1 - 2 lr| = 2: twice as far in each step
    assert path.diverged
    assert path.left == 1
    # 4 * 2^t is beyond 500 at t = 7
    assert path.gradients == 6
    assert path.settled(1e9) is None
    assert np.isfinite(path.points).all()


def test_settled_is_when_it_stays_and_not_when_it_passes() -> None:
    path = walk(Bowl(), OPT["momentum"](lr=0.1), 100)
    first = int(np.argmax(path.losses < 0.5))
    settled = path.settled(0.5)
    assert settled is not None
    assert settled > first
    assert (path.losses[settled:] <= 0.5).all()
    assert path.losses[settled - 1] > 0.5
    assert path.settled(-1.0) is None
    assert path.settled(1e9) == 0


def test_many_starts_at_once_end_where_each_alone_ends() -> None:
    starts = troubles.random_starts(SURFACES["rastrigin"](), 20, seed=3)
    made = [OPT[name](lr=0.01) for name in ("adam", "momentum", "schedule_free_sgd", "lbfgs")]
    for opt in (*made, OPT["sam"]()):
        together = walks(SURFACES["rastrigin"](), opt, 30, starts.tolist())
        for path, start in zip(together, starts.tolist(), strict=True):
            alone = walk(SURFACES["rastrigin"](), opt, 30, start)
            np.testing.assert_allclose(path.points, alone.points, rtol=1e-9, atol=1e-12)


def test_turning_the_valley_turns_the_path_of_sgd_and_not_that_of_adam() -> None:
    plain, turned = Zigzag(), Zigzag(turn=45.0)
    c = math.sqrt(0.5)
    rotation = np.array([[c, -c], [c, c]])
    for name, is_turned in [("sgd", True), ("momentum", True), ("adam", False), ("adagrad", False)]:
        a = walk(plain, OPT[name](lr=0.3), 40).points @ rotation.T
        b = walk(turned, OPT[name](lr=0.3), 40).points
        assert (np.abs(a - b).max() < 1e-10) == is_turned, name


# --- learning rates ------------------------------------------------------------------------------


def test_the_budget_finds_the_rate_that_theory_has() -> None:
    """1 / 2 on the bowl; 2 / (a + b) in a valley with the curvatures a and b, where it is tried."""
    assert tuned(Bowl(), OPT["sgd"](), Budget()).rate == pytest.approx(10**-0.25)  # nearest to 0.5
    fine = Budget(per_decade=40, least=0.1, most=2.0, starts=1)
    valley = Valley(ratio=5.0)  # curvatures 0.4 and 2
    assert tuned(valley, OPT["sgd"](), fine).rate == pytest.approx(2 / 2.4, rel=0.06)


def test_a_rate_that_leaves_the_frame_is_chosen_only_where_all_do() -> None:
    inside = tuned(Valley(), OPT["rmsprop"](), Budget())
    assert walk(Valley(), inside, 150).left is None
    out = near(Valley(), (-10.0, 6.0), 1)[0]
    path = walk(Valley(), OPT["sgd"](lr=0.1), 20, out)
    assert path.left is None


def test_starts_near_the_start_are_always_the_same_and_within_the_frame() -> None:
    for surface in (cls() for cls in SURFACES.values()):
        left, right, bottom, top = surface.frame
        points = near(surface, (left, top), 5)
        assert points == near(surface, (left, top), 5)
        assert points[0] == (left, top)
        for x, y in points:
            assert left <= x <= right
            assert bottom <= y <= top


# --- troubles ------------------------------------------------------------------------------------


def test_slow_is_as_slow_as_theory_says() -> None:
    """Of SGD with the best rate, 2 / (a + b), on a valley of condition number 30."""
    surface = Valley(ratio=30.0)
    best = OPT["sgd"](lr=2 / (2 / 30 + 2))
    path = walk(surface, best, 400)
    settled = path.settled(1e-6 * path.losses[0])
    assert settled == pytest.approx(troubles.gradient_descent(30.0), rel=0.03)


def test_newton_is_drawn_to_the_saddle_and_the_others_pass_it() -> None:
    assert troubles.passing(OPT["newton"]()) is None
    end = walk(Saddle(), OPT["newton"](), 50).points[-1]
    np.testing.assert_allclose(end, [0, 0], atol=1e-12)
    for name in ("sgd", "momentum", "adam", "lbfgs"):
        assert troubles.passing(OPT[name]()) is not None


def test_the_plain_holds_sgd_longer_the_farther_it_is_and_adagrad_hardly() -> None:
    near_by, far = (troubles.flat(OPT["sgd"](), distance) for distance in (1.5, 3.0))
    assert near_by is not None
    assert far is not None
    assert far > 3 * near_by
    assert (troubles.flat(OPT["adagrad"](), 3.0) or 99) < 5


def test_steps_for_each_weight_help_in_a_valley_only_along_the_axes() -> None:
    along, turned = (
        troubles.slow(OPT["adagrad"](), 100.0),
        troubles.slow(OPT["adagrad"](), 100.0, 45.0),
    )
    assert along is not None
    assert along < 30
    assert turned is None or turned > 5 * along


def test_a_minimum_counts_as_found_within_half_a_unit() -> None:
    points = np.array([[0.4, -0.4], [0.6, 0.0], [5.0, 5.0], [0.0, 0.0]])
    assert troubles.arrived(SURFACES["rastrigin"](), points) == 0.5


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def command(*argv: str) -> int:
    return run(surfaces.main, list(argv))


FEW = ("--surfaces", "bowl,beale", "--opts", "sgd,adam", "--gradients", "20")


def test_the_command_leaves_a_table_figures_animations_and_the_player(quick, capsys) -> None:
    assert command(*FEW, "--out", "a") == 0
    printed = capsys.readouterr().out.splitlines()
    names = {"races.csv", "player.html"}
    names |= {f"{name}.{kind}" for name in ("bowl", "beale") for kind in ("png", "gif")}
    assert {path.name for path in Path("a").iterdir()} == names
    assert {Path(line).name for line in printed} == names
    with Path("a/races.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["surface"], row["optimizer"]) for row in rows] == [
        *(("bowl", "sgd"), ("bowl", "adam"), ("beale", "sgd"), ("beale", "adam")),
    ]
    assert float(rows[0]["lr"]) == pytest.approx(10**-0.25)
    with Image.open("a/bowl.gif") as animation:
        assert animation.n_frames == 21
    with Image.open("a/bowl.png") as picture:
        assert picture.width > 1000


def test_the_same_command_makes_the_same_bytes(quick, capsys) -> None:
    for out in ("a", "b"):
        assert command(*FEW, "--out", out) == 0
    for path in Path("a").iterdir():
        assert path.read_bytes() == Path("b", path.name).read_bytes(), path.name


def test_one_that_diverges_and_one_that_leaves_are_drawn_and_labelled_so() -> None:
    diverging = walk(Bowl(), OPT["sgd"](lr=1.5), 20)
    leaving = walk(Bowl(), OPT["adam"](lr=20.0), 20)
    figure = figures.race([diverging, leaving], "two that do not stay")
    drawn = [line.get_xydata() for line in figure.axes[0].lines]
    for path in (diverging, leaving):
        assert any(np.array_equal(points, path.points) for points in drawn)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["sgd, lr 1.5: diverged", "adam, lr 20: left the frame"]
    assert "adam, lr 20: left the frame" in player([[diverging, leaving]], "")


@pytest.mark.parametrize(
    ("argv", "what", "fix"),
    [
        (["--surfaces", "beal"], "unknown surface 'beal'", "did you mean 'beale'?"),
        (["--start", "9,9", "--surfaces", "bowl"], "is outside of the frame of bowl", "x from -5"),
        (["--start", "1"], "not a point (x, y)", "give (x, y)"),
        (["--opts", "kfac", "--surfaces", "bowl"], "kfac needs what a surface", "choose another"),
        (["--gradients", "0"], "--gradients: must be", "--help"),
        (["--out", ""], "path of a folder", "--help"),
    ],
)
def test_wrong_arguments_cost_two_lines(argv, what: str, fix: str, quick, capsys) -> None:
    assert command(*argv) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert what in lines[0]
    assert fix in lines[1]


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_computed(quick, capsys) -> None:
    Path("taken").write_text("")
    assert command("--out", "taken") == 6
    assert "taken cannot be written" in capsys.readouterr().err
