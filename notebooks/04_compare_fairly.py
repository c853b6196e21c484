# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Is Adam better than momentum?
#
# Two lectures give two answers. This notebook shows how easy it is to get either one, what a
# comparison needs so that it can be believed, and what the large comparison of this repository
# says.

# %%
import nnscratch as nn  # isort: skip  # first: it chooses the kernels of the matrix products

# %matplotlib inline
import os
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from exercises import check_enough_seeds, check_paired_interval

from nnscratch.study import design, ledger
from nnscratch.study.analysis import analyse
from nnscratch.study.inference import interval

FAST = "NNSCRATCH_FAST" in os.environ  # set by the tests, which have only seconds
RESULTS = Path("../experiments/results")
plt.style.use("notebooks.mplstyle")

# %% [markdown]
# ## One learning rate, one seed
#
# The digits of scikit-learn, a small network, three optimizers. Every dot is one training: one
# learning rate and one seed, which draws the first weights and the order of the images.

# %%
data = nn.load_dataset("digits")
names = ["sgd", "momentum", "adam"]
rates = [1e-3, 1e-1] if FAST else [1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0]
epochs, seeds = (2, 2) if FAST else (6, 5)


def accuracy(name, lr, seed):
    """The share of the validation images, in percent, that is classified rightly at the end."""
    model = nn.MLP([784, 50, 10], seed=seed)
    loader = nn.mini_batch(data.train, 32, seed=seed)
    *_, last = nn.fit(model, nn.OPTIMIZERS[name](lr=lr), loader, epochs, val=data.val)
    return 100 * last.val_accuracy


seen = {
    name: np.array([[accuracy(name, lr, seed) for seed in range(seeds)] for lr in rates])
    for name in names
}

# %%
figure, ax = plt.subplots(figsize=(8, 4))
for name, found in seen.items():
    (line,) = ax.semilogx(rates, found.mean(axis=1), label=name)
    ax.semilogx(rates, found, ".", color=line.get_color(), alpha=0.6)
ax.set(xlabel="learning rate", ylabel="validation accuracy (%)")
ax.legend()
figure.supxlabel(
    f"Digits, 784-50-10 sigmoid, batches of 32, {epochs} epochs. Dots: n = {seeds} seeds for each "
    f"of {len(rates)} rates;\nlines: their means."
)
plt.show()

means = {name: found.mean(axis=1) for name, found in seen.items()}
for k, lr in enumerate(rates):
    order = sorted(names, key=lambda name: means[name][k], reverse=True)
    print(f"lr {lr:<7g}", " > ".join(f"{name} {means[name][k]:.1f} %" for name in order))

# %% [markdown]
# With the same rate for all, the winner is whoever likes that rate. So each needs its own, found
# with the same effort. And then there is luck: here is what could be written after one training of
# each, at its best rate.

# %%
best = {}
for name, found in seen.items():
    k = found.mean(axis=1).argmax()
    best[name] = found[k]
    spread = f"{found[k].min():.2f} to {found[k].max():.2f}"
    print(f"{name:9} best rate {rates[k]:g}: {found[k].mean():.2f} %, {spread}")
pairs = list(product(best["adam"], best["momentum"]))
adam_ahead = 100 * np.mean([one > other for one, other in pairs])
print(
    f"One training of Adam is ahead of one of momentum in {adam_ahead:.0f} % of {len(pairs)} pairs."
)

# %% [markdown]
# ## The same luck for all
#
# The luck is that of the seed, and it can be shared: for a seed, all optimizers begin with the
# same weights and see the same batches. Their *difference* is then free of much of it. The compare
# command does that. It tunes on the validation images, gives the best setting fresh seeds, and only
# these read the test images.

