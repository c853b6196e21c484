"""Optimizers on functions of two variables: the functions, the paths, the rates, the troubles."""

import csv
import inspect
import math
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nnscratch as nn
from nnscratch import landscape, surfaces
from nnscratch.command_line import run
from nnscratch.landscape import SURFACES, Budget, Race, claims, figures, hold_race, troubles
from nnscratch.landscape.functions import (
    Bowl,
    Plateau,
    Rastrigin,
    Rosenbrock,
    Saddle,
    Valley,
    Zigzag,
)
from nnscratch.landscape.player import player
from nnscratch.landscape.race import Path as Way
from nnscratch.landscape.race import near, tuned, walk, walks
from nnscratch.landscape.troubles import Cost

OPT = nn.OPTIMIZERS
QUICK = Budget(gradients=60, per_decade=1, halvings=1, starts=1)
TURNED = [Valley(turn=45.0), Zigzag(turn=-30.0), Valley(ratio=3.0)]
EVERY = pytest.mark.parametrize(
    "surface", [cls() for cls in SURFACES.values()] + TURNED, ids=lambda s: repr(s)
)


@pytest.fixture(autouse=True)
def _no_time_to_compile(monkeypatch) -> None:
    """For two numbers NumPy is as fast as numba, and there at once."""
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numpy")


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


def test_a_surface_says_what_it_is_and_with_which_numbers() -> None:
    assert Bowl().formula == "f = x^2 + y^2: every gradient points away from the minimum"
    assert Zigzag(turn=45.0).formula.endswith("(ratio 100, turn 45)")


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


@pytest.mark.parametrize(
    ("start", "what"),
    [
        ((9.0, 0.0), "outside of the frame of bowl"),
        ((0.0, -9.0), "outside of the frame of bowl"),
        ((math.nan, 0.0), "outside of the frame of bowl"),
        ((1.0,), "not a point"),
        ((1.0, 2.0, 3.0), "not a point"),
        ("no", "not a point"),
        (5, "not a point"),
        ((), "not a point"),
        ((1.0, None), "not a point"),
    ],
)
def test_a_start_that_is_no_point_of_the_frame_is_refused(start, what: str) -> None:
    with pytest.raises(nn.UsageError, match=what) as error:
        walk(Bowl(), OPT["sgd"](), 10, start)
    assert "x from -5 to 5 and y from -5 to 5" in error.value.fix


def test_a_path_that_leaves_the_frame_goes_on_and_is_told() -> None:
    path = walk(Valley(), OPT["momentum"](lr=1.0), 60)  # swings as far as it stood
    assert path.left is None
    path = walk(Valley(), OPT["rmsprop"](lr=10.0), 60)
    assert path.left == 1
    assert not path.diverged
    assert path.gradients == 60


def test_where_a_path_leaves_is_on_the_edge_and_on_the_path() -> None:
    path = walk(Bowl(), OPT["sgd"](lr=1.5), 3)  # to (6, -8), through (3.75, -5)
    assert path.left == 1
    assert path.exit == pytest.approx((3.75, -5.0))
    along = walk(Plateau(), OPT["signsgd"](lr=3.0), 3, (2.0, 0.0))
    assert along.left is None
    straight = walk(Saddle(), OPT["sgd"](lr=2.5), 1, (1.5, 0.0))  # along the x axis
    assert straight.exit == pytest.approx((-2.0, 0.0))


def test_a_path_that_diverges_is_broken_off_and_told() -> None:
    path = walk(Bowl(), OPT["sgd"](lr=1.5), 1000)  # |1 - 2 lr| = 2: twice as far in each step
    assert path.diverged
    assert path.left == 1
    assert path.gradients == 7  # 4 * 2^7 is beyond 500: there it is given up
    assert path.settled(1e9) is None
    assert path.speed() == (math.inf, math.inf)
    assert np.isfinite(path.points).all()
    at_once = walk(Bowl(), OPT["sgd"](lr=1e300), 10)
    assert at_once.diverged
    assert at_once.left == 1
    assert np.isfinite(at_once.exit).all()


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
    assert path.speed(0.02) == (settled, 0.0)


