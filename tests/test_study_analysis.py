"""What a study concludes, against numbers known from elsewhere."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from study_rows import design, finals, row, workload

import nnscratch as nn
from nnscratch.study import figures, fingerprint
from nnscratch.study.analysis import analyse
from nnscratch.study.grid import at_step
from nnscratch.study.inference import best_of_draws, holm, interval, wilcoxon

GOOD = [0.98, 0.9801, 0.9802, 0.9803, 0.9804, 0.9805, 0.9806, 0.9807, 0.9808, 0.9809, 0.981, 0.9811]


def standing(analysis, name):
    (found,) = (s for s in analysis.standings if s.optimizer == name)
    return found


def shifted(points: list[float]) -> list[float]:
    return [g + p / 100 for g, p in zip(GOOD, points, strict=True)]


# --- statistics --------------------------------------------------------------------------------


def test_holm_agrees_with_the_worked_example_of_r() -> None:
    """R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") gives 0.03 0.06 0.06 0.02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


def test_wilcoxon_is_exact_also_with_ties_and_zeros() -> None:
    """By counting all signs: ranks of the sizes with zeros among them, zeros then left out."""
    for numbers in ([0.1, 0.1, -0.2, 0.3, 0.0, 0.3, 0.5, 0.1], [1, 2, 3, -4, 5, 6, 7.5]):
        sizes = np.abs(numbers)
        ranks = np.array([(sizes < s).sum() + ((sizes == s).sum() + 1) / 2 for s in sizes])
        ranks[sizes == 0] = 0
        seen = ranks[np.array(numbers) > 0].sum()
        middle = ranks.sum() / 2
        sums = [
            sum(r for r, sign in zip(ranks, signs, strict=True) if sign)
            for signs in itertools.product((0, 1), repeat=len(numbers))
        ]
        as_far = np.mean([abs(s - middle) >= abs(seen - middle) - 1e-9 for s in sums])
        assert wilcoxon(numbers) == pytest.approx(as_far)
        exact = stats.PermutationMethod(n_resamples=2**10)
        theirs = stats.wilcoxon(numbers, zero_method="pratt", method=exact).pvalue
        assert wilcoxon(numbers) == pytest.approx(theirs)


def test_twelve_differences_of_one_sign_give_the_smallest_p_there_is() -> None:
    assert wilcoxon([0.2 + 0.01 * k for k in range(12)]) == pytest.approx(2 / 2**12)
    assert wilcoxon([0.0] * 12) == 1.0
    assert wilcoxon([0.2 + 0.01 * k for k in range(30)]) == pytest.approx(2 / 2**30)


def test_the_interval_is_students() -> None:
    """t(0.975; 11) = 2.20099 from any table."""
    numbers = [0.1, 0.3, 0.2, 0.5, -0.1, 0.0, 0.4, 0.2, 0.3, 0.1, 0.2, 0.6]
    half = 2.20099 * np.std(numbers, ddof=1) / math.sqrt(12)
    assert interval(numbers) == pytest.approx(
        (np.mean(numbers) - half, np.mean(numbers) + half), rel=1e-5
    )
    assert interval([0.3, 0.3, 0.3]) == (0.3, 0.3)
    assert all(math.isnan(end) for end in interval([0.3]))


def test_the_best_of_k_is_what_a_simulation_draws() -> None:
    numbers = [0.91, 0.95, 0.95, 0.97, 0.3, 0.0]
    rng = np.random.default_rng(0)
    for k in (1, 3, 6):
        best = rng.choice(numbers, (200_000, k)).max(axis=1)
        mean, low, high = best_of_draws(numbers, k)
        assert mean == pytest.approx(best.mean(), abs=3e-3)
        assert (low, high) == (np.quantile(best, 0.025), np.quantile(best, 0.975))
    assert best_of_draws(numbers, 1)[0] == pytest.approx(np.mean(numbers))


# --- standings ---------------------------------------------------------------------------------


