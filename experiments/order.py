"""Does the order of the optimizers hold on other data and another network?

    python experiments/order.py results/mnist results/relu results/digits --schedule constant

takes the folders of studies made by `python -m nnscratch.compare`, and the optimizers that all of
them compared. It prints the rank of each in each study, and for every pair of studies Kendall's
rank correlation: 1 for the same order, 0 for orders that have nothing to do with each other, -1
for opposite ones. Its 95 % interval is a bootstrap over seeds: the same draws for all optimizers
with the same seeds, as they are paired. Drawing seeds adds their noise a second time, so that the
interval lies too low where many optimizers are nearly equal. It writes order.csv and order.png
beside the first study.
"""

import argparse
import csv
import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau, rankdata

from nnscratch.looks import COLORS, MARKERS
from nnscratch.study import design, ledger
from nnscratch.study.analysis import analyse
from nnscratch.study.standings import test_accuracy

RESAMPLES = 2000
Accuracies = dict[str, dict[int, float]]  # optimizer -> seed -> test accuracy


def accuracies(folder: Path, schedule: str) -> Accuracies:
    """The test accuracies of a study's final trials; one that diverged counts as guessing."""
    analysis = analyse(design.read(folder), ledger.read(folder / "trials.csv"))
    return {
        standing.optimizer: {
            row.seed: test_accuracy(row, standing.chance) for row in standing.final
        }
        for standing in analysis.of_schedule(schedule)
    }


def resampled(study: Accuracies, rng: np.random.Generator) -> dict[str, list[int]]:
    """Seeds drawn with replacement: the same for all optimizers that have the same seeds."""
    drawn: dict[tuple[int, ...], list[int]] = {}
    for found in study.values():
        seeds = tuple(sorted(found))
        if seeds not in drawn:
            drawn[seeds] = rng.choice(seeds, len(seeds)).tolist()
    return {name: drawn[tuple(sorted(found))] for name, found in study.items()}


def means(study: Accuracies, seeds: Mapping[str, Iterable[int]]) -> list[float]:
    return [statistics.fmean(found[seed] for seed in seeds[name]) for name, found in study.items()]


def correlation(
    a: Accuracies, b: Accuracies, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Kendall's tau-b of the mean accuracies, and the ends of its interval."""

    def tau(seeds_a: Mapping[str, Iterable[int]], seeds_b: Mapping[str, Iterable[int]]) -> float:
        return float(kendalltau(means(a, seeds_a), means(b, seeds_b)).statistic)

    draws = [tau(resampled(a, rng), resampled(b, rng)) for _ in range(RESAMPLES)]
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return tau(a, b), float(low), float(high)


def ranks(study: Accuracies) -> dict[str, float]:
    """1 for the best; equal ones share theirs."""
    found = rankdata([-mean for mean in means(study, study)])
    return dict(zip(study, found.tolist(), strict=True))


def figure(ranked: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """A line for each optimizer, from its rank in one study to its rank in the next."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    studies = list(ranked)
    names = list(ranked[studies[0]])
    drawing = Figure(figsize=(2.2 + 2.2 * len(studies), 1.2 + 0.26 * len(names)), dpi=150)
    FigureCanvasAgg(drawing)
    drawing.set_layout_engine("constrained")
    axes = drawing.subplots()
    for k, name in enumerate(names):
        places = [ranked[study][name] for study in studies]
        color, marker = COLORS[k % len(COLORS)], MARKERS[k % len(MARKERS)]
        axes.plot(range(len(studies)), places, "-", lw=1.3, ms=5, color=color, marker=marker)
    for x, side, study in ((0, "right", studies[0]), (len(studies) - 1, "left", studies[-1])):
        for place in set(ranked[study].values()):
            equal = ", ".join(name for name in names if ranked[study][name] == place)
            axes.annotate(
                f"{equal} {place:g}" if side == "right" else f"{place:g} {equal}",
                (x, place),
                xytext=(-8 if side == "right" else 8, 0),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=8,
            )
    axes.set_xticks(range(len(studies)), studies)
    axes.set_xlim(-0.7, len(studies) - 0.3)
    axes.set_ylim(len(names) + 0.7, 0.3)
    axes.set_yticks([])
    axes.spines[["left", "right", "top", "bottom"]].set_visible(False)
    axes.set_title("rank by mean test accuracy over seeds; equal ones share theirs", fontsize=9)
    drawing.savefig(path)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--schedule", default="constant")
    asked = parser.parse_args(argv)
    found = {folder.name: accuracies(folder, asked.schedule) for folder in asked.folders}
    common = set.intersection(*(set(study) for study in found.values()))
    if len(found) < 2 or len(common) < 3:
        parser.error("give two studies or more of different names, with three optimizers in common")
    first = next(iter(found.values()))
    names = [name for name in first if name in common]  # best first
    studies = {title: {name: study[name] for name in names} for title, study in found.items()}
    ranked = {title: ranks(study) for title, study in studies.items()}
    width = max(map(len, names))
    print(" " * width, *ranked)
    for name in names:
        print(f"{name:{width}}", *(f"{ranked[title][name]:{len(title)}g}" for title in ranked))
    rng = np.random.default_rng(0)
    rows = []
    for a, b in itertools.combinations(studies, 2):
        tau, low, high = correlation(studies[a], studies[b], rng)
        print(f"{a} and {b}: Kendall's tau {tau:.2f}, 95 % interval {low:.2f} to {high:.2f}")
        rows.append([a, b, len(names), f"{tau:.3f}", f"{low:.3f}", f"{high:.3f}"])
    beside = asked.folders[0].parent
    with (beside / "order.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["study", "other", "optimizers", "tau", "low", "high"])
        writer.writerows(rows)
    figure(ranked, beside / "order.png")


if __name__ == "__main__":
    main()