def with_losses(*losses: float) -> Way:
    """A path on which f is that."""
    return Way(Bowl(), OPT["sgd"](), np.ones((len(losses), 2)), np.array(losses), None, False)


def test_speed_is_when_it_arrives_to_stay_and_else_the_worst_of_the_last_tenth() -> None:
    assert with_losses(10.0, 1e-6, 1.0, 1e-6, 1e-6).speed() == (3, 0.0)
    restless = with_losses(*[9.0] * 18, 8.0, 1.0)
    assert restless.speed() == (math.inf, 8.0)  # two of 19
    assert restless.speed(aim=0.5) == (19, 0.0)


def test_a_gradient_points_at_the_minimum_in_the_bowl_and_not_in_a_valley() -> None:
    assert walk(Bowl(), OPT["momentum"](lr=0.02), 50).angle == pytest.approx(0, abs=1e-6)
    # one step, so that the median is that of the start: from (-7, 2) the way down is (0.7, -4)
    path = walk(Valley(), OPT["sgd"](lr=1e-3), 1)
    points = path.points @ np.array([1, 1j])
    downhill = -(points.real / 10 + 2j * points.imag)
    expected = np.degrees(np.abs(np.angle(downhill / -points)))
    assert path.angle == pytest.approx(np.median(expected))
    assert path.angle == pytest.approx(64, abs=1)


def test_of_two_minima_the_nearest_is_the_one_to_point_at() -> None:
    path = walk(Saddle(), OPT["sgd"](lr=1e-3), 1, (0.0, -0.5))
    assert path.angle == pytest.approx(0, abs=1e-9)


def test_a_path_that_begins_at_the_minimum_or_flies_off_has_an_angle_all_the_same() -> None:
    still = walk(Bowl(), OPT["sgd"](lr=0.1), 5, (0.0, 0.0))
    assert (still.angle, still.arrived, still.length) == (0, 0, 0)
    gone = walk(Valley(), OPT["sgd"](lr=1e200), 5)
    assert gone.angle == pytest.approx(64, abs=1)  # that of the start


def test_many_starts_at_once_end_where_each_alone_ends() -> None:
    starts = troubles.random_starts(Rastrigin(), 20, seed=3)
    made = [OPT[name](lr=0.01) for name in ("adam", "momentum", "schedule_free_sgd", "lbfgs")]
    for opt in (*made, OPT["sam"]()):
        together = walks(Rastrigin(), opt, 30, starts.tolist())
        for path, start in zip(together, starts.tolist(), strict=True):
            alone = walk(Rastrigin(), opt, 30, start)
            np.testing.assert_allclose(path.points, alone.points, rtol=1e-9, atol=1e-12)


# --- the valley, turned --------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [45.0, -45.0, 30.0])
def test_the_starts_of_a_turned_valley_are_turned_and_none_is_clipped(turn: float) -> None:
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    for valley in (Valley, Zigzag):
        plain, turned = valley(), valley(turn=turn)
        starts = np.array(near(plain, plain.start, 3)) @ np.array([[c, s], [-s, c]])
        np.testing.assert_allclose(near(turned, turned.start, 3), starts)


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "newton"])
def test_turning_the_valley_turns_the_path_and_nothing_else(name: str) -> None:
    plain, turned = Zigzag(), Zigzag(turn=45.0)
    a, b = (tuned(surface, OPT[name](), Budget(gradients=50)) for surface in (plain, turned))
    assert a.rate == b.rate
    a, b = (walk(surface, a, 50).points for surface in (plain, turned))
    np.testing.assert_allclose(b, a @ rotation(), atol=1e-9)


def test_lbfgs_is_turned_but_for_its_first_step() -> None:
    """That one is as long as the sum of the absolute values of the gradient allows."""
    plain, turned = (walk(s, OPT["lbfgs"](), 60) for s in (Zigzag(), Zigzag(turn=45.0)))
    step, turned_step = (path.points[1] - path.points[0] for path in (plain, turned))
    moved = step @ rotation()
    assert moved[0] * turned_step[1] == pytest.approx(moved[1] * turned_step[0])
    assert np.abs(step).sum() == pytest.approx(np.abs(turned_step).sum())
    assert plain.arrived is not None
    assert turned.arrived is not None
    assert abs(plain.arrived - turned.arrived) <= 1


