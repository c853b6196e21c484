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
# # How does an idea become an optimizer that can be trusted?
#
# An optimizer is its hyper-parameters and its formula. This notebook has one examined, sees a
# wrong one rejected, trains with it, and compares it with others by the command line.

# %%
import nnscratch as nn  # isort: skip  # first: it chooses the kernels of the matrix products

# %matplotlib inline
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import exercises
import matplotlib.pyplot as plt
import numpy as np
from my_opt import Cautious

from nnscratch.study import design, ledger
from nnscratch.study.analysis import analyse

FAST = "NNSCRATCH_FAST" in os.environ  # set by the tests, which have only seconds
plt.style.use("notebooks.mplstyle")
exercises.speak("English")

# %% [markdown]
# ## The idea, in a file
#
# Momentum carries a weight on after the gradient has turned. What if each weight waited until its
# velocity points downhill again? That is a mask of Liang and others (2024, arXiv 2411.16085).
# The file `my_opt.py` beside this notebook says it:

# %%
print(Path("my_opt.py").read_text(encoding="utf-8"))

# %% [markdown]
# - The fields are the hyper-parameters, each with default, range and meaning. The flags of the
#   command line and the checks of the range come from there.
# - `rule` is the formula for a single weight, with NumPy's functions of single elements. `v` is
#   what is remembered; it starts at 0, and lives in the dict `state`.
# - numba compiles the formula into one loop over all weights. Without numba NumPy runs it.

# %%
w, state = np.array([1.0, 1.0]), {}
Cautious(lr=0.1).update(w, np.array([0.5, -0.5]), state)
print("w after one update:", w, " the velocity:", state["v"])

# %% [markdown]
# ## Examined
#
# `nn.check_optimizer` drives it on small problems: does it move `w` itself, leave the gradient
# alone, remember in its state only, go on from a saved state, come down? Silence means that it
# passed.

# %%
nn.check_optimizer(Cautious)
print("passed")

# %% [markdown]
# Is that worth anything? The first version of this file had the mask the other way round: the
# weight moves where $v\, dw < 0$. For numbers that is nearly the same.


# %%
@dataclass(frozen=True)
class FirstVersion(Cautious):
    @staticmethod
    def rule(w, dw, v, *, lr, momentum):
        v = momentum * v - lr * dw
        w = w + np.where(v * dw < 0, v, 0)
        return w, v


def examined(optimizer):
    """Print what the examination says, and give back how much was wrong."""
    try:
        nn.check_optimizer(optimizer)
    except nn.ContractError as error:
        for failure in error.failures:
            print("-", failure)
        return len(error.failures)
    print("passed")
    return 0


first_failures = examined(FirstVersion)

# %% [markdown]
# A comparison with nan is false. So a training that has gone wrong would have looked as if it
# stood still.

# %% [markdown]
# ## A wrong one
#
# A slide of a lecture has AdaGrad as follows. Can you see it?


# %%
@dataclass(frozen=True)
class OfTheSlide(nn.OPTIMIZERS["adagrad"]):
    name = "adagrad"  # so it claims to be AdaGrad, and has to take the same steps

    @staticmethod
    def rule(w, dw, cache, *, lr, eps, eps_root, weight_decay):
        dw = dw + weight_decay * w
        cache = dw**2
        w = w - lr * dw / (np.sqrt(cache + eps_root) + eps)
        return w, cache


slide_failures = examined(OfTheSlide)

# %% [markdown]
# `cache = dw**2` forgets what was there, where AdaGrad adds: `cache + dw**2`. What is left is
# $dw / |dw|$, a sign. And the program runs, and learns, so that nobody notices:

# %%
data = nn.load_dataset(limit=1000 if FAST else 10_000)
hidden, epochs, seeds = (50, 2, 1) if FAST else (100, 3, 3)
print(f"{data.name}, {len(data.train):,} images to train, {len(data.val):,} to validate")


def train(optimizer, seed=0):
    """The accuracy on the validation images, in percent, at the start and after each epoch."""
    model = nn.MLP([784, hidden, 10], seed=seed)
    before = model.evaluate(data.val.x, data.val.labels).accuracy
    loader = nn.mini_batch(data.train, 64, seed=seed)
    records = nn.fit(model, optimizer, loader, epochs, val=data.val)
    return [100 * before, *(100 * record.val_accuracy for record in records)]


AdaGrad = nn.OPTIMIZERS["adagrad"]
figure, ax = plt.subplots(figsize=(7, 3.6))
last = {}
for label, optimizer in (("adagrad", AdaGrad(lr=0.01)), ("of the slide", OfTheSlide(lr=0.01))):
    curve = np.mean([train(optimizer, seed) for seed in range(seeds)], axis=0)
    last[label] = curve[-1]
    ax.plot(curve, "o-", label=label)
