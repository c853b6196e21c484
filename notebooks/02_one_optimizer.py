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
# # What does Adam do to a weight?
#
# One optimizer, from its formula to MNIST: each line with the number that it makes, for one weight
# that can be followed with a pencil; then on parabolas, and on the network. And what the
# correction of its bias changes.

# %%
import nnscratch as nn  # isort: skip  # first: it chooses the kernels of the matrix products

# %matplotlib inline
import inspect
import os

import exercises
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display

FAST = "NNSCRATCH_FAST" in os.environ  # set by the tests, which have only seconds
plt.style.use("notebooks.mplstyle")
exercises.speak("English")

# %% [markdown]
# ## The formula
#
# Algorithm 1 of Kingma and Ba (2014, arXiv 1412.6980), for a weight $w$ with the gradient $g$.
# $m$ and $v$ begin at 0, and $t$ counts the updates, the first being 1.
#
# $$\begin{aligned}
# m &\leftarrow \beta_1 m + (1 - \beta_1)\, g
#   && \text{the mean gradient: momentum} \\
# v &\leftarrow \beta_2 v + (1 - \beta_2)\, g^2
#   && \text{the mean square: RMSProp} \\
# \hat m &= m / (1 - \beta_1^t), \quad \hat v = v / (1 - \beta_2^t)
#   && \text{corrected for the start at 0} \\
# w &\leftarrow w - \eta\, \hat m / (\sqrt{\hat v} + \epsilon)
#   && \text{the step}
# \end{aligned}$$
#
# The defaults are $\eta = 0.001$, $\beta_1 = 0.9$, $\beta_2 = 0.999$, $\epsilon = 10^{-8}$. Lecture
# notes often put $\epsilon$ inside the root; in the paper it is outside. The package has both:
# `eps` outside and `eps_root` inside.
#
# ## The code
#
# An optimizer of the package is a record of such numbers with a formula. The formula of Adam is
# this function; behind the star are the numbers, and the two corrections are computed once for
# each update, since they are the same for all weights.

# %%
Adam = nn.OPTIMIZERS["adam"]
print(inspect.getsource(Adam.scalars))
print(inspect.getsource(Adam.rule))

# %% [markdown]
# ## Three steps by hand
#
# One weight, at 1, and three gradients as a mini-batch might give them. The learning rate is 0.1,
# so that something can be seen.

# %%
lr, beta1, beta2, eps = 0.1, 0.9, 0.999, 1e-8
gradients = [0.5, 0.1, -0.2]

w_by_hand, m, v = 1.0, 0.0, 0.0
w, state, optimizer = np.array([1.0]), {}, Adam(lr=lr)

print(
    f"{'t':>2} {'g':>6} {'m':>9} {'v':>10} {'m_hat':>8} {'v_hat':>8} {'step':>9} {'w':>8}  update"
)
for t, g in enumerate(gradients, start=1):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    step = -lr * m_hat / (np.sqrt(v_hat) + eps)
    w_by_hand += step

    optimizer.update(w, np.array([g]), state)  # the package, beside it

    numbers = f"{m:9.5f} {v:10.7f} {m_hat:8.5f} {v_hat:8.5f} {step:9.5f} {w_by_hand:8.5f}"
    print(f"{t:2} {g:6.1f} {numbers} {w[0]:8.5f}")

hand_error = abs(w[0] - w_by_hand)
print(f"\nwhat update remembers: t = {state['t']}, m = {state['m']}, v = {state['v']}")

# %% [markdown]
# The first line is worth a look. $m$ is a tenth of the gradient, and $v$ a thousandth of its
# square. After the correction they are $g$ and $g^2$ themselves, so that the first step is
# $\eta\, g / |g|$: the learning rate, whatever the size of the gradient.
#
# In the third step the gradient has another sign than the mean, and the weight still goes on: that
# is the momentum.