def test_turning_the_valley_does_not_turn_steps_for_each_weight() -> None:
    for name in ("adam", "adagrad", "rmsprop"):
        a, b = (walk(s, OPT[name](lr=0.3), 40).points for s in (Zigzag(), Zigzag(turn=45.0)))
        assert np.abs(a @ rotation() - b).max() > 0.1, name


def rotation() -> np.ndarray:
    """By 45 degrees, of rows."""
    return math.sqrt(0.5) * np.array([[1, 1], [-1, 1]])


# --- learning rates ------------------------------------------------------------------------------


def test_the_budget_finds_the_rate_that_theory_has() -> None:
    """1 / 2 on the bowl; 2 / (a + b) in a valley with the curvatures a and b."""
    assert tuned(Bowl(), OPT["sgd"](), Budget()).rate == pytest.approx(0.5, rel=0.04)
    valley = Valley(ratio=5.0)  # curvatures 0.4 and 2
    assert tuned(valley, OPT["sgd"](), Budget()).rate == pytest.approx(2 / 2.4, rel=0.07)


def test_the_search_comes_within_a_step_of_the_best_and_tries_as_many_rates_as_it_says() -> None:
    tried = []

    def score(rate: float) -> float:
        tried.append(rate)
        return abs(math.log(rate / 0.0321))

    budget = Budget()
    found = budget.best(score)
    assert abs(math.log10(found / 0.0321)) < 1 / 64 + 0.01  # a step is a 32nd of a decade
    assert len(tried) == len(set(tried)) == 21
    assert str(budget).startswith("best of at most 21 from 0.0001 to 100,")
    tried.clear()
    assert budget.best(lambda rate: score(1 / rate)) > 0  # the best beyond 31
    assert budget.best(lambda rate: -rate) == budget.most  # and at the edge, which is not passed
    assert budget.best(lambda rate: rate) == budget.least


def test_a_rate_is_used_as_it_is_shown() -> None:
    for path in hold_race("bowl", ["sgd", "adam"], QUICK).paths:
        assert f"lr {path.optimizer.rate}" in figures.label(path)


def test_a_rate_that_leaves_the_frame_is_chosen_only_where_all_do() -> None:
    inside = tuned(Valley(), OPT["rmsprop"](), Budget())
    assert walk(Valley(), inside, 150).left is None
    always = Budget(gradients=5, least=10.0, most=100.0, halvings=0, starts=1)
    assert tuned(Bowl(), OPT["sgd"](), always).rate == 10.0


def test_a_rate_with_which_the_end_is_a_matter_of_luck_is_not_chosen() -> None:
    """On Rastrigin's surface nobody arrives; a path that jumps about may end low by chance."""
    for name in ("nesterov", "momentum"):
        path = walk(Rastrigin(), tuned(Rastrigin(), OPT[name](), Budget()), 150)
        assert path.losses[-15:].max() < 1.01 * path.losses[-15:].min()


def test_an_optimizer_without_a_rate_is_left_as_it_is() -> None:
    class Still(nn.Optimizer):
        def update(self, w, dw, state):
            return w

    still = Still()
    assert tuned(Bowl(), still, QUICK) is still


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
    assert walk(surface, best, 400).arrived == pytest.approx(
        troubles.gradient_descent(30.0), rel=0.03
    )


def test_the_way_across_is_counted_in_shortest_ways() -> None:
    """|v| shrinks by q and changes its side in each step: (1 + q) / (1 - q) ways."""
    for surface in (Zigzag(), Zigzag(turn=45.0)):
        path = walk(surface, OPT["sgd"](lr=0.9), 200)  # q = 0.8
        assert troubles.sideways(path, 0) == pytest.approx(9.0)
        assert troubles.sideways(walk(surface, OPT["newton"](), 5), 0) == pytest.approx(1.0)
    assert troubles.sideways(walk(Zigzag(), OPT["sgd"](lr=2.0), 200), 0) is None