# %%
folder = tempfile.TemporaryDirectory()
opts = "momentum,adam" if FAST else "sgd,momentum,adam"
size = "--seeds 3" if FAST else "--seeds 8 --epochs 10 --hidden 50 --batch-size 32"
words = (
    f"-m nnscratch.compare --opts {opts} --baseline momentum --tier smoke --dataset digits {size}"
)
command = [sys.executable, *shlex.split(words), "--out", f"{folder.name}/study"]
print("$ python", words)
print(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

# %% [markdown]
# Below the ranking stand the DOUBTs: what speaks against believing it. The folder has the trials,
# and Python can read them.

# %%
study = Path(folder.name, "study")
small = analyse(design.read(study), ledger.read(study / "trials.csv"))
folder.cleanup()
of = {standing.optimizer: standing for standing in small.standings}
tests = {name: [100 * row.outcome.test_accuracy for row in s.final] for name, s in of.items()}

pairs = np.array([tests["momentum"], tests["adam"]])
n = pairs.shape[1]
paired = pairs[1] - pairs[0]
low, high = interval(paired)
sd_unpaired = np.sqrt(pairs.var(axis=1, ddof=1).sum())
sd_paired = paired.std(ddof=1)

figure, ax = plt.subplots(figsize=(6, 4))
ax.plot([0, 1], pairs, "o-", color="grey", lw=1, ms=5)
ax.plot([0, 1], pairs.mean(axis=1), "s-", lw=3, ms=8, label="mean")
ax.set_xticks([0, 1], ["momentum", "adam"])
ax.set(xlim=(-0.3, 1.3), ylabel="test accuracy (%)")
ax.legend()
figure.supxlabel(
    f"A grey line is one seed, n = {n}. Adam minus momentum: {paired.mean():+.2f} points,\n"
    f"95 % interval {low:+.2f} to {high:+.2f}."
)
plt.show()
print(f"standard deviation of a difference: {sd_paired:.2f} points for the same seed,", end=" ")
print(f"{sd_unpaired:.2f} for two seeds")

# %% [markdown]
# ## The large one
#
# In `experiments/results/mnist` lies the comparison of the optimizers of this package on MNIST:
# the network 784-1000-10, the learning rate of each tuned alike, fresh seeds for the best rate. It
# is read like the small one.

# %%
large = None
if (RESULTS / "mnist").is_dir():
    large = analyse(design.read(RESULTS / "mnist"), ledger.read(RESULTS / "mnist" / "trials.csv"))
    shown = ["amsgrad", "rmsprop", "adam", "adagrad", "momentum", "nesterov", "sgd"]
    ranked = [standing for standing in large.standings if standing.optimizer in shown]
    figure, ax = plt.subplots(figsize=(8, 3.6))
    for k, standing in enumerate(ranked):
        d = standing.difference
        ax.plot([d.low, d.high], [k, k], lw=4, color="C0", alpha=0.5)
        ax.plot(d.mean, k, "o", color="C0")
    ax.axvline(0, color="black", lw=1)
    labels = [f"{s.optimizer}, lr {s.lr:.3g}: {100 * s.test.mean:.2f} %" for s in ranked]
    ax.set_yticks(range(len(ranked)), labels)
    ax.invert_yaxis()
    ax.set_xlabel(f"test accuracy minus {large.design.baseline}'s (points)")
    figure.supxlabel(
        f"MNIST, ten epochs, n = {large.design.seeds} seeds each; bars are 95 % intervals of the "
        "paired difference."
    )
    plt.show()
    print(f"{len(large.standings)} optimizers, of which {len(ranked)} are drawn; ", end="")
    print(f"{large.trials} trials, {large.core_hours:.1f} hours of a core")
    for doubt in large.doubts:
        print("DOUBT", doubt)
else:
    print("experiments/results/mnist is not beside this notebook")

# %% [markdown]
# The same trials tell what would have been said with the same learning rate for all, after three
# epochs:

# %%
leaders = {}
if large is not None:
    three = ["sgd", "momentum", "adam"]
    tried = {
        s.optimizer: {f"{row.lr:.3g}": row.outcome for row in s.search if row.is_done}
        for s in large.standings
        if s.optimizer in three
    }
    common = [lr for lr in tried["adam"] if all(lr in tried[name] for name in three)]
    print("lr       ", *(f"{name:>9}" for name in three))
    for lr in sorted(common, key=float):
        found = {name: 100 * tried[name][lr].val_accuracy[-1] for name in three}
        leaders[lr] = max(found, key=found.get)
        print(f"{lr:9}", *(f"{found[name]:9.2f}" for name in three), " ahead:", leaders[lr])

# %% [markdown]
# ## What was seen

# %%
winners = {max(names, key=lambda name: means[name][k]) for k in range(len(rates))}
print(f"- With one shared learning rate the winner on digits is {' or '.join(sorted(winners))},")
print("  depending on the rate.")
print(
    f"- At their best rates, and with one seed, Adam is ahead of momentum in {adam_ahead:.0f} % of"
)
print("  the pairs of trainings; at 0 or 100 % one training of each would be enough.")
print(
    f"- The same seed for both changes the spread of a difference from {sd_unpaired:.2f} to",
    end=" ",
)
print(f"{sd_paired:.2f} points.")
if large is not None:
    of = {standing.optimizer: standing for standing in large.standings}
    percent = {name: 100 * of[name].test.mean for name in ("adam", "momentum")}
    tuned = ", ".join(f"{name} {mean:.2f} %" for name, mean in percent.items())
    print(f"- On MNIST, each tuned, with {large.design.seeds} fresh seeds: {tuned}.")
    counts = Counter(leaders.values())
    ahead = ", ".join(f"{name} with {count}" for name, count in counts.items())
    print(f"  With one rate for all, of {len(leaders)} rates, ahead is {ahead}.")

# %% [markdown]
# That is one network and ten epochs. On other data and another network the order is another one:
# see "Does the order hold?" in the README.
#
# ## Exercises
#
# **1.** Write the 95 % interval of the mean paired difference: Student's, with `n - 1` degrees of
# freedom. `scipy.stats.t.ppf(0.975, n - 1)` is the factor.


# %%
def paired_interval(a, b):
    """The lower and the upper end for the mean of b - a; a[k] and b[k] share a seed."""
    return None


check_paired_interval(paired_interval)

# %% [markdown]
# **2.** Eight optimizers, so seven comparisons with a baseline. The smallest p-value that
# Wilcoxon's signed-rank test can give with $n$ seeds is $2^{1-n}$; Holm multiplies the smallest of
# seven by 7. How many seeds does it take at least, so that a difference can be significant at
# 0.05?

# %%
answer = None  # a whole number

check_enough_seeds(answer)
