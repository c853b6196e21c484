"""The protocol: which trials follow from which."""

import math
from dataclasses import dataclass, replace

import pytest
from study_rows import workload

import nnscratch as nn
from nnscratch.hyper import Search, hypers
from nnscratch.study.grid import at_step, full_steps, step_of
from nnscratch.study.ledger import Row
from nnscratch.study.protocol import (
    TIERS,
    Course,
    chosen,
    flat_values,
    placed,
    sampled,
    searched,
)
from nnscratch.study.trials import Outcome


def course(optimizer: nn.Optimizer, tier: str = "lr", epochs: int = 10) -> Course:
    schedule = nn.SCHEDULES["constant"]()
    return Course(workload(), optimizer, schedule, TIERS[tier], epochs, TIERS[tier].seeds)


def played(course: Course, accuracy) -> list[list[tuple]]:
    """The waves of trials, if `accuracy(lr, epochs)` is what comes of them; None diverges."""
    rows, waves = {}, []
    while todo := course.next_trials(lambda trial, stage: rows.get((trial, stage))):
        waves.append(todo)
        for trial, stage in todo:
            assert (trial, stage) not in rows
            found = accuracy(trial.optimizer.rate, trial.epochs)
            status = "diverged" if found is None else "done"
            outcome = Outcome(status, val_accuracy=[found], val_loss=[1.0])
            values = flat_values(trial.optimizer)
            rows[trial, stage] = Row(
                "", stage, "", values, trial.optimizer.rate, "", 0, 0, "", "", 0.0, outcome
            )
    return waves


def bump(best: float):
    """An accuracy that falls by a tenth for each factor of ten from the best rate."""
    return lambda lr, epochs: 0.95 - 0.1 * abs(math.log10(lr / best))


def rates(wave) -> list[float]:
    return [trial.optimizer.rate for trial, _ in wave]


def test_the_headline_tier_spends_what_it_says() -> None:
    """Ten rates for 3 epochs, the best three for 10, twelve seeds for 10: 180 epochs."""
    search, full, final = played(course(nn.OPTIMIZERS["adam"]()), bump(1e-3))
    assert rates(search) == [1e-5, 3.16e-5, 1e-4, 3.16e-4, 1e-3, 3.16e-3, 0.01, 0.0316, 0.1, 0.316]
    assert {(t.epochs, t.seed, t.reads_test, s) for t, s in search} == {(3, 0, False, "search")}
    assert sorted(rates(full)) == [3.16e-4, 1e-3, 3.16e-3]
    assert {(t.epochs, t.seed, t.reads_test, s) for t, s in full} == {(10, 0, False, "full")}
    assert {(t.optimizer.rate, t.epochs, t.reads_test) for t, _ in final} == {(1e-3, 10, True)}
    assert [t.seed for t, _ in final] == list(range(1, 13))
    assert sum(t.epochs for wave in (search, full, final) for t, _ in wave) == 180


def test_the_choice_is_made_at_full_length() -> None:
    """A rate that is good after 3 epochs may be bad after 10."""
    waves = played(
        course(nn.OPTIMIZERS["adam"]()),
        lambda lr, epochs: bump(1e-3 if epochs == 3 else 3.16e-4)(lr, epochs),
    )
    assert set(rates(waves[-1])) == {3.16e-4}


@pytest.mark.parametrize(("best", "side"), [(1.0, max), (3e-6, min)])
def test_the_grid_grows_while_the_best_rate_lies_at_its_edge(best: float, side) -> None:
    waves = played(course(nn.OPTIMIZERS["sgd"]()), bump(best))
    searched = [lr for wave in waves if wave[0][1] == "search" for lr in rates(wave)]
    assert len(searched) == 12
    assert side(searched) != rates(waves[-1])[0]


def test_the_grid_does_not_grow_beyond_fourteen_rates() -> None:
    waves = played(course(nn.OPTIMIZERS["sgd"]()), bump(1e6))
    searched = [lr for wave in waves if wave[0][1] == "search" for lr in rates(wave)]
    assert len(searched) == 14
    assert set(rates(waves[-1])) == {max(searched)}