ax.set(xlabel="epochs", ylabel="validation accuracy (%)", xticks=range(epochs + 1))
ax.legend(loc="lower right")
figure.supxlabel(
    f"{data.name}, 784-{hidden}-10 sigmoid, lr 0.01 for both, mean of n = {seeds} seeds. "
    f"Both learn: {last['adagrad']:.1f} % and {last['of the slide']:.1f} %."
)
plt.show()

# %% [markdown]
# ## Trained
#
# Now the new optimizer beside momentum, each with several learning rates: one rate would say
# nothing. The images to validate decide; the test images stay unread.

# %%
rates = [0.1, 1.0] if FAST else [0.01, 0.032, 0.1, 0.32, 1.0]
figure, ax = plt.subplots(figsize=(7, 3.6))
best = {}
for cls in (Cautious, nn.OPTIMIZERS["momentum"]):
    ends = np.array([[train(cls(lr=lr), s)[-1] for s in range(seeds)] for lr in rates])
    means = ends.mean(axis=1)
    best[cls.name] = rates[means.argmax()], means.max()
    (line,) = ax.semilogx(rates, means, "o-", label=cls.name)
    ax.fill_between(rates, ends.min(axis=1), ends.max(axis=1), color=line.get_color(), alpha=0.2)
ax.set(xlabel="learning rate", ylabel="validation accuracy (%)")
ax.legend()
apart = best["cautious"][1] - best["momentum"][1]
figure.supxlabel(
    f"{data.name}, after {epochs} epochs; mean and range of n = {seeds} seeds. At their best rates "
    f"the two are {apart:+.2f} points apart."
)
plt.show()

# %% [markdown]
# ## Compared
#
# Is such a difference more than luck? The compare command tunes all optimizers alike, gives the
# best rate fresh seeds, pairs them, and says how sure one can be. An optimizer from a file is
# written `FILE.py:CLASS`. The tier `smoke` is the real one made small; take `--tier lr` for an
# answer, which says beforehand how long it will take.

# %%
folder = tempfile.TemporaryDirectory()
others = "momentum" if FAST else "momentum,adam"


def command(text):
    """Run a Python module as one would type it, and show what it prints."""
    print("$ python", text)
    words = [sys.executable, *shlex.split(text)]
    print(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


command("-m nnscratch.check my_opt.py:Cautious")
command(
    f"-m nnscratch.compare --opts my_opt.py:Cautious,{others} --baseline momentum --tier smoke "
    f"--dataset digits --out {folder.name}/study"
)

# %% [markdown]
# The folder of a study can be read from Python, too.

# %%
study = Path(folder.name, "study")
analysis = analyse(design.read(study), ledger.read(study / "trials.csv"))
(mine,) = (s for s in analysis.standings if s.optimizer == "cautious")
difference = mine.difference
print(f"best learning rate {mine.lr:g}, test accuracy {100 * mine.test.mean:.2f} %")
print(f"minus momentum: {difference.mean:+.2f} points, ", end="")
print(f"95 % interval {difference.low:+.2f} to {difference.high:+.2f}: {difference.verdict}")
folder.cleanup()

# %% [markdown]
# ## What was seen

# %%
print(f"- Faults that the examination found: {first_failures} in the first version,", end=" ")
print(f"{slide_failures} in the AdaGrad of the slide.")
print(f"- That AdaGrad learns all the same: {last['of the slide']:.1f} % of the validation images,")
print(f"  where the right one has {last['adagrad']:.1f} %. A falling loss proves nothing.")
print(f"- At its best rate the new optimizer is {apart:+.2f} points from momentum on {data.name};")
print(f"  the small study on digits says {difference.verdict}, with {len(mine.final)} seeds.")

# %% [markdown]
# ## Exercises
#
# **1.** Mend the AdaGrad of the slide. The checker has it examined, under the name of AdaGrad.


# %%
def adagrad_rule(w, dw, cache, *, lr, eps, eps_root, weight_decay):
    return None


exercises.check_adagrad(adagrad_rule)

# %% [markdown]
# **2.** Write the momentum of PyTorch: the velocity is a sum of gradients that decays,
# $b \leftarrow \mu b + dw$, and the learning rate stands outside, $w \leftarrow w - \eta\, b$. With
# a constant rate it is the momentum of the lecture; where the rate changes, it is not.


# %%
@dataclass(frozen=True)
class TorchMomentum(nn.Elementwise):
    lr: float = nn.hyper(0.1, "(0, inf)", "step size")
    momentum: float = nn.hyper(0.9, "[0, 1)", "decay of the sum b")

    @staticmethod
    def rule(w, dw, b, *, lr, momentum):
        return None


exercises.check_torch_momentum(TorchMomentum)