def test_ends_below_the_first_minimum_are_told_from_those_in_it() -> None:
    starts = np.array([[3.2, 0.1], [3.2, 0.1], [3.2, 0.1], [0.3, -0.2]])
    own = walk(Rastrigin(), OPT["sgd"](lr=1e-3), 200, starts[0]).points[-1]
    assert Rastrigin().value(*own) < Rastrigin().value(3.0, 0.0)  # it is not quite at (3, 0)
    ends = np.array([own, [2.0, 0.0], [4.0, 0.0], [0.0, 0.0], [0.4, 0.0]])
    starts = np.array([*starts, starts[0]])
    assert troubles.lower(starts, ends).tolist() == [False, True, False, False, False]
    assert troubles.least(starts, ends).tolist() == [False, False, False, True, False]


@pytest.fixture
def few(monkeypatch) -> None:
    """Few starts and rates, for what does not depend on their number."""
    monkeypatch.setattr(troubles, "STARTS", 40)
    monkeypatch.setattr(troubles, "TRIED", 10)
    monkeypatch.setattr(troubles, "JUMPS", Budget(gradients=30, per_decade=4, halvings=0))


def costs_of(names: str, *wanted: troubles.Trouble) -> troubles.Costs:
    """Those troubles only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(troubles, "TROUBLES", wanted)
        return troubles.measure([OPT[name]() for name in names.split()])


def test_newton_is_drawn_to_the_saddle_and_the_others_pass_it() -> None:
    (passing,) = costs_of("sgd momentum adam newton", troubles.SADDLE).values()
    assert [name for name, cost in passing.items() if cost.number is None] == ["newton"]
    end = walk(Saddle(), OPT["newton"](), 50).points[-1]
    np.testing.assert_allclose(end, [0, 0], atol=1e-12)


def test_the_plain_holds_sgd_longer_the_farther_it_is_and_adagrad_hardly() -> None:
    by_distance = costs_of("sgd adagrad", *troubles.PLATEAUS.values()).values()
    sgd = [of["sgd"].number for of in by_distance]
    assert sgd == sorted(sgd)
    assert sgd[-1] > 3 * sgd[0]
    assert max(of["adagrad"].number for of in by_distance) < 5


def test_steps_for_each_weight_help_in_a_valley_only_along_the_axes() -> None:
    along, turned = costs_of("sgd adagrad", troubles.VALLEY, troubles.VALLEY_TURNED).values()
    assert along["adagrad"].number < 10
    assert turned["adagrad"].number is None
    assert along["sgd"] == turned["sgd"]
    assert along["sgd"].number == pytest.approx(troubles.gradient_descent(100.0), rel=0.1)


def test_local_minima_hold_newton_always_and_adagrad_less_than_sgd(few) -> None:
    (lower,) = costs_of("sgd adagrad newton", troubles.LOWER).values()
    assert 0 <= lower["sgd"].number < lower["adagrad"].number <= 100
    assert lower["newton"].number == 0
    assert lower["adagrad"].lr in troubles.JUMPS.rates


def test_the_table_is_part_of_what_is_measured_and_no_column_is_twice() -> None:
    assert set(troubles.TABLE) <= set(troubles.TROUBLES)
    names = [trouble.name for trouble in troubles.TROUBLES]
    assert len(names) == len(set(names))


RESULTS = Path(__file__).parent.parent / "experiments" / "results" / "surfaces"
SMOOTH = ("sgd", "momentum", "nesterov", "newton")  # whose paths no rounding changes much


@pytest.mark.parametrize("surface", ["bowl", "valley", "zigzag"])
def test_the_committed_races_are_those_that_the_code_runs(surface: str) -> None:
    for row in rows_of(RESULTS / "races.csv"):
        if row["surface"] == surface and row["optimizer"] in SMOOTH:
            one = OPT[row["optimizer"]](lr=float(row["lr"]))
            path = walk(SURFACES[surface](), one, int(row["gradients"]))
            assert str(path.arrived or "") == row["gradients_to_a_millionth"]
            assert path.length == pytest.approx(float(row["path_length"]), rel=1e-3)
            assert path.detour == pytest.approx(float(row["path_over_straight_line"]), rel=1e-3)


def test_the_committed_troubles_are_those_that_the_code_measures() -> None:
    known = {trouble.name: trouble for trouble in troubles.TROUBLES}
    rows = rows_of(RESULTS / "troubles.csv")
    assert {row["trouble"] for row in rows} == set(known)
    for row in rows:
        trouble = known[row["trouble"]]
        assert (row["meaning"], row["unit"]) == (trouble.meaning, trouble.unit)
        if isinstance(trouble, troubles.OnPath) and row["optimizer"] in SMOOTH:
            one = OPT[row["optimizer"]](lr=float(row["lr"]))
            path = walk(trouble.surface, one, trouble.budget.gradients, trouble.start)
            number = trouble.read(path, trouble.budget.aim)
            assert (number is None) == (row["number"] == "")
            if number is not None:
                assert number == pytest.approx(float(row["number"]), rel=1e-3, abs=1e-3)


# --- claims --------------------------------------------------------------------------------------


def made_up(**numbers: dict[str, float | None]) -> troubles.Costs:
    """Costs of sgd, momentum and adam, the same for all troubles but those that are given."""
    costs = {
        trouble: {name: Cost(10.0, 0.1) for name in ("sgd", "momentum", "adam")}
        for trouble in troubles.TROUBLES
    }
    for trouble, of_each in numbers.items():
        costs[getattr(troubles, trouble)] |= {name: Cost(n, 0.1) for name, n in of_each.items()}
    return costs


def said(claim: str, costs: troubles.Costs) -> str:
    (found,) = [text for text in claims.about_troubles(costs) if text.startswith(claim)]
    return found


@pytest.mark.parametrize(
    ("momentum", "verdict"), [(30.0, "holds."), (13.0, "does not hold."), (2.0, "does not hold.")]
)
def test_more_starts_than_sgd_count_only_beyond_chance(momentum: float, verdict: str) -> None:
    """Two standard errors of the difference of 10 % and 13 % of 1,000 are 2.9 points."""
    text = said("Momentum jumps over local", made_up(LOWER={"momentum": momentum, "sgd": 10.2}))
    assert verdict in text
    assert f"momentum {momentum:.1f} %" in text


def test_a_plateau_is_jumped_over_where_fewer_gradients_are_needed_from_everywhere() -> None:
    costs = made_up()
    assert "plateaus: does not hold" in said("Momentum jumps over plateaus", costs)
    for trouble in troubles.PLATEAUS.values():
        costs[trouble]["sgd"] = Cost(None, 0.1)
    text = said("Momentum jumps over plateaus", costs)
    assert "plateaus: holds." in text
    assert "sgd never, never, never; momentum 10, 10, 10" in text


@pytest.mark.parametrize(
    ("across", "gradients", "verdict"),
    [(4.0, 9.0, "holds"), (6.0, 9.0, "does not hold"), (1.0, None, "does not hold")],
)
def test_zigzag_is_cured_by_who_swings_less_and_is_sooner_there(across, gradients, verdict) -> None:
    costs = made_up(ZIGZAG={"adam": across}, VALLEY={"adam": gradients})
    assert f"along the axes: {verdict} (" in said("Steps for each weight cure zig-zag along", costs)


def test_nothing_is_said_of_optimizers_that_were_not_measured() -> None:
    costs = made_up()
    alone = {trouble: {"sgd": of["sgd"]} for trouble, of in costs.items()}
    assert len(list(claims.about_troubles(alone))) == 1
    none = {trouble: {"adam": of["adam"]} for trouble, of in costs.items()}
    assert list(claims.about_troubles(none)) == []


def test_sgd_is_slower_than_most_where_it_comes_in_the_second_half() -> None:
    slow = hold_race("bowl", ["sgd", "adam", "newton"], QUICK).with_one_rate(1e-3)
    (text,) = claims.about_sgd([slow], "0.001 for all")
    place = slow.place("sgd")
    assert f"Its place among 3: bowl {place}." in text
    assert ("does not hold" in text) == (place <= 2)
    without = Race(slow.paths[1:], "")
    assert list(claims.about_sgd([without], "")) == []
    assert without.place("sgd") is None


def test_every_race_is_summed_up_with_who_left_it() -> None:
    paths = [walk(Bowl(), OPT["sgd"](lr=lr), 20) for lr in (0.4, 1.5)]
    paths += [walk(Bowl(), OPT["adam"](lr=20.0), 20)]
    first, *_ = claims.about_races([Race(tuple(paths), "made up")])
    assert first == (
        "bowl: gradients to a millionth: sgd 5; not: adam, sgd; 2 of 3 left the frame (sgd, adam), "
        "1 diverged (sgd)"
    )


# --- races and figures ---------------------------------------------------------------------------


def test_the_order_is_by_gradients_to_a_millionth_and_then_by_f() -> None:
    late, soon = with_losses(1.0, 1.0, 0.0), with_losses(1.0, 1e-7, 1e-7)
    assert [way is soon for way in Race((late, soon), "").order] == [True, False]
    rates = (0.001, 0.4, 1.5, 0.01, 0.45)
    race = Race(tuple(walk(Bowl(), OPT["sgd"](lr=lr), 50) for lr in rates), "")
    assert [path.optimizer.lr for path in race.order] == [0.45, 0.4, 0.01, 0.001, 1.5]
    assert [figures.standing(path) for path in race.order[:2]] == ["3", "5"]
    assert figures.standing(race.order[2]) == "f = 3.3"
    assert figures.standing(race.order[-1]) == "diverged"


def test_with_one_rate_all_have_it_and_begin_at_the_same_place() -> None:
    race = hold_race("beale", ["sgd", OPT["adam"](beta1=0.5)], QUICK, start=(0.5, 0.5))
    shared = race.with_one_rate(0.02)
    assert [path.optimizer.lr for path in shared.paths] == [0.02, 0.02]
    assert shared.paths[1].optimizer.beta1 == 0.5
    assert shared.paths[0].points[0].tolist() == [0.5, 0.5]
    assert [path.gradients for path in shared.paths] == [60, 60]
    assert shared.rates == "0.02 for all"


def test_a_race_refuses_what_is_none() -> None:
    with pytest.raises(nn.UsageError, match="unknown surface 'beal'") as error:
        hold_race("beal", ["sgd"])
    assert "did you mean 'beale'?" in error.value.fix
    with pytest.raises(nn.UsageError, match="unknown optimizer 'adan2'"):
        hold_race("beale", ["adan2"])
    with pytest.raises(nn.UsageError, match="is no surface"):
        hold_race(3, ["sgd"])


def leavers() -> Race:
    diverging = walk(Bowl(), OPT["sgd"](lr=1.5), 20)
    leaving = walk(Bowl(), OPT["adam"](lr=20.0), 20)
    return Race((diverging, leaving), "made up")


def test_one_that_diverges_and_one_that_leaves_are_drawn_and_labelled_so() -> None:
    race = leavers()
    figure = figures.race(race.paths, race.caption)
    drawn = [line.get_xydata() for line in figure.axes[0].lines]
    for path in race.paths:
        assert any(np.array_equal(points, path.points) for points in drawn)
        assert any(np.array_equal(points, [path.exit]) for points in drawn)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["sgd, lr 1.5: diverged", "adam, lr 20: left the frame"]
    assert "2 of 2 left the frame (sgd, adam), 1 diverged (sgd)" in figure.get_suptitle()
    assert "adam, lr 20: left the frame" in player([race.paths], "")


def test_the_captions_say_the_budget() -> None:
    race = hold_race("bowl", ["sgd"], QUICK)
    assert race.caption.splitlines() == [
        "bowl: f = x^2 + y^2: every gradient points away from the minimum",
        f"learning rates: {QUICK}",
    ]
    assert str(troubles.SLOW) in figures.troubles(made_up()).get_suptitle()


def test_an_optimizer_that_never_arrives_has_a_bar_and_a_curve_of_nothing() -> None:
    figure = figures.troubles(made_up(ZIGZAG={"adam": None}, VALLEY={"adam": None}))
    curve = next(line for line in figure.axes[0].lines if line.get_label() == "adam")
    assert len(curve.get_xdata()) == 3
    assert [bar.get_width() for bar in figure.axes[3].patches[:3]] == [10, 10, 0]


# --- notebooks -----------------------------------------------------------------------------------


def test_the_example_of_the_package_runs() -> None:
    lines = inspect.cleandoc(landscape.__doc__ or "").splitlines()
    code = "\n".join(line for line in lines if line.startswith("    "))
    names: dict = {}
    exec(textwrap.dedent(code), names)
    assert names["race"].surface == Valley()
    assert [path.optimizer.name for path in names["race"].paths] == ["sgd", "momentum", "adam"]
    assert names["path"].gradients == 100


def test_pictures_and_pages_are_shown_inline() -> None:
    race = hold_race("bowl", ["sgd"], Budget(gradients=3, per_decade=1, halvings=0, starts=1))
    page = race.player()._repr_html_()
    assert 'srcdoc="&lt;!DOCTYPE html&gt;' in page
    assert "<script" not in page  # all of it is escaped, within the frame
    for picture, kind in ((race.figure(), "png"), (race.gif(), "gif")):
        assert picture._repr_html_().startswith(f'<img src="data:image/{kind};base64,')


def test_what_the_package_offers_is_there() -> None:
    for name in landscape.__all__:
        assert getattr(landscape, name).__doc__
    assert isinstance(Rosenbrock(), landscape.Surface)


# --- the command ---------------------------------------------------------------------------------

TINY = ("--surfaces", "bowl,valley", "--opts", "sgd,adam", "--gradients", "5")
TINY_NAMES = {"races.csv", "player.html", "shared_rate.png"}
TINY_NAMES |= {f"{name}.{kind}" for name in ("bowl", "valley") for kind in ("png", "gif")}


@pytest.fixture
def here(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def command(*argv: str) -> int:
    return run(surfaces.main, list(argv))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_command_leaves_the_same_bytes_in_any_process_and_whatever_display_there_is(
    here, capsys
) -> None:
    assert command(*TINY, "--out", "a") == 0
    printed = capsys.readouterr().out
    assert {path.name for path in Path("a").iterdir()} == TINY_NAMES
    assert {Path(line).name for line in printed.splitlines() if line.startswith("a/")} == TINY_NAMES
    assert "SGD is slower than most, with 0.01 for all: " in printed
    assert "valley: gradients to a millionth: " in printed

    env = {name: text for name, text in os.environ.items() if name not in ("DISPLAY", "MPLBACKEND")}
    env |= {"MPLBACKEND": "nonsense", "PYTHONHASHSEED": "3"}
    again = [sys.executable, "-m", "nnscratch.surfaces", *TINY, "--out", "b"]
    done = subprocess.run(again, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed.replace("a/", "b/")
    for path in Path("a").iterdir():
        assert path.read_bytes() == Path("b", path.name).read_bytes(), path.name

    rows = rows_of(Path("a/races.csv"))
    assert [(row["surface"], row["optimizer"]) for row in rows] == [
        *(("bowl", "sgd"), ("bowl", "adam"), ("valley", "sgd"), ("valley", "adam")),
    ]
    assert float(rows[0]["lr"]) == pytest.approx(0.5, rel=0.04)
    with Image.open("a/bowl.gif") as animation:
        assert animation.n_frames == 6
    with Image.open("a/bowl.png") as picture:
        assert picture.width > 1000


@pytest.mark.slow
def test_without_flags_the_troubles_are_measured_told_and_drawn(here, few, capsys, monkeypatch):
    monkeypatch.setattr(surfaces, "SURFACES", {"bowl": Bowl})
    best = {"sgd": 0.93, "adam": 0.8}
    monkeypatch.setattr(troubles, "tuned", lambda _, one, *__: one.with_lr(best[one.name]))
    for out in ("a", "b"):
        assert command("--opts", "sgd,adam", "--gradients", "2", "--out", out) == 0
    for path in Path("a").iterdir():
        assert path.read_bytes() == Path("b", path.name).read_bytes(), path.name
    rows = rows_of(Path("a/troubles.csv"))
    assert len(rows) == 2 * len(troubles.TROUBLES)
    (slow,) = (r for r in rows if r["trouble"] == "valley 100" and r["optimizer"] == "sgd")
    assert (slow["number"], slow["lr"], slow["unit"]) == ("316", "0.93", "gradients to a millionth")
    printed = capsys.readouterr().out
    row, again = (line.split() for line in printed.splitlines() if line.startswith("sgd  "))
    assert row == again
    assert row[:5] == ["sgd", "316", "316", "13.3", "13.3"]
    assert len(row) == 1 + len(troubles.TABLE)
    assert "Steps for each weight cure zig-zag along the axes: " in printed
    with Image.open("a/troubles.png") as picture:
        assert picture.width > 1000


@pytest.mark.parametrize(
    ("argv", "what", "fix"),
    [
        (["--surfaces", "beal"], "unknown surface 'beal'", "did you mean 'beale'?"),
        (["--surfaces", ""], "unknown surface ''", "choices: bowl, valley"),
        (["--surfaces", "bowl,"], "unknown surface ''", "choices: bowl, valley"),
        (["--start", "9,9", "--surfaces", "bowl"], "is outside of the frame of bowl", "x from -5"),
        (["--start", "4,4"], "is outside of the frame of rosenbrock", "x from -2"),
        (["--start", "1", "--surfaces", "bowl"], "not a point (x, y)", "give (x, y)"),
        (["--start", "1,2,3", "--surfaces", "bowl"], "not a point (x, y)", "give (x, y)"),
        (["--start", "1,x"], "--start: must be a number", "--help"),
        (["--start", "1;2"], "--start: must be a number", "--help"),
        (["--opts", "sdg"], "unknown optimizer 'sdg'", "did you mean 'sgd'?"),
        (["--opts", "kfac", "--surfaces", "bowl"], "kfac needs what a surface", "choose another"),
        (["--gradients", "0"], "--gradients: must be", "--help"),
        (["--out", ""], "path of a folder", "--help"),
    ],
)
def test_wrong_arguments_cost_two_lines(argv, what: str, fix: str, here, capsys) -> None:
    assert command(*argv) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert what in lines[0]
    assert fix in lines[1]


@pytest.mark.parametrize("out", ["taken", "taken/below", "full"])
def test_a_folder_that_cannot_be_written_is_told_before_anything_is_computed(
    out: str, here, capsys, monkeypatch
) -> None:
    def no_room(**_: object) -> None:
        raise OSError(28, "No space left on device")

    Path("taken").write_text("")
    if out == "full":
        monkeypatch.setattr(surfaces.tempfile, "TemporaryFile", no_room)
    monkeypatch.setattr(surfaces, "hold_race", None)  # nobody calls it
    assert command("--out", out) == 6
    assert f"{out} cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("optimizers", "what"),
    [([], "the optimizers are"), ("adam", "the optimizers are 'adam'"), (["sgd", "sgd"], "twice")],
)
def test_a_race_of_nobody_or_of_two_that_look_alike_is_refused(optimizers, what: str) -> None:
    with pytest.raises(nn.UsageError, match=what):
        hold_race("bowl", optimizers)


def test_the_detour_is_the_length_over_the_straight_line() -> None:
    around = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
    path = Way(Bowl(), OPT["sgd"](), around, np.zeros(3), None, False)
    assert path.detour == pytest.approx(7 / 5)
    back = Way(Bowl(), OPT["sgd"](), around[[0, 1, 0]], np.zeros(3), None, False)
    assert back.detour == math.inf