@pytest.mark.parametrize("best", [1e-4, 0.1])
def test_the_best_at_full_length_has_been_compared_with_both_its_neighbours(best: float) -> None:
    """Also where three epochs pointed to rates ten times as large, or as small."""
    waves = played(
        course(nn.OPTIMIZERS["adam"]()),
        lambda lr, epochs: bump(3.16e-3 if epochs == 3 else best)(lr, epochs),
    )
    full = [lr for wave in waves if wave[0][1] == "full" for lr in rates(wave)]
    assert set(rates(waves[-1])) == {best}
    below, above = (at_step(nn.OPTIMIZERS["adam"](best), step).rate for step in (-1, 1))
    assert {below, above} <= set(full)
    assert 5 <= len(full) <= 7


def test_a_gap_between_the_best_rates_is_closed_at_full_length() -> None:
    """The best three after three epochs need not lie side by side."""
    lucky = {1e-3: 0.95, 1e-2: 0.95, 0.1: 0.94}
    waves = played(
        course(nn.OPTIMIZERS["adam"]()),
        lambda lr, epochs: lucky.get(lr, 0.9) if epochs == 3 else bump(3.16e-3)(lr, epochs),
    )
    assert set(rates(waves[-1])) == {3.16e-3}


def test_the_limit_of_rates_leaves_those_that_were_searched() -> None:
    """Fourteen are searched, and the last is the best: none beyond it, but the one before it."""
    outcome = Outcome(val_accuracy=[0.9], val_loss=[1.0])

    def row_at(step: int) -> Row:
        losses = replace(outcome, val_loss=[-step])
        return Row("", "full", "", {}, 10.0**step, "", 0, 0, "", "", 0.0, losses)

    assert full_steps(range(-4, 10), [9, 7], lambda _: True, row_at) == [9, 7, 8]


def test_a_trial_that_failed_once_does_not_hide_the_choice_from_the_report() -> None:
    """The best search trial fails, the search goes on beyond it, and later it comes out best."""
    one = course(nn.OPTIMIZERS["adam"]())
    rows: dict = {}

    def finish(accuracy) -> None:
        while todo := one.next_trials(lambda trial, stage: rows.get((trial, stage))):
            for trial, stage in todo:
                found = accuracy(trial.optimizer.rate)
                status = "failed" if found is None else "done"
                outcome = Outcome(status, val_accuracy=[found], val_loss=[1.0])
                values, rate = flat_values(trial.optimizer), trial.optimizer.rate
                rows[trial, stage] = Row(
                    "", stage, "", values, rate, "", 0, 0, "", "", 0.0, outcome
                )

    hill = {0.1: 0.97, 0.316: 0.96, 1.0: 0.99}  # 1.0 lies beyond the grid
    finish(lambda lr: None if lr == 0.1 else hill.get(lr, 0.9 - lr / 10))
    assert (1.0, "search") in {(t.optimizer.rate, stage) for t, stage in rows}
    rows = {key: row for key, row in rows.items() if not row.has_failed}  # as the next call has it
    finish(lambda lr: hill.get(lr, 0.9 - lr / 10))
    of_stage = {s: [r for r in rows.values() if r.stage == s] for s in ("search", "full", "final")}
    best = chosen(of_stage["search"], of_stage["full"], TIERS["lr"], 1e-3)
    assert len([row for row in of_stage["final"] if row.hypers == best.hypers]) == 12
    assert not one.next_trials(lambda trial, stage: rows.get((trial, stage)))


def test_rates_that_diverge_come_last() -> None:
    waves = played(
        course(nn.OPTIMIZERS["sgd"]()), lambda lr, _: None if lr > 1e-3 else 0.5 + 0.1 * lr
    )
    assert set(rates(waves[-1])) == {1e-3}
    assert played(course(nn.OPTIMIZERS["sgd"]()), lambda *_: None)  # comes to an end all the same