def test_the_ranking_has_means_spreads_and_paired_differences() -> None:
    points = [0.3, 0.2, 0.3, 0.4, 0.3, 0.2, 0.3, 0.4, 0.3, 0.25, 0.35, 0.3]
    rows = finals("sgd", GOOD) + finals("adam", shifted(points))
    analysis = analyse(design(["sgd", "adam"], tier="defaults"), rows)
    assert [s.optimizer for s in analysis.standings] == ["adam", "sgd"]
    adam = standing(analysis, "adam")
    assert adam.test.mean == pytest.approx(np.mean(shifted(points)))
    assert adam.test.sd == pytest.approx(np.std(shifted(points), ddof=1))
    assert adam.test.low == min(shifted(points))
    assert adam.difference.mean == pytest.approx(0.3)
    assert adam.difference.low < 0.3 < adam.difference.high
    assert adam.difference.p == adam.difference.p_holm == pytest.approx(2 / 2**12)
    assert adam.difference.verdict == "better"
    assert standing(analysis, "sgd").difference.verdict == "baseline"
    assert analysis.doubts == ()


@pytest.mark.parametrize(
    ("points", "verdict"),
    [
        ([0.09] * 12, "tie"),  # significant, and of no interest
        ([0.05, -0.05] * 6, "tie"),
        ([-0.3 - 0.01 * k for k in range(12)], "worse"),
        ([1.5, -0.9] * 6, "open"),
        ([0.9, -0.8] * 6, "open"),  # a mean of 0.05 that is not known so well
        ([0.3 + 0.01 * k for k in range(11)] + [-88.0], "open"),  # p < 0.05, for "better"
    ],
)
def test_verdicts(points: list[float], verdict: str) -> None:
    rows = finals("sgd", GOOD) + finals("adam", shifted(points))
    analysis = analyse(design(["sgd", "adam"]), rows)
    assert standing(analysis, "adam").difference.verdict == verdict


def test_seeds_are_paired_even_if_one_is_missing() -> None:
    rows = finals("sgd", GOOD) + finals("adam", shifted([0.3 + k / 100 for k in range(12)]))
    rows = [r for r in rows if (r.optimizer, r.seed) != ("sgd", 1)]
    adam = standing(analyse(design(["sgd", "adam"]), rows), "adam")
    assert adam.difference.mean == pytest.approx(np.mean([0.3 + k / 100 for k in range(1, 12)]))
    assert adam.difference.p_holm is None  # 11 of 12 seeds are not what the family was planned for


def test_a_trial_that_diverged_counts_as_guessing_and_is_counted() -> None:
    rows = finals("sgd", GOOD) + finals("adam", GOOD[:11])
    rows.append(row("adam", "final", [0.5], seed=12, status="diverged"))
    adam = standing(analyse(design(["sgd", "adam"]), rows), "adam")
    assert adam.diverged == 1
    assert adam.test.low == adam.val.low == 0.1
    assert adam.test.mean == pytest.approx((sum(GOOD[:11]) + 0.1) / 12)
    assert (adam.reaches[0].reached, adam.reaches[0].of) == (11, 12)


def test_a_trial_that_diverged_after_it_reached_a_target_did_not_reach_it() -> None:
    rows = finals("sgd", GOOD[:11])
    rows.append(row("sgd", "final", [0.9, 0.975], seed=12, status="diverged"))
    assert analyse(design(["sgd"]), rows).standings[0].reaches[0].reached == 11


def test_an_optimizer_that_always_diverges_keeps_its_place_at_the_bottom() -> None:
    rows = finals("sgd", GOOD)
    for lr in (1e-2, 1e-4, 1e-3):  # in the order of their end
        rows.append(row("adam", "search", [], lr=lr, status="diverged"))
    rows.append(row("adam", "full", [], lr=1e-4, status="diverged"))
    rows += [
        row("adam", "final", [], lr=1e-4, seed=seed, status="diverged") for seed in range(1, 13)
    ]
    adam = standing(analyse(design(["sgd", "adam"]), rows), "adam")
    assert (adam.diverged, adam.good_rates, adam.rates) == (12, 0, 3)
    assert adam.test.mean == pytest.approx(0.1)
    assert math.isnan(adam.seconds_per_update)


