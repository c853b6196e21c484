"""What speaks against believing a ranking."""

import math
import statistics
from collections.abc import Sequence

from .design import Design
from .inference import LEVEL, interval
from .standings import LEARNED, TIE, Standing, val_accuracy

# tuned, the second optimizer of a pair cannot be worse: the first is one of its settings
INCLUSIONS = (("sgd", "momentum"), ("momentum", "adam"), ("sgd", "adam"))
# test accuracies that fully connected networks hardly reach without more images or dropout
LEAK = {"mnist": 0.987}


def doubts(design: Design, schedule: str, standings: Sequence[Standing]) -> list[str]:
    """What a reader has to know before believing the ranking of one schedule, a sentence each."""
    found = []
    by_name = {standing.optimizer: standing for standing in standings}
    for name in design.optimizers:
        if name not in by_name:
            found.append(f"{schedule}: {name} has no final trial")
    if not standings:
        return found
    for s in standings:
        wanted = design.optimizers[s.optimizer].seeds
        if len(s.final) < wanted:
            found.append(f"{schedule}: {s.optimizer} has {len(s.final)} of {wanted} final trials")
        if s.edge:
            found.append(
                f"{schedule}: the best learning rate of {s.optimizer}, {s.lr:g}, is the {s.edge} "
                "that was tried; a better one may lie beyond"
            )
        if s.val.mean <= LEARNED * s.chance:
            found.append(
                f"{schedule}: {s.optimizer} learned nothing with any setting that was tried "
                f"({s.val.mean:.0%} of the validation images, and guessing gives {s.chance:.0%})"
            )
        if s.failed:
            found.append(f"{schedule}: {s.failed} trials of {s.optimizer} failed")
    tuned = {s.optimizer: s for s in standings if s.search}
    found += [
        f"{schedule}: {text}"
        for small, large in INCLUSIONS
        if small in tuned and large in tuned and (text := _not_included(tuned[small], tuned[large]))
    ]
    family = [s for s in standings if s.difference.p_holm is not None]
    smallest = 2.0 ** (1 - design.seeds)
    if not family and len(standings) > 1:
        found.append(
            f"{schedule}: nothing could be tested, since no optimizer has all {design.seeds} final "
            f"trials in common with {design.baseline}"
        )
    if smallest * len(family) >= LEVEL:
        enough = math.floor(1 - math.log2(LEVEL / len(family))) + 1
        found.append(
            f"{schedule}: with {design.seeds} seed{'s' if design.seeds > 1 else ''} and "
            f"{len(family)} comparison{'s' if len(family) > 1 else ''} no difference can be "
            f"significant (the smallest p is {smallest:.2g}); take {enough} seeds or more"
        )
    image = 100 / design.images["test"]
    if image > TIE:
        found.append(
            f"{schedule}: one of the {design.images['test']} test images is {image:.2g} points: "
            f"differences of {TIE:g} cannot be told"
        )
    best = LEAK.get(str(design.workload["data"]).split()[0], 1.0)
    found += [
        f"{schedule}: {s.optimizer} has a test accuracy of {s.test.mean:.2%}: look for a leak"
        for s in standings
        if s.test.mean > best
    ]
    return found


def _not_included(small: Standing, large: Standing) -> str:
    """What is wrong if the larger optimizer, tuned, is worse than the smaller one in it."""
    a = {row.seed: val_accuracy(row, small.chance) for row in small.final}
    b = {row.seed: val_accuracy(row, small.chance) for row in large.final}
    points = [round(100 * (b[seed] - a[seed]), 9) for seed in sorted(a.keys() & b.keys())]
    if len(points) < 2 or interval(points)[1] >= 0:
        return ""
    return (
        f"tuned {large.optimizer} is worse than tuned {small.optimizer} by "
        f"{-statistics.fmean(points):.2f} points of validation accuracy, beyond noise: the space "
        "that was searched is too small for a ranking of the two"
    )