def test_the_loss_decides_among_equal_accuracies() -> None:
    """Also where the smaller loss comes later."""
    one = course(nn.OPTIMIZERS["sgd"](), epochs=3)  # no longer than the search: no stage between
    rows = {}
    for trial, stage in one.next_trials(lambda *_: None):
        loss = 0.1 if trial.optimizer.rate == 0.01 else 0.2
        outcome = Outcome(val_accuracy=[0.9], val_loss=[loss])
        rows[trial, stage] = Row("", "", "", {}, 0.0, "", 0, 0, "", "", 0.0, outcome)
    final = one.next_trials(lambda trial, stage: rows.get((trial, stage)))
    assert {(t.optimizer.rate, s) for t, s in final} == {(0.01, "final")}


def test_the_tier_of_defaults_tunes_nothing() -> None:
    (final,) = played(course(nn.OPTIMIZERS["adam"](), "defaults"), bump(1))
    assert {t.optimizer for t, _ in final} == {nn.OPTIMIZERS["adam"]()}
    assert len(final) == 12


def test_the_tier_of_everything_tries_twenty_points_at_full_length() -> None:
    search, final = played(course(nn.OPTIMIZERS["adam"](), "all"), bump(1e-3))
    tried = [t.optimizer for t, _ in search]
    assert len(set(tried)) == 20
    assert {t.epochs for t, _ in search} == {10}
    assert {o.weight_decay for o in tried} == {0.0}  # has no search range
    lrs = sorted(o.lr for o in tried)
    assert 1e-3 / 30 <= lrs[0] < 1e-4 < 1e-2 < lrs[-1] <= 1e-3 * 30
    assert {t.optimizer.rate for t, _ in final} == {
        min(lrs, key=lambda lr: abs(math.log10(lr / 1e-3)))
    }


def test_an_optimizer_around_another_is_tuned_with_it() -> None:
    lookahead = nn.OPTIMIZERS["lookahead"]()
    assert at_step(lookahead, 2).rate == pytest.approx(0.01)
    points = sampled(lookahead, 20)
    assert {p.k for p in points} == {5, 10}
    assert len({p.base.lr for p in points}) == len({p.base.beta1 for p in points}) == 20
    assert flat_values(points[0])["base.lr"] == points[0].rate


def test_the_epochs_left_shrink_as_trials_finish() -> None:
    one = course(nn.OPTIMIZERS["adam"]())
    assert one.epochs_left(lambda *_: None) == 180
    assert course(nn.OPTIMIZERS["adam"](), "all").epochs_left(lambda *_: None) == 320
    assert course(nn.OPTIMIZERS["adam"](), "defaults").epochs_left(lambda *_: None) == 120
    left = []

    def watched(trial, stage):
        return rows.get((trial, stage))

    rows: dict = {}
    while todo := one.next_trials(watched):
        left.append(one.epochs_left(watched))
        trial, stage = todo[0]
        found = bump(1e-3)(trial.optimizer.rate, 0)
        outcome = Outcome(val_accuracy=[found], val_loss=[1.0])
        values, rate = flat_values(trial.optimizer), trial.optimizer.rate
        rows[trial, stage] = Row("", stage, "", values, rate, "", 0, 0, "", "", 0.0, outcome)
    assert left == [180 - 3 * k for k in range(10)] + [150 - 10 * k for k in range(15)]
    assert one.epochs_left(watched) == 0


@dataclass(frozen=True)
class Bounded(nn.Optimizer):
    """Whose learning rate has an upper end."""

    lr: float = nn.hyper(0.1, "(0, 1]", "step size")

    def update(self, w, dw, state):
        return w


@pytest.mark.parametrize("best", [1.0, 1e-3, 100.0])
def test_learning_rates_that_are_not_allowed_are_not_tried(best: float) -> None:
    waves = played(course(Bounded()), bump(best))
    searched = [lr for wave in waves if wave[0][1] == "search" for lr in rates(wave)]
    assert max(searched) == 1.0
    assert waves[-1][0][1] == "final"
    assert set(rates(waves[-1])) == {min(best, 1.0)}


