"""The tables of a study: each column stated once, for pages of any kind."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .analysis import Analysis
from .standings import TARGETS, Reach, Standing


@dataclass(frozen=True)
class Column:
    """A column: its head, what stands in it, and the number or name that it is sorted by."""

    head: str
    text: Callable[[Standing], str]
    key: Callable[[Standing], float | str]
    is_words: bool = False  # and not numbers, which stand at the right


@dataclass(frozen=True)
class Table:
    """Rows of cells under heads; each cell is a text and what it is sorted by."""

    title: str
    columns: Sequence[Column]
    standings: Sequence[Standing]

    @property
    def cells(self) -> list[list[str]]:
        return [[column.text(s) for column in self.columns] for s in self.standings]


def tables(analysis: Analysis, schedule: str) -> list[Table]:
    """The tables of one schedule: what was reached, and what it took."""
    standings = analysis.of_schedule(schedule)
    return [
        Table("Accuracy", accuracy_columns(analysis.design.baseline), standings),
        Table("Time, memory and tuning", cost_columns(), standings),
    ]


def accuracy_columns(baseline: str) -> list[Column]:
    return [
        _name(),
        Column("lr", lambda s: number(s.lr), lambda s: s.lr or 0.0),
        Column("test %", lambda s: f"{100 * s.test.mean:.2f}", lambda s: s.test.mean),
        Column("sd", lambda s: points(s.test.sd, 2), lambda s: s.test.sd),
        Column("worst", lambda s: f"{100 * s.test.low:.2f}", lambda s: s.test.low),
        Column("best", lambda s: f"{100 * s.test.high:.2f}", lambda s: s.test.high),
        Column("validation %", lambda s: f"{100 * s.val.mean:.2f}", lambda s: s.val.mean),
        Column(
            f"minus {baseline}, points",
            lambda s: signed(s.difference.mean),
            lambda s: s.difference.mean,
        ),
        Column(
            "95 % interval",
            lambda s: f"{signed(s.difference.low)} to {signed(s.difference.high)}",
            lambda s: s.difference.low,
        ),
        Column(
            "p (Holm)",
            lambda s: p_value(s.difference.p_holm),
            lambda s: math.nan if s.difference.p_holm is None else s.difference.p_holm,
        ),
        Column("verdict", lambda s: s.difference.verdict, lambda s: s.difference.verdict, True),
        Column("seeds", lambda s: str(len(s.final)), lambda s: len(s.final)),
        Column("diverged", lambda s: str(s.diverged), lambda s: s.diverged),
    ]


def cost_columns() -> list[Column]:
    columns = [_name()]
    for k, target in enumerate(TARGETS):
        columns += _reach_columns(k, f"{100 * target:g} %")
    return [
        *columns,
        Column(
            "ms an update",
            lambda s: f"{1e3 * s.seconds_per_update:.2f}",
            lambda s: s.seconds_per_update,
        ),
        Column(
            "gradients an image and epoch",
            lambda s: f"{s.passes_per_epoch:.3g}",
            lambda s: s.passes_per_epoch,
        ),
        Column(
            "bytes of state a weight",
            lambda s: f"{s.state_per_weight:.3g}",
            lambda s: s.state_per_weight,
        ),
        Column(
            "good rates",
            lambda s: f"{s.good_rates} of {s.rates}" if s.rates else "-",
            lambda s: s.good_rates,
        ),
    ]


def _name() -> Column:
    return Column("optimizer", lambda s: s.optimizer, lambda s: s.optimizer, True)


def _reach_columns(k: int, target: str) -> list[Column]:
    def column(head: str, get: Callable[[Reach], float], form: str) -> Column:
        return Column(
            f"{head} to {target}",
            lambda s: finite(get(s.reaches[k]), form),
            lambda s: get(s.reaches[k]),
        )

    return [
        column("epochs", lambda reach: reach.epochs, ".3g"),
        column("updates", lambda reach: reach.updates, ",.0f"),
        column("million gradients", lambda reach: reach.gradients / 1e6, ".2f"),
        column("seconds", lambda reach: reach.seconds, ".1f"),
        Column(
            f"seeds at {target}",
            lambda s: f"{s.reaches[k].reached} of {s.reaches[k].of}",
            lambda s: s.reaches[k].reached,
        ),
    ]


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def points(share: float, digits: int) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.{digits}f}"


def signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.2f}"


def p_value(p: float | None) -> str:
    return "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def finite(value: float, form: str) -> str:
    return f"{value:{form}}" if math.isfinite(value) else "inf"


def flat(standing: Standing) -> dict[str, Any]:
    """A standing as a row of summary.csv: no trials, one number a column, inf for never."""
    row: dict[str, Any] = {
        "schedule": standing.schedule,
        "optimizer": standing.optimizer,
        "lr": standing.lr,
        "hypers": " ".join(f"{name}={value:g}" for name, value in standing.hypers.items()),
        "seeds": len(standing.final),
        "diverged": standing.diverged,
        "failed": standing.failed,
    }
    for name, spread in (("test", standing.test), ("val", standing.val)):
        row |= {f"{name}_{key}": round(value, 6) for key, value in asdict(spread).items()}
    for key, value in asdict(standing.difference).items():
        row[f"difference_{key}"] = _rounded(value) if isinstance(value, float) else value
    for reach in standing.reaches:
        of_target = asdict(reach)
        target = f"{100 * of_target.pop('target'):g}"
        of_target.pop("of")
        row |= {f"{key}_to_{target}": _rounded(value) for key, value in of_target.items()}
    return row | {
        "good_rates": standing.good_rates,
        "rates": standing.rates,
        "state_per_weight": _rounded(standing.state_per_weight),
        "seconds_per_update": _rounded(standing.seconds_per_update),
        "passes_per_epoch": _rounded(standing.passes_per_epoch),
    }


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
