"""How long a study will take, seen in short test runs before it begins."""

import statistics
from collections.abc import Sequence

from .protocol import Course
from .workers import Pool, results

BATCHES = 8  # of an epoch in a test run
EVALUATION = 1.1  # an epoch with its evaluation, as a multiple of one without


def seconds_per_epoch(courses: Sequence[Course], pool: Pool, images: int) -> dict[str, float]:
    """Let each optimizer train for a moment on the pool: what an epoch of `images` will take.

    The names are full names. One whose test run fails is taken to be as fast as the others; if
    all of them fail, an epoch is said to take a second.
    """
    tests = {course.optimizer: course.test_run() for course in courses}
    batch = courses[0].workload.batch_size
    seconds: dict[str, float] = {}
    for trial, result in results(list(tests.values()), pool, BATCHES * batch):
        times = result.outcome.seconds
        if len(times) == trial.epochs:  # the first epoch compiles
            update = (times[-1] - times[0]) / (trial.epochs - 1) / result.outcome.updates
            seconds[trial.optimizer.full_name] = EVALUATION * update * images / batch
    usual = statistics.median(seconds.values()) if seconds else 1.0
    return {o.full_name: seconds.get(o.full_name, usual) for o in tests}


def duration(seconds: float) -> str:
    """A time in words."""
    if seconds < 90:
        return f"{max(1, seconds):.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