def test_a_final_trial_that_failed_is_no_seed() -> None:
    rows = finals("sgd", GOOD) + finals("adam", GOOD)
    failed = row("adam", "final", [], seed=1, status="failed")
    rows = [failed if (r.optimizer, r.seed) == ("adam", 1) else r for r in rows]
    analysis = analyse(design(["sgd", "adam"]), rows)
    adam = standing(analysis, "adam")
    assert (len(adam.final), adam.failed) == (11, 1)
    assert adam.test.mean == pytest.approx(np.mean(GOOD[1:]))
    assert adam.state_per_weight == 8.0
    assert "constant: 1 trials of adam failed" in analysis.doubts


def test_a_matrix_method_with_few_seeds_stays_out_of_the_family() -> None:
    points = [0.3 + 0.01 * k for k in range(12)]
    rows = finals("sgd", GOOD) + finals("adam", shifted(points))
    rows += finals("muon", [g + 0.01 for g in GOOD[:3]])
    analysis = analyse(design(["sgd", "adam", "muon"]), rows)
    assert standing(analysis, "muon").difference.p_holm is None
    assert standing(analysis, "muon").difference.mean == pytest.approx(1.0)
    assert standing(analysis, "adam").difference.p_holm == pytest.approx(2 / 2**12)


def test_targets_count_epochs_updates_gradients_and_seconds() -> None:
    rows = finals("sgd", GOOD, passes=2)  # 0.9, 0.965, 0.975, then the test accuracy itself
    sgd = standing(analyse(design(["sgd"]), rows), "sgd")
    at_97, at_98 = sgd.reaches
    assert (at_97.epochs, at_97.updates, at_97.gradients, at_97.seconds) == (3, 30, 6000, 1.5)
    assert (at_98.epochs, at_98.reached, at_98.of) == (4, 12, 12)
    assert sgd.passes_per_epoch == 2
    assert sgd.seconds_per_update == pytest.approx(0.05)


def test_seconds_are_at_the_pace_of_the_quietest_epoch_of_the_chosen_setting() -> None:
    rows = finals("sgd", GOOD)
    for one in rows:
        one.outcome.seconds[:] = [0.9, 1.8, 2.7, 3.6]  # while the machine had other work, too
    rows[3].outcome.seconds[:] = [0.9, 1.3, 2.3, 9.0]  # but for one epoch
    sgd = standing(analyse(design(["sgd"]), rows), "sgd")
    assert sgd.seconds_per_update == pytest.approx(0.04)
    assert [reach.seconds for reach in sgd.reaches] == pytest.approx([1.2, 1.6])
    assert figures.curve(sgd, "val_accuracy", "seconds").x == pytest.approx([0.4, 0.8, 1.2, 1.6])
    searched = [row("sgd", "search", [0.9, 0.98]), row("sgd", "search", [0.9, 0.8], lr=9.0)]
    searched[0].outcome.seconds[:] = [0.9, 1.1]  # also in the search, where it was this setting
    searched[1].outcome.seconds[:] = [0.1, 0.2]
    sgd = standing(analyse(design(["sgd"]), rows + searched), "sgd")
    assert sgd.seconds_per_update == pytest.approx(0.02)


def test_a_target_that_most_seeds_miss_is_never_reached() -> None:
    rows = finals("sgd", [0.97] * 7 + [0.99] * 5)
    at_98 = analyse(design(["sgd"]), rows).standings[0].reaches[1]
    assert at_98.reached == 5
    assert at_98.epochs == at_98.seconds == math.inf


def searched(name: str, accuracies: dict[float, float]) -> list:
    """A search over ten rates, of which the others come to 0.2."""
    grid = [at_step(nn.OPTIMIZERS[name](), step).rate for step in range(-4, 6)]
    found = dict.fromkeys(grid, 0.2) | accuracies
    assert len(found) == 10
    return [row(name, "search", [0.5, a], lr=lr) for lr, a in found.items()]