@pytest.mark.parametrize("accuracy", [bump(1e-3), lambda *_: None, lambda *_: 0.5])
def test_the_report_finds_the_setting_that_the_finals_had(accuracy) -> None:
    """From the rows alone, in whatever order the trials came to their end."""
    one = course(nn.OPTIMIZERS["adam"]())
    rows: dict = {}
    while todo := one.next_trials(lambda trial, stage: rows.get((trial, stage))):
        for trial, stage in reversed(todo):
            found = accuracy(trial.optimizer.rate, trial.epochs)
            status = "diverged" if found is None else "done"
            values, rate = flat_values(trial.optimizer), trial.optimizer.rate
            outcome = Outcome(status, val_accuracy=[found], val_loss=[1.0])
            rows[trial, stage] = Row("", stage, "", values, rate, "", 0, 0, "", "", 0.0, outcome)
    search, full, final = (
        [row for row in rows.values() if row.stage == stage]
        for stage in ("search", "full", "final")
    )
    best = chosen(search, full, TIERS["lr"], 1e-3)
    assert best is not None
    assert {row.lr for row in final} == {best.lr}


def test_places_on_the_grid_are_found_again() -> None:
    for name in ("adam", "schedule_free_adamw", "muon"):
        optimizer = nn.OPTIMIZERS[name]()
        for step in range(-8, 10):
            assert step_of(at_step(optimizer, step).rate, optimizer.rate) == step


def test_without_any_search_range_the_tier_of_everything_refuses() -> None:
    with pytest.raises(nn.UsageError, match="search range"):
        sampled(nn.OPTIMIZERS["newton"](), 20)


# --- search ranges -----------------------------------------------------------------------------

SEARCHED = [
    pytest.param(hyper, id=f"{name}.{hyper.name}")
    for name, cls in nn.OPTIMIZERS.items()
    for hyper in hypers(cls).values()
    if hyper.search
]


@pytest.mark.parametrize("hyper", SEARCHED)
def test_every_value_that_a_search_may_try_is_allowed(hyper) -> None:
    values = [hyper.search.at(u, hyper.default) for u in (0.0, 0.3, 0.7, math.nextafter(1, 0))]
    assert values == sorted(values)
    assert values[0] < values[-1]


@pytest.mark.parametrize("name", [name for name in nn.OPTIMIZERS if name != "newton"])
def test_an_optimizer_can_be_made_anywhere_in_its_search(name: str) -> None:
    optimizer = nn.OPTIMIZERS[name]()
    for u in (0.0, 1e-6, 0.5, math.nextafter(1, 0)):
        placed(optimizer, dict.fromkeys(searched(optimizer), u))  # checks every value


def test_points_near_the_end_of_a_range_stay_apart() -> None:
    adam = nn.OPTIMIZERS["adam"]()
    betas = [placed(adam, {"beta2": u}).beta2 for u in (0.95, 0.96, 0.97, 0.98, 0.99)]
    assert len({f"{1 - beta:.3g}" for beta in betas}) == 5


def test_every_optimizer_that_trains_the_network_can_be_searched() -> None:
    without = [
        name
        for name, cls in nn.OPTIMIZERS.items()
        if not any(hyper.search for hyper in hypers(cls).values())
    ]
    assert without == ["newton"]


@pytest.mark.parametrize(
    ("text", "quarters"),
    [
        ("[2, 6]", [2, 3, 4, 5]),
        ("log [1e-4, 1]", [1e-4, 1e-3, 1e-2, 1e-1]),
        ("1 - log [1e-4, 1]", [0, 0.9, 0.99, 0.999]),
        ("log x 100", [0.05, 0.5, 5, 50]),
        ("{0, 0.5, 0.9, 0.99}", [0, 0.5, 0.9, 0.99]),
    ],
)
def test_search_ranges_mean_what_they_say(text: str, quarters: list[float]) -> None:
    search = Search(text)
    assert [search.at(u, 5.0) for u in (0, 0.25, 0.5, 0.75)] == pytest.approx(quarters)


@pytest.mark.parametrize("text", ["log", "[1 2]", "ln [1, 2]", "{}", "x 30", "[a, b]"])
def test_a_search_range_that_cannot_be_read_is_refused_when_the_class_is_written(text) -> None:
    with pytest.raises(ValueError, match=r"search range|could not convert"):
        nn.hyper(0.1, "(0, inf)", "step size", text)
