"""How one optimizer did: spread over seeds, difference from the baseline, times to a target.

Accuracies are shares; differences are in points, hundredths of one. A trial that diverged counts
with the accuracy of a constant answer, 1 / classes: it is never dropped.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .design import Design
from .inference import LEVEL, best_of_draws, holm, interval, wilcoxon
from .ledger import Row
from .protocol import TIERS, chosen
from .trials import Outcome

TARGETS = (0.97, 0.98)  # validation accuracies that are waited for
TIE = 0.1  # points within which two optimizers are called equal
NEAR_BEST = 0.2  # points from the best within which a learning rate is called good
LEARNED = 2  # times the accuracy of guessing, below which nothing was learned to speak of


@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation (of the seeds, n - 1), smallest and largest."""

    mean: float
    sd: float
    low: float
    high: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Spread":
        sd = statistics.stdev(numbers) if len(numbers) > 1 else math.nan
        return cls(statistics.fmean(numbers), sd, min(numbers), max(numbers))


@dataclass(frozen=True)
class Difference:
    """Test accuracy minus the baseline's, over the seeds that both have, in points.

    low, high   Student's 95 % interval of the mean
    p           Wilcoxon's signed-rank test, two-sided, zeros as Pratt has them
    p_holm      the same after Holm's correction; None outside of the family that is tested
    verdict     "tie" if the mean is within 0.1 points of 0 and known to 0.1 points; "better" or
                "worse" if p_holm is below 0.05 and the interval on one side of 0; else "open";
                "baseline" for itself
    """

    mean: float
    low: float
    high: float
    p: float
    p_holm: float | None
    verdict: str


@dataclass(frozen=True)
class Reach:
    """What it takes to reach a validation accuracy: medians over seeds, infinite for never.

    A trial that diverged reached nothing, whatever it had before. Validation images are looked at
    after each epoch, so that all but `reached` and `of` are multiples of what an epoch takes.
    gradients counts gradients of single images; seconds are updates at the pace of the standing.
    """

    target: float
    reached: int
    of: int
    epochs: float
    updates: float
    gradients: float
    seconds: float


@dataclass(frozen=True)
class Standing:
    """One optimizer under one schedule.

    edge                 "smallest" or "largest" where the best learning rate is the last one tried
    search, full, final  its trials by stage, those that diverged among them; final without failed
    diverged, failed     how many final trials did; how many trials of any stage failed
    good_rates, rates    learning rates of the search within 0.2 points of the best, and all; none
                         is good if the best has learned nothing
    state_per_weight     bytes
    seconds_per_update   its pace: in the fastest epoch of all trials with the chosen setting, since
                         in the others it waited for what else the machine was doing
    passes_per_epoch     gradients of each image in an epoch: 2 for SAM
    """

    optimizer: str
    schedule: str
    hypers: Mapping[str, float]
    lr: float | None
    edge: str
    search: tuple[Row, ...]
    full: tuple[Row, ...]
    final: tuple[Row, ...]
    diverged: int
    failed: int
    val: Spread
    test: Spread
    difference: Difference
    reaches: tuple[Reach, ...]
    good_rates: int
    rates: int
    state_per_weight: float
    seconds_per_update: float
    passes_per_epoch: float
    chance: float  # the accuracy of a constant answer

    @property
    def best_of_k(self) -> list[tuple[float, float, float]]:
        """For k = 1, 2, ... trials of the search: mean, low and high of the best of k."""
        accuracies = [val_accuracy(row, self.chance) for row in self.search]
        return [best_of_draws(accuracies, k) for k in range(1, len(accuracies) + 1)]


def standings(design: Design, schedule: str, rows: Sequence[Row]) -> list[Standing]:
    """Of all optimizers that have a final trial under the schedule, best first.

    Seeds differ in how hard they are, and not all optimizers need have the same: so the order is
    that of the paired differences, where all have one.
    """
    stages: dict[str, dict[str, list[Row]]] = {}
    for name, competitor in design.optimizers.items():
        own = [row for row in rows if row.optimizer == name]
        of_stage = {
            stage: [row for row in own if row.stage == stage]
            for stage in ("search", "full", "final")
        }
        tier = TIERS[design.tier]
        best = chosen(of_stage["search"], of_stage["full"], tier, competitor.lr)
        hypers = best.hypers if best else competitor.defaults
        of_stage["final"] = sorted(
            (r for r in of_stage["final"] if r.hypers == hypers and r.seed <= competitor.seeds),
            key=lambda row: row.seed,
        )
        if any(not row.has_failed for row in of_stage["final"]):
            stages[name] = of_stage
    finals = {
        name: [row for row in of_stage["final"] if not row.has_failed]
        for name, of_stage in stages.items()
    }
    differences = _differences(design, finals)
    found = [
        _standing(design, schedule, name, of_stage, finals[name], differences[name])
        for name, of_stage in stages.items()
    ]
    are_paired = not any(math.isnan(s.difference.mean) for s in found)
    return sorted(
        found, key=lambda s: s.difference.mean if are_paired else s.test.mean, reverse=True
    )


