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
# # Do small batches find flatter minima?
#
# Keskar and others (2017, arXiv 1609.04836) say so, and that flat minima are the better ones on
# images that the network has not seen. A lecture passes it on with a picture. Both halves are
# measured here: how flat, and how good.

# %%
import nnscratch as nn  # isort: skip  # first: it chooses the kernels of the matrix products

# %matplotlib inline
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from exercises import check_largest_eigenvalue, check_largest_rate
from IPython.display import Image, Markdown, display

from nnscratch.study.inference import interval

FAST = "NNSCRATCH_FAST" in os.environ  # set by the tests, which have only seconds
LABS = Path("../experiments/results/labs")
plt.style.use("notebooks.mplstyle")

data = nn.load_dataset(limit=300 if FAST else 1000)
x, labels = data.train.x, data.train.labels
sizes = [784, 32, 10]
print(f"{data.name}, {len(data.train):,} images to train, {len(data.val):,} to validate")

# %% [markdown]
# ## Three loaders
#
# `nn.batch` gives all images at once, `nn.mini_batch` a few, `nn.stochastic` one. An epoch is a
# pass over all images; what differs is how many updates are made of it.

# %%
epochs = 3 if FAST else 10
runs = {
    "batch": nn.batch(data.train),
    "mini_batch, 32": nn.mini_batch(data.train, 32),
    "stochastic": nn.stochastic(data.train),
}
figure, axes = plt.subplots(1, 2, sharey=True)
reached = {}
for name, loader in runs.items():
    model = nn.MLP(sizes)
    records = list(nn.fit(model, nn.OPTIMIZERS["sgd"](lr=0.1), loader, epochs, val=data.val))
    right = [100 * record.val_accuracy for record in records]
    reached[name] = right[-1]
    axes[0].plot([record.epoch for record in records], right, "o-", ms=4)
    axes[1].semilogx([record.update for record in records], right, "o-", ms=4, label=name)
axes[0].set(xlabel="epochs", ylabel="validation accuracy (%)")
axes[1].set(xlabel="updates")
axes[1].legend()
ends = ", ".join(f"{name} {percent:.1f} %" for name, percent in reached.items())
figure.supxlabel(
    f"{data.name}, 784-32-10 sigmoid, SGD with lr 0.1, n = 1 seed. At the end: {ends}."
)
plt.show()

# %% [markdown]
# ## The noise of a batch
#
# The gradient of a batch is that of all images plus noise. Averaging $B$ images should divide the
# noise by $\sqrt B$.

# %%
model = nn.MLP(sizes)
model.loss_and_grad(x, labels)
whole = model.dw.copy()
rng = np.random.default_rng(0)
draws = 20 if FAST else 100
batch_sizes = [1, 4, 16, 64]
noise = []
for size in batch_sizes:
    squares = []
    for _ in range(draws):
        chosen = data.train[rng.choice(len(data.train), size, replace=False)]
        model.loss_and_grad(chosen.x, chosen.labels)
        squares.append(((model.dw - whole) ** 2).sum())
    noise.append(np.sqrt(np.mean(squares)) / np.linalg.norm(whole))
slope = np.polyfit(np.log(batch_sizes), np.log(noise), 1)[0]

figure, ax = plt.subplots(figsize=(6, 3.6))
ax.loglog(batch_sizes, noise, "o-", label="measured")
ax.loglog(batch_sizes, noise[0] / np.sqrt(batch_sizes), "--", label=r"$\propto 1 / \sqrt{B}$")
ax.set(xlabel="batch size B (images)", ylabel="noise / length of the gradient")
ax.legend()
figure.supxlabel(
    f"At the first weights, root mean square of n = {draws} batches.\n"
    f"It falls as B to the power {slope:.2f}."
)
plt.show()

# %% [markdown]
# ## How flat is a minimum?
#
# Near the weights $w$ the loss is $L(w + d) \approx L(w) + g \cdot d + \frac{1}{2} d \cdot H d$,
# with the matrix $H$ of second derivatives. Its largest eigenvalue $\lambda$ is the curvature in
# the steepest direction: the smaller, the flatter. $H$ has a number for every pair of weights.
# `nn.Hessian` never forms it; it needs products $H v$ only, each from two gradients.
#
# The comparison has to be at the same height, since the curvature of this loss falls as the loss
# falls. So every training ends when the loss of all training images, looked at after every fifth
# update, has come down to 0.1. All have the same learning rate.

# %%
lr, target = 0.5, 0.3 if FAST else 0.1
seeds = 2 if FAST else 4
compared = [8, len(data.train)] if FAST else [4, 16, 64, len(data.train)]


def trained(size, seed):
    """A network whose training loss has come down to the target, and after how many updates."""
    model = nn.MLP(sizes, seed=seed)
    loader = nn.mini_batch(data.train, size, seed=seed)
    for record in nn.fit(model, nn.OPTIMIZERS["sgd"](lr=lr), loader, 5000, every=5):
        if model.evaluate(x, labels).loss <= target:
            return model, record.update
    raise RuntimeError("the target was not reached")


