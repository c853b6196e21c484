"""Does the order of the optimizers hold on other data and another network?

    python experiments/order.py results/mnist results/relu results/digits --schedule constant

takes the folders of studies made by `python -m nnscratch.compare`, and the optimizers that all of
them compared. It prints the rank of each in each study, and for every pair of studies Kendall's
rank correlation: 1 for the same order, 0 for orders that have nothing to do with each other, -1
for opposite ones. Its 95 % interval is a bootstrap over seeds: of each study's final trials, for
each optimizer the same seeds, as they are paired. It writes order.csv and order.png beside the
first study.
"""

import argparse
import csv
import itertools
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

RESAMPLES = 2000
Accuracies = dict[str, dict[int, float]]  # optimizer -> seed -> test accuracy


def accuracies(folder: Path, schedule: str) -> Accuracies:
    """The test accuracies of a study's final trials: those of the setting that it chose."""
    with (folder / "summary.csv").open(newline="") as file:
        chosen = {
            row["optimizer"]: row["lr"]
            for row in csv.DictReader(file)
            if row["schedule"] == schedule
        }
    found: Accuracies = {}
    with (folder / "trials.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            is_final = row["stage"] == "final" and row["schedule"] == schedule
            if is_final and chosen.get(row["optimizer"]) == row["lr"] and row["test_accuracy"]:
                of_optimizer = found.setdefault(row["optimizer"], {})
                of_optimizer[int(row["seed"])] = float(row["test_accuracy"])
    return found


def means(study: Accuracies, names: Sequence[str], seeds: Sequence[int]) -> list[float]:
    return [statistics.fmean(study[name][seed] for seed in seeds) for name in names]


def common_seeds(study: Accuracies, names: Sequence[str]) -> list[int]:
    return sorted(set.intersection(*(set(study[name]) for name in names)))


def correlation(
    a: Accuracies, b: Accuracies, names: Sequence[str], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Kendall's tau-b of the mean accuracies, and the ends of its interval."""
    seeds = [common_seeds(study, names) for study in (a, b)]

    def tau(seeds_a: Sequence[int], seeds_b: Sequence[int]) -> float:
        return float(kendalltau(means(a, names, seeds_a), means(b, names, seeds_b)).statistic)

    draws = [tau(*(rng.choice(own, len(own)).tolist() for own in seeds)) for _ in range(RESAMPLES)]
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return tau(*seeds), float(low), float(high)


def ranks(study: Accuracies, names: Sequence[str]) -> dict[str, int]:
    mean = dict(zip(names, means(study, names, common_seeds(study, names)), strict=True))
    ordered = sorted(names, key=mean.__getitem__, reverse=True)
    return {name: ordered.index(name) + 1 for name in names}


def figure(ranked: Mapping[str, Mapping[str, int]], path: Path) -> None:
    """A line for each optimizer, from its rank in one study to its rank in the next."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    studies = list(ranked)
    names = list(ranked[studies[0]])
    drawing = Figure(figsize=(2.2 + 2.2 * len(studies), 1.2 + 0.26 * len(names)), dpi=150)
    FigureCanvasAgg(drawing)
    drawing.set_layout_engine("constrained")
    axes = drawing.subplots()
    colors = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
    for k, name in enumerate(names):
        places = [ranked[study][name] for study in studies]
        axes.plot(range(len(studies)), places, "o-", color=colors[k % len(colors)], lw=1.3, ms=4)
        for x, place, side in ((0, places[0], "right"), (len(studies) - 1, places[-1], "left")):
            axes.annotate(
                f"{name} {place}" if side == "right" else f"{place} {name}",
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
    axes.set_title("rank by mean test accuracy", fontsize=9)
    drawing.savefig(path)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--schedule", default="constant")
    asked = parser.parse_args(argv)
    studies = {folder.name: accuracies(folder, asked.schedule) for folder in asked.folders}
    names = [
        name for name in next(iter(studies.values())) if all(name in s for s in studies.values())
    ]
    if len(studies) < 2 or len(names) < 3:
        parser.error("give two studies or more that have three optimizers or more in common")
    ranked = {study: ranks(found, names) for study, found in studies.items()}
    first = next(iter(ranked))
    names.sort(key=ranked[first].__getitem__)
    width = max(map(len, names))
    print(" " * width, *ranked)
    for name in names:
        places = (f"{ranked[study][name]:{len(study)}}" for study in ranked)
        print(f"{name:{width}}", *places)
    rng = np.random.default_rng(0)
    rows = []
    for a, b in itertools.combinations(studies, 2):
        tau, low, high = correlation(studies[a], studies[b], names, rng)
        print(f"{a} and {b}: Kendall's tau {tau:.2f}, 95 % interval {low:.2f} to {high:.2f}")
        rows.append([a, b, len(names), f"{tau:.3f}", f"{low:.3f}", f"{high:.3f}"])
    beside = asked.folders[0].parent
    with (beside / "order.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["study", "other", "optimizers", "tau", "low", "high"])
        writer.writerows(rows)
    figure(
        {study: {n: found[n] for n in names} for study, found in ranked.items()},
        beside / "order.png",
    )


if __name__ == "__main__":
    main()