def _standing(
    design: Design,
    schedule: str,
    name: str,
    of_stage: Mapping[str, Sequence[Row]],
    final: Sequence[Row],
    difference: Difference,
) -> Standing:
    chance = _chance(design)
    search = of_stage["search"]
    timed = [row.outcome for row in final if row.outcome.seconds]
    alike = [r for rows in of_stage.values() for r in rows if r.hypers == final[0].hypers]
    pace = min((_fastest(r.outcome) for r in alike if r.outcome.seconds), default=math.nan)
    grid = search if TIERS[design.tier].rates else []
    best = max((val_accuracy(row, chance) for row in grid), default=chance)
    return Standing(
        optimizer=name,
        schedule=schedule,
        hypers=final[0].hypers,
        lr=final[0].lr,
        edge=_edge(final[0].lr, [r.lr for r in (*search, *of_stage["full"]) if r.lr is not None]),
        search=tuple(search),
        full=tuple(of_stage["full"]),
        final=tuple(final),
        diverged=sum(row.outcome.status == "diverged" for row in final),
        failed=sum(row.has_failed for rows in of_stage.values() for row in rows),
        val=Spread.of([val_accuracy(row, chance) for row in final]),
        test=Spread.of([test_accuracy(row, chance) for row in final]),
        difference=difference,
        reaches=tuple(_reach(final, target, pace) for target in TARGETS),
        good_rates=sum(
            row.is_done
            and best > LEARNED * chance
            and 100 * (best - val_accuracy(row, chance)) <= NEAR_BEST
            for row in grid
        ),
        rates=len(grid),
        state_per_weight=final[0].outcome.state_per_weight,
        seconds_per_update=pace,
        passes_per_epoch=_median(
            o.gradients[-1] / len(o.gradients) / design.images["train"] for o in timed
        ),
        chance=chance,
    )


def _fastest(outcome: Outcome) -> float:
    """Seconds of an update in the fastest epoch."""
    ends = [0.0, *outcome.seconds]
    return min(end - start for start, end in pairwise(ends)) / outcome.updates


def _edge(lr: float | None, tried: Sequence[float]) -> str:
    """At which end of the learning rates that were tried this one lies, if at one."""
    if lr is None or len(set(tried)) < 2:
        return ""
    return "smallest" if lr == min(tried) else "largest" if lr == max(tried) else ""


def _median(numbers: Iterable[float]) -> float:
    found = list(numbers)
    return statistics.median(found) if found else math.nan


def _chance(design: Design) -> float:
    return 1 / int(design.workload["sizes"][-1])


def val_accuracy(row: Row, otherwise: float) -> float:
    """The accuracy after the last epoch, or the other number for a trial that diverged."""
    return row.outcome.val_accuracy[-1] if row.is_done else otherwise


def test_accuracy(row: Row, otherwise: float) -> float:
    """The accuracy on the test images, or the other number for a trial that diverged."""
    accuracy = row.outcome.test_accuracy
    return otherwise if accuracy is None else accuracy


def _reach(rows: Sequence[Row], target: float, pace: float) -> Reach:
    found: list[tuple[float, float, float, float]] = []
    for outcome in (row.outcome for row in rows if row.is_done):
        for k, accuracy in enumerate(outcome.val_accuracy):
            if accuracy >= target:
                updates = (k + 1) * outcome.updates
                found.append((k + 1, updates, outcome.gradients[k], updates * pace))
                break
    never = [(math.inf,) * 4] * (len(rows) - len(found))
    medians = [statistics.median(column) for column in zip(*found, *never, strict=True)]
    return Reach(target, len(found), len(rows), *medians)


def _differences(design: Design, finals: Mapping[str, Sequence[Row]]) -> dict[str, Difference]:
    """The difference of each optimizer from the baseline; nan all over if that has no trials."""
    accuracies = {
        name: {row.seed: test_accuracy(row, _chance(design)) for row in rows}
        for name, rows in finals.items()
    }
    base = accuracies.get(design.baseline, {})
    found: dict[str, tuple[list[float], float]] = {}
    for name, own in accuracies.items():
        seeds = sorted(own.keys() & base.keys())
        points = [round(100 * (own[seed] - base[seed]), 9) for seed in seeds]
        found[name] = points, wilcoxon(points)
    family = [
        name
        for name, (points, _) in found.items()
        if name != design.baseline and len(points) == design.seeds
    ]
    corrected = dict(zip(family, holm([found[name][1] for name in family]), strict=True))
    return {
        name: _difference(points, p, corrected.get(name), name == design.baseline)
        for name, (points, p) in found.items()
    }


def _difference(
    points: Sequence[float], p: float, p_holm: float | None, is_baseline: bool
) -> Difference:
    if not points:
        return Difference(math.nan, math.nan, math.nan, math.nan, None, "open")
    mean = statistics.fmean(points)
    low, high = interval(points)
    if is_baseline:
        verdict = "baseline"
    elif abs(mean) <= TIE and (high - low) / 2 <= TIE:
        verdict = "tie"
    elif p_holm is not None and p_holm < LEVEL and (low > 0 or high < 0):
        verdict = "better" if low > 0 else "worse"
    else:
        verdict = "open"
    return Difference(mean, low, high, p, p_holm, verdict)
