"""Do mini-batches avoid local minima?

    python experiments/noise_escape.py
    python experiments/noise_escape.py --fast

A function of one variable with two minima,

    V(x) = x^4 / 4 - x^2 / 2 + 0.15 x,

is the mean of f_i(x) = V(x) + s_i x over 4,096 examples, with slopes s_i of mean 0 and standard
deviation s = 4. SGD on batches of B begins in the higher minimum. In theory the noise of batches
that are drawn independently is a temperature T = lr s^2 / (2 B), and the share that is beyond the
pass after K updates is

    p (1 - exp(-r lr K / p)),    r = sqrt(V''(minimum) |V''(pass)|) / (2 pi) exp(-height / T),

with the rate r of Kramers (Physica 7, 284, 1940) and the share p of the density exp(-V / T) beyond
the pass. In batches of shuffled epochs each example comes once, so that the noise of an epoch adds
up to zero.
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, run

import nnscratch as nn
from nnscratch.arrays import Array
from nnscratch.looks import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
TILT = 0.15
EXAMPLES = 4096
SLOPE_SD = 4.0
FULL = EXAMPLES  # a batch of all of them
TAUGHT = (16, 128)  # the usual batch sizes, says the lecture; its own loop has 50
LECTURE = 50
LR = 0.1  # for all batch sizes alike
RATES = (0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.8)  # tried for each batch size
TUNING_SEED = 100


def height(x: Array) -> Array:
    """V, the mean of the examples."""
    return x**4 / 4 - x**2 / 2 + TILT * x


def slope(x: Array) -> Array:
    return x**3 - x + TILT


def curvature(x: float) -> float:
    return 3 * x * x - 1


def flat_points() -> tuple[float, float, float]:
    """The lower minimum, the pass, and the higher minimum."""
    low, top, high = sorted(np.roots([1, 0, -1, TILT]).real.tolist())
    return low, top, high


def theory(size: float, lr: float, updates: int) -> float:
    """The share on the lower side of those that began in the higher minimum (see above)."""
    _, top, high = flat_points()
    temperature = lr * SLOPE_SD**2 / size / 2
    rise = height(np.array(top)) - height(np.array(high))
    frequency = math.sqrt(curvature(high) * -curvature(top)) / (2 * math.pi)
    rate = frequency * math.exp(-rise / temperature)
    x = np.linspace(-4, 4, 4001)
    density = np.exp((height(x).min() - height(x)) / temperature)
    lower = float(density[x < top].sum() / density.sum())
    return lower * (1 - math.exp(-rate * lr * updates / lower))


def batch_slopes(batches: str, size: int, runs: int, rng: np.random.Generator) -> Iterator[Array]:
    """The mean slope of the next batch of each run, whose batches are "drawn" or "shuffled"."""
    slopes = np.random.default_rng(0).standard_normal(EXAMPLES)
    slopes = SLOPE_SD * (slopes - slopes.mean()) / slopes.std()
    while batches == "drawn":
        yield slopes[rng.integers(EXAMPLES, size=(runs, size))].mean(axis=1)
    while size == EXAMPLES:
        yield np.zeros(runs)
    while True:
        epoch = rng.permuted(np.broadcast_to(slopes, (runs, EXAMPLES)), axis=1)
        yield from epoch.reshape(runs, -1, size).mean(axis=2).T


def ends(starts: Array, batches: str, size: int, lr: float, updates: int, seed: int) -> Array:
    """Where SGD is after some updates, from each of the starts; nan or inf if it diverged."""
    optimizer = nn.OPTIMIZERS["sgd"](lr=lr)
    x, state = starts.copy(), optimizer.init(starts)
    noise = batch_slopes(batches, size, len(starts), np.random.default_rng(seed))
    with np.errstate(over="ignore", invalid="ignore"):
        for _, mean_slope in zip(range(updates), noise, strict=False):
            optimizer.update(x, slope(x) + mean_slope, state)
    return x


def mean_height(x: Array) -> float:
    """inf if one of them diverged."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(height(x).mean())
    return mean if math.isfinite(mean) else math.inf


def tuned(size: int, runs: int, updates: int) -> float:
    """The rate that ends lowest on the average, from the higher minimum."""
    starts = np.full(runs, flat_points()[2])
    found = [mean_height(ends(starts, "shuffled", size, lr, updates, TUNING_SEED)) for lr in RATES]
    return RATES[int(np.argmin(found))]