# %% [markdown]
# ## On two parabolas
#
# $f(w) = \frac{1}{2}(c_1 w_1^2 + c_2 w_2^2)$: a parabola for each weight, with the curvatures 1 and
# 100, from (1, 1). Gradient descent has one learning rate for both: the steep one limits it, and
# the flat one waits. Adam divides by the size of the gradient, and the curvature cancels.

# %%
curvature = np.array([1.0, 100.0])
steps = 100


def walk(optimizer):
    """The weights after each update."""
    w, state = np.array([1.0, 1.0]), {}
    path = [w.copy()]
    for _ in range(steps):
        optimizer.update(w, curvature * w, state)
        path.append(w.copy())
    return np.array(path)


paths = {"sgd, lr 0.018": walk(nn.OPTIMIZERS["sgd"](lr=0.018)), "adam, lr 0.1": walk(Adam(lr=0.1))}
longest_step = np.abs(np.diff(paths["adam, lr 0.1"], axis=0)).max()
unlike = np.abs(np.diff(paths["adam, lr 0.1"], axis=1)).max()

figure, axes = plt.subplots(1, 2, sharey=True)
for ax, (name, path) in zip(axes, paths.items(), strict=True):
    ax.plot(path[:, 0], label="$w_1$, curvature 1")
    ax.plot(path[:, 1], "--", label="$w_2$, curvature 100")
    ax.axhline(0, color="grey", lw=0.8)
    ax.set(title=name, xlabel="updates")
axes[0].set_ylabel("weight")
axes[0].legend()
figure.supxlabel(
    f"From (1, 1), n = {steps} updates. With Adam both weights take the same path: they are "
    f"{unlike:.0e} apart at most."
)
plt.show()
print(f"Adam's longest step is {longest_step:.3f}, and its learning rate 0.1.")
print(f"It overshoots to {paths['adam, lr 0.1'].min():.2f}: the momentum does not brake at 0.")

# %% [markdown]
# ## A weight of the real network
#
# `nn.microscope` trains a copy of 784-1000-10 for a few steps and keeps what the formula makes of
# one weight: the one whose first gradient is the largest. `g` is the gradient, `moved` the step.

# %%
data = nn.load_dataset(limit=1000 if FAST else 10_000)
hidden, seeds = (100, 1) if FAST else (1000, 3)
print(f"{data.name}, {len(data.train):,} images to train, {len(data.val):,} to validate")

steps = 5 if FAST else 20
loader = nn.mini_batch(data.train, 128)
trace = nn.microscope("adam", steps, model=nn.MLP([784, hidden, 10]), loader=loader)
print(trace)

# %% [markdown]
# The third step, each line with its numbers:

# %%
print(trace.written(3))

# %%
figure = trace.figure()
first, *others = (abs(row["moved"]) for row in trace.rows)
figure.supxlabel(
    f"One weight, n = {steps} steps, {data.name}, batches of 128. The first step is {first:.2g}, "
    f"the others {min(others):.2g} to {max(others):.2g}.",
    fontsize=9,
)
display(figure)

# %% [markdown]
# ## What the correction is for
#
# $m$ and $v$ start at 0 and are too small at first. A lecture says that Adam without correction
# starts too slowly ([more corrections](../experiments/CORRECTIONS.md)). But the step is
# $m / \sqrt{v}$, and $v$ is too small for longer. So let the gradient be 1 at every update, and
# look at the steps. The corrected ones are all equal to the learning rate.

# %%
lengths = {}
for name in ("adam", "adam_uncorrected"):
    w, state, optimizer = np.array([0.0]), {}, nn.OPTIMIZERS[name](lr=1.0)
    track = [0.0]
    for _ in range(5000):
        optimizer.update(w, np.array([1.0]), state)
        track.append(w[0])
    lengths[name] = -np.diff(track)

raw = lengths["adam_uncorrected"]
peak = int(raw.argmax()) + 1

figure, ax = plt.subplots(figsize=(7, 3.6))
for name, found in lengths.items():
    ax.semilogx(np.arange(1, len(found) + 1), found, label=name)
