"""The protocol: which trials a study needs, given those that are finished.

For each optimizer and each schedule apart:

    search   trials with the tuning seed, over learning rates or all hyper-parameters
    full     where the search was shorter, the best few of them at full length, and their neighbours
    final    the best of these with fresh seeds; the only trials that read test images

What is best is decided by validation images: the accuracy after the last epoch, and the loss
among equals. A trial that diverged or failed comes last.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import UsageError
from ..hyper import hypers, values
from ..optim.base import Optimizer
from ..schedules import Schedule
from .grid import allows, at_step, best_of, full_steps, ranking, search_steps, step_of
from .ledger import Row
from .trials import Trial, Workload

TUNING_SEED = 0  # the final trials have the seeds 1, 2, 3, ...


@dataclass(frozen=True)
class Tier:
    """How much is spent on tuning.

    rates     learning rates in the search
    samples   quasi-random points in the search, over all hyper-parameters
    tuning    epochs of a trial in the search; 0 for the full length
    full      how many of them are trained at full length
    epochs    epochs of the full length
    seeds     final trials
    limit     training images, if not all
    hidden    units of the hidden layers
    """

    name: str
    meaning: str
    rates: int = 0
    samples: int = 0
    tuning: int = 0
    full: int = 0
    epochs: int = 10
    seeds: int = 12
    limit: int | None = None
    hidden: tuple[int, ...] = (1000,)

    def tuning_epochs(self, epochs: int) -> int:
        """The epochs of a trial in the search, where a trial of full length has so many."""
        return min(self.tuning or epochs, epochs)


TIERS = {
    tier.name: tier
    for tier in (
        Tier(
            "smoke",
            "the tier lr made small, to see that all runs: says nothing about the optimizers",
            rates=4,
            tuning=1,
            full=1,
            epochs=2,
            seeds=3,
            limit=10_000,
            hidden=(128,),
        ),
        Tier("defaults", "the optimizers as they come"),
        Tier("lr", "the learning rate is tuned, all else as it comes", rates=10, tuning=3, full=3),
        Tier("all", "all hyper-parameters with a search range are tuned", samples=20),
    )
}


@dataclass(frozen=True)
class Course:
    """All trials of one optimizer under one schedule."""

    workload: Workload
    optimizer: Optimizer
    schedule: Schedule
    tier: Tier
    epochs: int
    seeds: int

    @property
    def tuning_epochs(self) -> int:
        return self.tier.tuning_epochs(self.epochs)

    def next_trials(self, row_of: Callable[[Trial, str], Row | None]) -> list[tuple[Trial, str]]:
        """The trials to run now, each with its stage; none when all are finished.

        `row_of` gives the row of a finished trial of that stage.
        """
        best = self.optimizer
        for stage, plan in (("search", self._search), ("full", self._full)):
            trials = plan(row_of)
            rows = [row_of(trial, stage) for trial in trials]
            if missing := [t for t, row in zip(trials, rows, strict=True) if row is None]:
                return [(trial, stage) for trial in missing]
            if trials:
                best = trials[best_of([row for row in rows if row])].optimizer
        final = [self._trial(best, seed, self.epochs, True) for seed in self.final_seeds]
        return [(trial, "final") for trial in final if row_of(trial, "final") is None]

    @property
    def final_seeds(self) -> range:
        return range(TUNING_SEED + 1, TUNING_SEED + 1 + self.seeds)

    def epochs_left(self, row_of: Callable[[Trial, str], Row | None]) -> int:
        """The epochs of all trials that are not finished, if the search is not extended."""
        todo = self.next_trials(row_of)
        stage = todo[0][1] if todo else ""
        later = 0 if stage in ("", "final") else self.seeds
        if stage == "search" and self.tuning_epochs < self.epochs:
            later += self.tier.full
        return sum(trial.epochs for trial, _ in todo) + later * self.epochs

    def test_run(self) -> Trial:
        """A short trial that shows how long an epoch takes; its second epoch compiles nothing."""
        return self._trial(self.optimizer, TUNING_SEED, 2)

    def _search(self, row_of: Callable[[Trial, str], Row | None]) -> list[Trial]:
        if self.tier.samples:
            points = sampled(self.optimizer, self.tier.samples)
            return [self._trial(p, TUNING_SEED, self.tuning_epochs) for p in points]
        return [self._at(step, self.tuning_epochs) for step in self._search_steps(row_of)]

    def _search_steps(self, row_of: Callable[[Trial, str], Row | None]) -> list[int]:
        if not self.tier.rates or self.optimizer.rate is None:
            return []

        def row_at(step: int) -> Row | None:
            return row_of(self._at(step, self.tuning_epochs), "search")

        return search_steps(self.tier.rates, self._is_allowed, row_at)

    def _full(self, row_of: Callable[[Trial, str], Row | None]) -> list[Trial]:
        if self.tuning_epochs == self.epochs or not self.tier.full:
            return []

        def row_at(step: int) -> Row | None:
            return row_of(self._at(step, self.epochs), "full")

        steps = self._search_steps(row_of)
        trials = [self._at(step, self.tuning_epochs) for step in steps]
        rows = [row for trial in trials if (row := row_of(trial, "search"))]
        few = [steps[k] for k in ranking(rows)[: self.tier.full]]
        full = full_steps(steps, few, self._is_allowed, row_at)
        return [self._at(step, self.epochs) for step in full]

    def _is_allowed(self, step: int) -> bool:
        return allows(self.optimizer, step)

    def _at(self, step: int, epochs: int) -> Trial:
        return self._trial(at_step(self.optimizer, step), TUNING_SEED, epochs)

    def _trial(
        self, optimizer: Optimizer, seed: int, epochs: int, reads_test: bool = False
    ) -> Trial:
        return Trial(self.workload, optimizer, self.schedule, epochs, seed, reads_test)


def chosen(
    search: Sequence[Row], full: Sequence[Row], tier: Tier, default: float | None
) -> Row | None:
    """The row whose setting the final trials have, of all rows of one course.

    `default` is the learning rate before any tuning. Rows that the course would not have now, such
    as those beyond an edge that a failed trial made, play no part.
    """
    if tier.rates and default:
        searched = {step_of(row.lr, default): row for row in search if row.lr}
        trained = {step_of(row.lr, default): row for row in full if row.lr}
        steps = search_steps(tier.rates, searched.__contains__, searched.get)
        search = [searched[step] for step in steps]
        few = [steps[k] for k in ranking(search)[: tier.full]]
        full = [
            trained[step]
            for step in full_steps(steps, few, trained.__contains__, trained.get)
            if step in trained
        ]
    considered = full or search
    return considered[best_of(considered)] if considered else None


def sampled(optimizer: Optimizer, count: int) -> list[Optimizer]:
    """The optimizer with hyper-parameters from a scrambled Halton sequence over their searches.

    Source: Owen, A randomized Halton algorithm in R, arXiv 1706.02808, as SciPy has it.
    """
    from scipy.stats.qmc import Halton  # takes half a second to import

    paths = searched(optimizer)
    if not paths:
        raise UsageError(
            f"{optimizer.name} has no hyper-parameter with a search range",
            'give one to a field, as in nn.hyper(0.1, "(0, inf)", "step size", "log x 30")',
        )
    points = Halton(len(paths), seed=0).random(count)
    return [placed(optimizer, dict(zip(paths, point, strict=True))) for point in points]


def searched(optimizer: Optimizer) -> list[str]:
    """The hyper-parameters that have a search range; those of an optimizer inside as base.lr."""
    own = [name for name, hyper in hypers(type(optimizer)).items() if hyper.search]
    base = getattr(optimizer, "base", None)
    inner = searched(base) if isinstance(base, Optimizer) else []
    return own + [f"base.{name}" for name in inner]


def placed(optimizer: Optimizer, point: Mapping[str, float]) -> Optimizer:
    """The optimizer at a point of the unit cube, whose coordinates are named as in `searched`."""
    changes: dict[str, object] = {}
    for name, hyper in hypers(type(optimizer)).items():
        if name in point and hyper.search:
            value = hyper.search.at(point[name], hyper.default)
            changes[name] = round(value) if hyper.kind is int else value
    inner = {k.removeprefix("base."): u for k, u in point.items() if k.startswith("base.")}
    if inner:
        changes["base"] = placed(optimizer.base, inner)  # type: ignore[attr-defined]
    return dataclasses.replace(optimizer, **changes)  # type: ignore[type-var]


def flat_values(optimizer: Optimizer) -> dict[str, float]:
    """All hyper-parameters, those of an optimizer inside as base.lr."""
    base = getattr(optimizer, "base", None)
    inner = flat_values(base) if isinstance(base, Optimizer) else {}
    return values(optimizer) | {f"base.{name}": value for name, value in inner.items()}