networks, flatness, accuracy = {}, {}, {}
print(" batch  updates  training loss   lambda  val loss  val accuracy")
for size in compared:
    for seed in range(seeds):
        model, updates = trained(size, seed)
        top = nn.Hessian(model, x, labels).largest()
        train, val = model.evaluate(x, labels), model.evaluate(data.val.x, data.val.labels)
        networks[size] = networks.get(size, (model, top))  # those of seed 0, for the figure
        flatness.setdefault(size, []).append(top.value)
        accuracy.setdefault(size, []).append(100 * val.accuracy)
        numbers = (
            f"{train.loss:14.4f} {top.value:8.3f} {val.loss:9.3f} {100 * val.accuracy:11.2f} %"
        )
        print(f"{size:6} {updates:8} {numbers}")

# %%
figure, axes = plt.subplots(1, 2)
for ax, found in zip(axes, (flatness, accuracy), strict=True):
    ax.semilogx(compared, [found[size] for size in compared], ".", color="C0")
    ax.semilogx(compared, [np.mean(found[size]) for size in compared], "o-", color="C0")
    ax.set(xlabel="batch size (images)")
axes[0].set(ylabel=r"largest curvature $\lambda$", ylim=(0, None))
axes[1].set(ylabel="validation accuracy (%)")
figure.supxlabel(
    f"{data.name}, {len(data.train):,} images, 784-32-10, SGD with lr {lr}, all at a training loss "
    f"of {target}; dots: n = {seeds} seeds."
)
plt.show()

# %% [markdown]
# ## The two losses along the steepest direction
#
# The lecture's picture has a training loss and a testing loss beside it, shifted a little: in a
# sharp minimum the same shift costs more. Here are both, measured along the eigenvector of
# $\lambda$ for the smallest and the largest batch.

# %%
along = np.linspace(-3, 3, 31)
figure, axes = plt.subplots(1, 2, sharey=True)
shifts = {}
for ax, size in zip(axes, (compared[0], compared[-1]), strict=True):
    model, top = networks[size]
    w = model.w.copy()
    losses = []
    for distance in along:
        model.w = w + distance * top.vector
        losses.append(
            (model.evaluate(x, labels).loss, model.evaluate(data.val.x, data.val.labels).loss)
        )
    model.w = w
    for curve, label in zip(np.transpose(losses), ("training", "validation"), strict=True):
        ax.plot(along, curve, label=label)
    shifts[size] = along[np.argmin(np.transpose(losses)[1])]
    ax.set(title=f"batches of {size}", xlabel="distance from the weights")
axes[0].set_ylabel("loss per image")
axes[0].legend()
figure.supxlabel(
    f"{data.name}, n = 1 network each, {len(data.train):,} training and {len(data.val):,} "
    f"validation images. The validation loss is least at\n{shifts[compared[0]]:+.1f} and "
    f"{shifts[compared[-1]]:+.1f}, in units of the weights."
)
plt.show()

# %% [markdown]
# ## The larger measurements
#
# That was one small network with the same rate for all batches, and another rate may tell another
# story. Three labs ask with more images and tuned rates: `experiments/batch_size.py` about the
# loaders, `noise.py` about the noise, and `sharp_minima.py` about flatness, by three measures, and
# what it is worth on test images. What they found lies in `experiments/results/labs`.

# %%
for lab in ("batch_size", "noise", "sharp_minima"):
    page, picture = LABS / f"{lab}.md", LABS / f"{lab}.png"
    if not (page.is_file() and picture.is_file()):
        print(f"experiments/results/labs/{page.name} is not beside this notebook")
        continue
    title, *lines = page.read_text(encoding="utf-8").splitlines()
    findings = [line for line in lines if line.startswith("- ")]
    display(Markdown("\n".join([f"**{title.strip('# ')}**", "", *findings])))
    display(Image(picture, width=800))

# %% [markdown]
# ## What was seen

# %%
small, full = compared[0], compared[-1]
flatter, better = (
    np.subtract(found[small], found[full]) for found in (flatness, accuracy)
)  # paired: each pair has one seed


def difference(numbers):
    """The mean, its 95 % interval, and whether it is known to be below or above 0."""
    low, high = interval(numbers)
    known = "less" if high < 0 else "more" if low > 0 else "no difference that is known"
    return f"{numbers.mean():+.2f} (95 % interval {low:+.2f} to {high:+.2f}): {known}"


print(f"- The noise of a gradient falls as the batch size to the power {slope:.2f}; theory: -0.5.")
print(f"- At the same training loss, batches of {small} against the full batch, n = {seeds} seeds:")
print(f"  largest curvature {difference(flatter)},")
print(f"  validation accuracy in points {difference(better)}.")

# %% [markdown]
# ## Exercises
#
# **1.** Gradient descent with the full batch, on a parabola with $\lambda = 50$. Up to which
# learning rate $\eta$ does it come down? A step multiplies the distance from the minimum by
# $1 - \eta \lambda$.

# %%
answer = None  # a number

check_largest_rate(answer)

# %% [markdown]
# **2.** Find the largest eigenvalue of a matrix with products alone: begin with any `v` of length
# 1, replace it by $H v / |H v|$ again and again, and give back $v \cdot H v$.


# %%
def largest_eigenvalue(product, n):
    """Of the n x n matrix H, where product(v) is H v; a hundred products suffice."""
    return None


check_largest_eigenvalue(largest_eigenvalue)