def escapes(sizes: Sequence[int], runs: int, updates: int) -> list[dict[str, Any]]:
    """From the higher minimum, with batches and rates of two kinds, and from anywhere."""
    _, top, high = flat_points()
    local = np.full(runs, high)
    anywhere = np.random.default_rng(1).uniform(-2, 2, runs)
    rows = []
    for begin, starts, batches, rates in (
        ("higher minimum", local, "drawn", "same"),
        ("higher minimum", local, "shuffled", "same"),
        ("higher minimum", local, "shuffled", "tuned"),
        ("anywhere", anywhere, "shuffled", "same"),
    ):
        for size in sizes if batches == "drawn" else [*sizes, EXAMPLES]:
            lr = tuned(size, max(20, runs // 5), updates) if rates == "tuned" else LR
            x = ends(starts, batches, size, lr, updates, seed=size)
            rows.append(
                {
                    "start": begin,
                    "batches": batches,
                    "rates": rates,
                    "batch_size": size,
                    "lr": lr,
                    "runs": runs,
                    "updates": updates,
                    "on_lower_side_percent": 100 * float(np.mean(x < top)),
                    "mean_height": mean_height(x),
                }
            )
    return rows


def findings(rows: Sequence[Row]) -> Iterator[str]:
    drawn, shuffled, best, anywhere = by_case(rows)
    runs, updates = shuffled[FULL]["runs"], shuffled[FULL]["updates"]
    gap = max(abs(share(row) - 100 * theory(size, LR, updates)) for size, row in drawn.items())
    yield (
        f"Of {runs:,} runs of {updates:,} updates from the higher minimum, with lr {LR:g} "
        f"and batches drawn independently, there ended on the side of the lower one: "
        f"{told(drawn)}. The theory is at most {gap:.1f} points away."
    )
    whole = share(shuffled[FULL])
    yield f"With shuffled epochs: {told(shuffled)}, and {whole:.1f} % with all of them."
    size = max(drawn, key=lambda size: abs(share(drawn[size]) - share(shuffled[size])))
    less = share(shuffled[size]) < share(drawn[size])
    yield (
        f"Where the two differ most, at {size}, shuffled batches leave "
        f"{'less' if less else 'more'} often than drawn ones, {share(shuffled[size]):.1f} against "
        f"{share(drawn[size]):.1f} %."
    )
    yield (
        f"With shuffled epochs and the rate tuned for each batch size: {told(best, True)}, and "
        f"{share(best[FULL]):.1f} % with all of them."
    )
    full = max(share(found[FULL]) for found in (shuffled, best))
    small = max(share(row) for row in shuffled.values())
    if full < 1 < small:
        yield "So mini-batches may leave a local minimum, and the full batch did not."
    else:
        yield f"The full batch left it in {full:.1f} % of the runs, the best size in {small:.1f} %."
    begun = 100 * (flat_points()[1] + 2) / 4
    yield (
        f"The full batch {'does not always find' if share(anywhere[FULL]) < 100 else 'found'} the "
        f"optimum: from starts anywhere between -2 and 2 it ended on the lower side in "
        f"{share(anywhere[FULL]):.1f} % of {runs:,} runs; {begun:.1f} % of that range is there."
    )
    lowest = min(anywhere, key=lambda size: float(anywhere[size]["mean_height"]))
    ended = {size: anywhere[size]["mean_height"] for size in (min(anywhere), lowest, FULL)}
    yield (
        "From anywhere V ends, on the average, at "
        + ", ".join(f"{v:.3f} with {'all' if size == FULL else size}" for size, v in ended.items())
        + f"; the lower minimum is {float(height(np.array(flat_points()[0]))):.3f}, and the best "
        f"batch size is {'all' if lowest == FULL else lowest}."
    )


def by_case(rows: Sequence[Row]) -> list[dict[int, Row]]:
    """The rows by batch size: drawn, shuffled, shuffled and tuned, from anywhere."""
    cases: dict[tuple[Any, ...], dict[int, Row]] = {}
    for row in rows:
        case = row["start"], row["batches"], row["rates"]
        cases.setdefault(case, {})[row["batch_size"]] = row
    return list(cases.values())


def share(row: Row) -> float:
    return float(row["on_lower_side_percent"])


def told(found: Mapping[int, Row], with_rate: bool = False) -> str:
    """The shares of all batch sizes but the full one."""
    return ", ".join(
        f"{share(row):.1f} % at {size}" + (f" (lr {row['lr']:g})" if with_rate else "")
        for size, row in found.items()
        if size != FULL
    )


def figure(rows: Sequence[Row]) -> "Figure":
    drawing, (left, right) = blank(1, 2, height=4.6)
    low, top, high = flat_points()
    x = np.linspace(-1.75, 1.65, 300)
    left.plot(x, height(x), color=COLORS[6])
    for point, word, place in ((high, "start", -16), (top, "pass", 9), (low, "lower minimum", -16)):
        y = float(height(np.array(point)))
        left.plot([point], [y], "o", color=COLORS[1])
        left.annotate(
            word, (point, y), xytext=(0, place), textcoords="offset points", ha="center", fontsize=9
        )
    left.set(xlabel="x", ylabel="V(x), the mean of all examples", ylim=(-0.5, 0.45))
    drawn, shuffled, best, _ = by_case(rows)
    for k, (found, label) in enumerate(
        (
            (drawn, f"batches drawn, lr {LR:g}"),
            (shuffled, f"shuffled epochs, lr {LR:g}"),
            (best, "shuffled epochs, lr tuned"),
        )
    ):
        shares = [share(row) for row in found.values()]
        right.semilogx(list(found), shares, "os^"[k], color=COLORS[k], label=label)
    line = np.geomspace(min(drawn), max(drawn), 120)
    theories = [100 * theory(size, LR, shuffled[FULL]["updates"]) for size in line]
    right.semilogx(line, theories, "-", color=COLORS[0], lw=1, label="theory of drawn batches")
    right.axvspan(*TAUGHT, color=COLORS[4], alpha=0.15, lw=0)
    right.axvline(LECTURE, color=COLORS[4], lw=1.2)
    right.set(xlabel="batch size (examples)", ylabel="runs that end on the lower side (%)")
    right.legend(fontsize=9, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return drawing


def main(lab: Lab) -> None:
    sizes = [2**k for k in range(0, 9, lab.pick(1, fast=4))]
    runs, updates = lab.pick((1000, 1000), fast=(100, 100))
    rows = escapes(sizes, runs, updates)
    lab.table(rows)
    for sentence in findings(rows):
        lab.say(sentence)
    caption = (
        f"Left: the function. Right: {runs:,} runs of {updates:,} updates from the higher minimum "
        f"for each batch size; the last point is all {EXAMPLES:,} examples. Rates tuned by "
        f"{len(RATES)} trials of {max(20, runs // 5)} other runs. Shaded: {TAUGHT[0]} to "
        f"{TAUGHT[1]}; line: {LECTURE}."
    )
    lab.draw(figure(rows), caption)


if __name__ == "__main__":
    sys.exit(run(main))