ax.set(xlabel="update t", ylabel="step (in learning rates)", ylim=(0, 7.5))
ax.legend()
figure.supxlabel(
    f"Steps under a constant gradient, n = {len(raw)} updates. Without correction the first is\n"
    f"{raw[0]:.2f} learning rates and the longest, at t = {peak}, {raw[peak - 1]:.2f}: the "
    f"correction makes steps {'shorter' if raw.max() > 1 else 'longer'}."
)
plt.show()

# %% [markdown]
# ## On MNIST
#
# The network is trained by three lines: a gradient, an update, the next batch. Both optimizers
# begin with the same weights and see the same batches, and each seed draws others. With a learning
# rate ten times too large it shows what long first steps do.


# %%
def train(name, lr, seed):
    """The loss of every batch of one epoch, and the accuracy after it on the validation images."""
    model = nn.MLP([784, hidden, 10], seed=seed)
    optimizer, state = nn.OPTIMIZERS[name](lr=lr), {}
    losses = []
    for x, labels in nn.mini_batch(data.train, 128, seed=seed):
        losses.append(model.loss_and_grad(x, labels))  # the gradient is now in model.dw
        optimizer.update(model.w, model.dw, state)  # the weights have moved
    return losses, model.evaluate(data.val.x, data.val.labels).accuracy


accuracy, first_losses = {}, {}
figure, axes = plt.subplots(1, 2, sharey=True)
for ax, lr in zip(axes, (1e-3, 1e-2), strict=True):
    for name in ("adam", "adam_uncorrected"):
        runs = [train(name, lr, seed) for seed in range(seeds)]
        curve = np.mean([losses for losses, _ in runs], axis=0)
        accuracy[name, lr] = [100 * right for _, right in runs]
        first_losses[name, lr] = curve[:12].max()
        ax.loglog(np.arange(1, len(curve) + 1), curve, label=name)
    ax.set(title=f"lr {lr:g}", xlabel="update")
axes[0].set_ylabel("loss of the batch, before its update")
axes[1].legend()
figure.supxlabel(
    f"{data.name}, 784-{hidden}-10 sigmoid, batches of 128, mean of n = {seeds} seeds. The largest "
    f"loss of the first 12 updates\nat lr 0.01: {first_losses['adam', 1e-2]:.1f} with correction, "
    f"{first_losses['adam_uncorrected', 1e-2]:.1f} without."
)
plt.show()
for (name, lr), percent in accuracy.items():
    spread = f"{min(percent):.1f} to {max(percent):.1f}"
    print(f"lr {lr:g}  {name:16}  {np.mean(percent):5.1f} % right after one epoch ({spread})")

# %% [markdown]
# ## What was seen

# %%
gap = {
    lr: np.mean(accuracy["adam", lr]) - np.mean(accuracy["adam_uncorrected", lr])
    for lr in (1e-3, 1e-2)
}
print(f"- The weight of the pencil and that of update are {hand_error:.0e} apart.")
print(
    f"- On the parabolas Adam's steps are {longest_step:.3f} at most, with a learning rate of 0.1."
)
print(f"- Without correction the steps are up to {raw.max():.2f} times as long, at t = {peak}.")
print(f"- What correction gains in one epoch, in points: {gap[1e-3]:+.1f} at lr 0.001,", end=" ")
print(f"{gap[1e-2]:+.1f} at lr 0.01 (n = {seeds} seeds each).")

# %% [markdown]
# ## Exercises
#
# **1.** A weight has the gradient 1000 in the very first update. How far does Adam move it, with
# the defaults? (The length of the step; no computer needed.)

# %%
answer = None  # a number

exercises.check_first_step(answer)

# %% [markdown]
# **2.** Write $\hat m$: the mean gradient after all these gradients, corrected for its start at 0.


# %%
def corrected_mean(gradients, beta1):
    """m_hat after the last of the gradients."""
    return None


exercises.check_corrected_mean(corrected_mean)