def test_what_counts_is_the_setting_that_was_best_at_full_length() -> None:
    rows = searched("sgd", {0.01: 0.9, 0.0316: 0.96, 0.1: 0.95})
    full = {0.01: 0.9, 0.0316: 0.97, 0.1: 0.98, 0.316: 0.5}
    rows += [row("sgd", "full", [0.9] * 3 + [a], lr=lr) for lr, a in full.items()]
    rows += finals("sgd", GOOD, lr=0.1)
    rows += finals("sgd", [0.99] * 12, lr=0.0316)  # left over from when another rate seemed best
    sgd = analyse(design(["sgd"]), rows).standings[0]
    assert sgd.lr == 0.1
    assert sgd.test.mean == pytest.approx(np.mean(GOOD))
    assert (sgd.good_rates, sgd.rates, sgd.edge) == (1, 10, "")
    assert [len(sgd.search), len(sgd.full), len(sgd.final)] == [10, 4, 12]


def test_rows_of_other_code_or_another_schedule_play_no_part() -> None:
    rows = finals("sgd", GOOD)
    rows += finals("sgd", [0.5] * 12, code="older") + finals("sgd", [0.5] * 12, schedule="cosine")
    analysis = analyse(design(["sgd"]), rows)
    assert analysis.standings[0].test.mean == pytest.approx(np.mean(GOOD))
    assert analysis.trials == 12


# --- doubts ------------------------------------------------------------------------------------


def test_a_tuned_adam_below_tuned_sgd_is_a_loud_doubt() -> None:
    rows = searched("sgd", {0.01: 0.9, 0.1: 0.97})
    rows += searched("adam", {1e-4: 0.8, 1e-3: 0.95, 1e-2: 0.9})
    rows += finals("sgd", GOOD, lr=0.1)
    rows += finals("adam", shifted([-0.4 - 0.01 * k for k in range(12)]), lr=1e-3)
    (doubt,) = analyse(design(["sgd", "adam"]), rows).doubts
    assert "tuned adam is worse than tuned sgd by 0.4" in doubt
    assert "too small" in doubt


def test_failed_trials_do_not_make_a_tuned_optimizer_look_worse() -> None:
    rows = searched("sgd", {0.01: 0.9, 0.1: 0.97}) + finals("sgd", GOOD, lr=0.1)
    rows += searched("adam", {1e-4: 0.8, 1e-3: 0.95, 1e-2: 0.9})
    rows += finals("adam", shifted([0.2] * 12), lr=1e-3)[2:]
    rows += [row("adam", "final", [], lr=1e-3, seed=s, status="failed") for s in (1, 2)]
    assert not any("worse" in d for d in analyse(design(["sgd", "adam"]), rows).doubts)


def test_without_a_complete_baseline_nothing_is_tested_and_that_is_a_doubt() -> None:
    rows = finals("sgd", GOOD[:11]) + finals("adam", GOOD)
    doubts = analyse(design(["sgd", "adam"]), rows).doubts
    assert doubts == (
        "constant: sgd has 11 of 12 final trials",
        "constant: nothing could be tested, since no optimizer has all 12 final trials in common "
        "with sgd",
    )


def test_an_optimizer_with_fewer_final_trials_than_it_should_have_is_a_doubt() -> None:
    rows = finals("sgd", GOOD) + finals("adam", GOOD) + finals("muon", GOOD[:3])
    analysis = analyse(design(["sgd", "adam", "muon"]), rows[:-1])
    assert analysis.doubts == ("constant: muon has 2 of 3 final trials",)


def test_the_order_is_that_of_paired_differences() -> None:
    """Three seeds that are easy for all do not put an optimizer on top."""
    easy = sorted(GOOD, reverse=True)
    rows = finals("sgd", easy) + finals("adam", [g + 0.0003 for g in easy])
    rows += finals("muon", [g + 0.0001 for g in easy[:3]])
    analysis = analyse(design(["sgd", "adam", "muon"]), rows)
    assert standing(analysis, "muon").test.mean > standing(analysis, "adam").test.mean
    assert [s.optimizer for s in analysis.standings] == ["adam", "muon", "sgd"]


