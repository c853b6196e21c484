"""What a dozen seeds allow to say: an interval, a test, its correction, the best of k."""

import math
from collections.abc import Sequence

import numpy as np

LEVEL = 0.05  # of the tests; the intervals cover 1 - LEVEL


def interval(numbers: Sequence[float]) -> tuple[float, float]:
    """Student's interval of the mean, which for a dozen numbers covers what it says.

    A percentile bootstrap of so few is too short: of a dozen normal numbers its 95 % interval
    covers the mean in 91 % of all cases.
    """
    from scipy import stats

    if len(set(numbers)) == 1:
        only = numbers[0] if len(numbers) > 1 else math.nan
        return only, only
    found = stats.ttest_1samp(numbers, 0).confidence_interval(1 - LEVEL)
    return float(found.low), float(found.high)


def wilcoxon(numbers: Sequence[float]) -> float:
    """The p-value of Wilcoxon's signed-rank test, two-sided and exact, also with ties and zeros.

    The sum of the ranks of the positive numbers is compared with all sums that other signs give.
    Zeros take part in the ranking and in no sum. Source: Pratt, Journal of the American Statistical
    Association 54, 655 (1959). SciPy tries the signs one by one, which takes half a second each.
    """
    from scipy.stats import rankdata

    doubled = np.rint(2 * rankdata(np.abs(numbers))).astype(int)  # ranks of ties are halves
    ranks = doubled[np.asarray(numbers) != 0]
    positive = doubled[np.asarray(numbers) > 0].sum()
    chance = np.ones(1)  # of each sum
    for rank in ranks:
        chance = (np.pad(chance, (0, rank)) + np.pad(chance, (rank, 0))) / 2
    middle = ranks.sum() / 2
    as_far = np.abs(np.arange(len(chance)) - middle) >= abs(positive - middle)
    return float(chance[as_far].sum())


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of a family, corrected.

        p_(k) <- max over j <= k of (m - j + 1) p_(j), at most 1

    where p_(1) <= ... <= p_(m). Source: Holm, Scandinavian Journal of Statistics 6, 65 (1979).
    """
    m = len(p_values)
    corrected, so_far = [0.0] * m, 0.0
    for j, k in enumerate(sorted(range(m), key=lambda k: p_values[k])):
        so_far = max(so_far, min(1.0, (m - j) * p_values[k]))
        corrected[k] = so_far
    return corrected


def best_of_draws(numbers: Sequence[float], k: int) -> tuple[float, float, float]:
    """The best of k numbers drawn with replacement: its mean, and 2.5 and 97.5 % quantiles.

        P(best <= x_(i)) = (i / n)^k

    where x_(1) <= ... <= x_(n): what a bootstrap with infinitely many resamples gives. Source:
    Dodge, Gururangan, Card, Schwartz and Smith, arXiv 1909.03004, section 3.
    """
    n = len(numbers)
    ascending = sorted(numbers)
    below = [(i / n) ** k for i in range(n + 1)]
    mean = math.fsum(x * (below[i + 1] - below[i]) for i, x in enumerate(ascending))

    def quantile(q: float) -> float:
        return next(x for i, x in enumerate(ascending) if below[i + 1] >= q)

    return mean, quantile(LEVEL / 2), quantile(1 - LEVEL / 2)
