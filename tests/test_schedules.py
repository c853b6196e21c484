"""Schedules: the factor at chosen updates, worked out by hand."""

import math

import pytest

import nnscratch as nn

TOTAL, PER_EPOCH = 1200, 100


def factor(name: str, update: int, **hyper: float) -> float:
    return nn.SCHEDULES[name](**hyper).factor(update, TOTAL, PER_EPOCH)


@pytest.mark.parametrize(
    ("name", "hyper", "expected"),
    [
        ("constant", {}, {0: 1, 1: 1, 1199: 1}),
        # Keras: lr / (1 + decay * iterations), iterations counted in batches from 0
        ("inverse_time", {"decay": 0.01}, {0: 1, 1: 1 / 1.01, 1000: 1 / 11}),
        ("inverse_time", {"decay": 0.0}, {0: 1, 1000: 1}),
        ("step", {"every": 3, "drop": 0.1}, {0: 1, 299: 1, 300: 0.1, 600: 0.01, 1199: 0.001}),
        ("exponential", {"fall": 0.5}, {0: 1, 50: math.sqrt(0.5), 100: 0.5, 200: 0.25}),
        ("cosine", {}, {0: 1, 400: 0.75, 600: 0.5, 800: 0.25}),
    ],
)
def test_the_rate_at_chosen_updates(name: str, hyper: dict, expected: dict[int, float]) -> None:
    assert {u: factor(name, u, **hyper) for u in expected} == pytest.approx(expected)


@pytest.mark.parametrize("name", nn.SCHEDULES)
def test_the_rate_is_never_zero_within_the_run(name: str) -> None:
    assert 0 < factor(name, TOTAL - 1) <= 1


@pytest.mark.parametrize("name", nn.SCHEDULES)
def test_warm_up_rises_in_equal_steps_and_then_the_schedule_begins(name: str) -> None:
    rising = [factor(name, u, warmup=4) for u in range(5)]
    assert rising == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    schedule = nn.SCHEDULES[name](warmup=200)
    bare = nn.SCHEDULES[name]()
    assert schedule.factor(500, TOTAL, PER_EPOCH) == bare.factor(300, TOTAL - 200, PER_EPOCH)


def test_many_drops_never_make_the_rate_zero() -> None:
    schedule = nn.SCHEDULES["step"](every=1, drop=1e-200)
    assert nn.OPTIMIZERS["sgd"]().with_lr(1e-3 * schedule.factor(1199, TOTAL, PER_EPOCH)).lr > 0


def test_keras_trap_of_precedence_is_not_here() -> None:
    """1 / 1 + decay * n, without the brackets, grows for ever."""
    assert factor("inverse_time", 1199, decay=1.0) == pytest.approx(1 / 1200)


@pytest.mark.parametrize("name", nn.SCHEDULES)
def test_the_loop_applies_the_schedule_to_every_update(name: str, toy: nn.Split) -> None:
    schedule = nn.SCHEDULES[name](warmup=2)
    loader = nn.mini_batch(toy, 100)
    model = nn.MLP([12, 4, 3])
    records = list(
        nn.fit(model, nn.OPTIMIZERS["sgd"](lr=0.5), loader, 4, schedule=schedule, every=1)
    )
    expected = [0.5 * schedule.factor(u, 12, 3) for u in range(12)]
    assert [record.lr for record in records] == pytest.approx(expected, rel=1e-15)