def test_hours_of_a_core_count_all_threads_of_a_trial() -> None:
    two = fingerprint.as_json(workload(threads=2))
    rows = finals("sgd", GOOD)  # of a second each
    assert analyse(design(["sgd"], workload=two), rows).core_hours == pytest.approx(24 / 3600)


def test_test_images_that_are_too_few_for_a_tie_are_a_doubt() -> None:
    images = {"train": 1200, "val": 300, "test": 297}
    (doubt,) = analyse(design(["sgd"], images=images), finals("sgd", GOOD)).doubts
    assert "one of the 297 test images is 0.34 points" in doubt


def test_a_best_rate_at_the_edge_is_a_doubt() -> None:
    rows = searched("sgd", {0.1: 0.95, 0.316: 0.97}) + finals("sgd", GOOD, lr=0.316)
    (doubt,) = analyse(design(["sgd"]), rows).doubts
    assert "the best learning rate of sgd, 0.316, is the largest that was tried" in doubt


def test_too_few_seeds_for_so_many_comparisons_is_a_doubt() -> None:
    names = ["sgd", "adam", "momentum"]
    rows = [r for name in names for r in finals(name, GOOD[:5])]
    (doubt,) = analyse(design(names, seeds=5), rows).doubts
    assert "with 5 seeds and 2 comparisons no difference can be significant" in doubt
    assert "take 6 seeds or more" not in doubt
    assert "take 7 seeds or more" in doubt  # 2^(1 - 6) * 2 is above 0.05, 2^(1 - 7) * 2 is below


def test_an_optimizer_that_learned_nothing_is_a_doubt_and_has_no_good_rates() -> None:
    rows = [row("sgd", "search", [0.1, 0.1], lr=lr) for lr in (1e-4, 3.16e-4, 1e-3, 3.16e-3)]
    rows += [row("sgd", "final", [0.1, 0.11], test=0.1, lr=1e-4, seed=seed) for seed in (1, 2)]
    analysis = analyse(design(["sgd"], seeds=2), rows)
    assert any("sgd learned nothing with any setting" in doubt for doubt in analysis.doubts)
    assert (analysis.standings[0].good_rates, analysis.standings[0].rates) == (0, 4)


def test_trials_that_were_not_asked_for_this_time_are_counted() -> None:
    rows = finals("sgd", GOOD) + finals("adam", GOOD) + finals("sgd", GOOD, schedule="cosine")
    assert analyse(design(["sgd", "adam"]), rows).left_out == 12
    assert analyse(design(["sgd"], seeds=5), rows).left_out == 7 + 12 + 12


def test_an_accuracy_too_good_for_mnist_is_a_doubt() -> None:
    (doubt,) = analyse(design(["sgd"]), finals("sgd", [0.99] * 12)).doubts
    assert "99.00%: look for a leak" in doubt


def test_an_optimizer_without_final_trials_is_a_doubt_and_breaks_nothing() -> None:
    analysis = analyse(design(["sgd", "adam"]), finals("adam", GOOD))
    assert any("sgd has no final trial" in doubt for doubt in analysis.doubts)
    assert math.isnan(standing(analysis, "adam").difference.mean)
    assert analyse(design(["sgd"]), []).standings == ()


def test_trials_of_two_machines_are_a_doubt() -> None:
    rows = finals("sgd", GOOD)
    rows.append(row("sgd", "final", [], seed=13, status="failed"))
    rows[-1] = type(rows[0])(**vars(rows[-1]) | {"machine": "where it failed"})
    rows[0] = type(rows[0])(**vars(rows[0]) | {"machine": "another"})
    doubts = analyse(design(["sgd"]), rows).doubts
    assert any("2 kinds of machines: a machine; another" in doubt for doubt in doubts)
