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
# # Where does the gradient come from?
#
# A network has 795,010 weights, and one backward pass tells for each of them how the loss would
# change. Here this pass is made with a pencil, on a network with twelve weights, each number
# beside its formula. Then `nn.MLP` does the same, and differences of the loss say whether both
# are right.

# %%
import nnscratch as nn  # isort: skip  # first: it chooses the kernels of the matrix products

# %matplotlib inline
import os
import time

import matplotlib.pyplot as plt
import numpy as np
from exercises import check_output_delta, check_tanh

from nnscratch.check import gradient_check

FAST = "NNSCRATCH_FAST" in os.environ  # set by the tests, which have only seconds
plt.style.use("notebooks.mplstyle")
np.set_printoptions(precision=4, suppress=True)

# %% [markdown]
# ## The network
#
# Two inputs, two hidden units with a sigmoid, two classes. One example, of class 0.
#
# $$x = (1,\ 0.5) \qquad
# W_1 = \begin{pmatrix} 1 & -1 \\ 0 & 2 \end{pmatrix} \qquad
# W_2 = \begin{pmatrix} 1 & 0 \\ 0 & 2 \end{pmatrix} \qquad
# b_1 = b_2 = (0,\ 0)$$
#
# A row is an example, so that a layer computes $z = x W + b$, and $W$ has a row for each input and
# a column for each unit.

# %%
x = np.array([[1.0, 0.5]])
W1 = np.array([[1.0, -1.0], [0.0, 2.0]])
b1 = np.array([0.0, 0.0])
W2 = np.array([[1.0, 0.0], [0.0, 2.0]])
b2 = np.array([0.0, 0.0])
y = np.array([[1.0, 0.0]])  # class 0, as a row with a one in the place of the class

# %% [markdown]
# ## Forward
#
# **Hidden sums** $z_1 = x W_1 + b_1$. The first is $1 \cdot 1 + 0.5 \cdot 0 = 1$, the second
# $1 \cdot (-1) + 0.5 \cdot 2 = 0$.

# %%
z1 = x @ W1 + b1
print("z1 =", z1)

# %% [markdown]
# **Hidden units** $a_1 = \sigma(z_1) = 1 / (1 + e^{-z_1})$. $\sigma(0)$ is one half, and
# $\sigma(1)$ is 0.7311.

# %%
a1 = 1 / (1 + np.exp(-z1))
print("a1 =", a1)

# %% [markdown]
# **Outputs** $z_2 = a_1 W_2 + b_2$, that is $(0.7311 \cdot 1,\ 0.5 \cdot 2)$.

# %%
z2 = a1 @ W2 + b2
print("z2 =", z2)

# %% [markdown]
# **Probabilities** $p = e^{z_2} / \sum e^{z_2}$, the softmax, and **loss** $L = -\sum y \log p$,
# the cross-entropy: minus the logarithm of the probability of the true class.

# %%
p = np.exp(z2) / np.exp(z2).sum()
loss = -(y * np.log(p)).sum()
print("p =", p)
print(f"L = -log {p[0, 0]:.4f} = {loss:.4f}")

# %% [markdown]
# ## Backward
#
# Write $dz$ for $\partial L / \partial z$, and so on. Go back through the same lines, the last one
# first.
#
# **Outputs.** The derivatives of softmax and logarithm, multiplied, leave $dz_2 = p - y$: too much
# for the wrong class, too little for the right one.

# %%
dz2 = p - y
print("dz2 =", dz2)

# %% [markdown]
# **Weights of the second layer.** $z_2 = a_1 W_2 + b_2$ is linear: the weight from hidden unit $i$
# to output $j$ has the derivative $a_{1,i}\, dz_{2,j}$. So $dW_2 = a_1^T dz_2$, and $db_2 = dz_2$,
# for many examples the sum of their rows.

# %%
dW2 = a1.T @ dz2
db2 = dz2.sum(axis=0)
print("dW2 =", *dW2, sep="\n  ")
print("db2 =", db2)

# %% [markdown]
# **Hidden units.** Each hidden unit reaches the loss through all outputs, and the parts add up:
# $da_1 = dz_2 W_2^T$.

# %%
da1 = dz2 @ W2.T
print("da1 =", da1)

# %% [markdown]
# **Hidden sums.** $\sigma'(z) = \sigma(z)(1 - \sigma(z))$, so $dz_1 = da_1\, a_1 (1 - a_1)$,
# element by element. The factor is 0.25 at most, and near 0 for a unit that is almost 0 or 1.

# %%
dz1 = da1 * a1 * (1 - a1)
print("a1 (1 - a1) =", a1 * (1 - a1))
print("dz1 =", dz1)

# %% [markdown]
# **Weights of the first layer.** As before, with $x$ in the place of $a_1$: $dW_1 = x^T dz_1$.

# %%
dW1 = x.T @ dz1
db1 = dz1.sum(axis=0)
print("dW1 =", *dW1, sep="\n  ")
print("db1 =", db1)

# %% [markdown]
# ## The same by `nn.MLP`
#
# The network of the package keeps all weights in one vector `w` and all derivatives in another,
# `dw`. `parameters` are views into both.

# %%
model = nn.MLP([2, 2, 2], activation="sigmoid", loss="softmax_cross_entropy", dtype="float64")
for parameter, mine in zip(model.parameters, (W1, b1, W2, b2), strict=True):
    parameter.w[...] = mine
labels = np.array([0])
print(f"L   {model.loss_and_grad(x, labels):.4f}, by hand {loss:.4f}")
for parameter, mine in zip(model.parameters, (dW1, db1, dW2, db2), strict=True):
    apart = np.abs(parameter.dw - mine).max()
    print(f"d{parameter.name}  the largest difference from the pencil is {apart:.1e}")

# %% [markdown]
# Forward and backward of one layer stand side by side in `nnscratch/layers.py`: the lines that were
# used above, and nothing else.

# %% [markdown]
# ## Are both right?
#
# Two computations may share a mistake. The definition of a derivative shares nothing with them:
#
# $$\frac{\partial L}{\partial w_i} \approx \frac{L(w + h e_i) - L(w - h e_i)}{2h}$$
#
# `nn.numerical_gradient` does that for each weight, at the price of two losses for each.


# %%
def loss_at(w):
    """The loss of the small network with these weights."""
    model.w = w
    return model.evaluate(x, labels).loss


w, dw = model.w.copy(), model.dw.copy()
differences = nn.numerical_gradient(loss_at, w, h=1e-4)
model.w = w
small_error = np.abs(differences - dw).max() / np.abs(dw).max()
print("backward     ", dw)
print("differences  ", differences)
print(f"the largest disagreement is {small_error:.1e} of the largest derivative")

# %% [markdown]
# Why $h = 10^{-4}$? A large $h$ sees the bend of the loss: the error grows as $h^2$. A small one
# subtracts two numbers that are nearly equal, and rounding, divided by $h$, is left.

# %%
steps = np.logspace(-11, 0, 45)
errors = []
for h in steps:
    errors.append(np.abs(nn.numerical_gradient(loss_at, w, h=h) - dw).max() / np.abs(dw).max())
model.w = w
best = steps[np.argmin(errors)]

figure, axes = plt.subplots(figsize=(7, 3.8))
axes.loglog(steps, errors, "o-", ms=3, label="measured")
axes.loglog(steps, errors[-9] * (steps / steps[-9]) ** 2, "--", lw=1, label="grows as $h^2$")
axes.loglog(steps, 1e-16 / steps, ":", label="$10^{-16} / h$: rounding")
axes.set(xlabel="h (in units of a weight)", ylabel="largest error / largest derivative")
axes.set_ylim(1e-13, 1)
axes.legend()
figure.supxlabel(
    f"The error of differences, float64, n = {len(w)} weights. "
    f"It is least at h = {best:.0e}: {min(errors):.0e}."
)
plt.show()

# %% [markdown]
# ## The real network
#
# 784-1000-10 has too many weights to try each. `gradient_check` takes twenty of every parameter,
# and a random direction of each, so that all weights are moved. `python -m nnscratch.check` does
# the same.

# %%
sizes = [784, 30, 10] if FAST else [784, 1000, 10]
real = nn.MLP(sizes, dtype="float64")
worst = gradient_check(real)
print(f"{real}")
print(
    f"worst in {worst.name}: backward {worst.backward:.8g}, differences {worst.difference:.8g}, "
    f"relative error {worst.error:.1e}"
)

# %% [markdown]
# What would the gradient cost without a backward pass?

# %%
rng = np.random.default_rng(0)
batch, classes = rng.random((128, 784)), rng.integers(0, 10, 128)


def seconds(compute, times=5):
    """The least of some trials."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        compute(batch, classes)
        taken.append(time.perf_counter() - began)
    return min(taken)


forward = seconds(real.evaluate)
both = seconds(real.loss_and_grad)
by_differences = 2 * len(real.w) * forward
print(f"forward {1e3 * forward:.1f} ms, forward and backward {1e3 * both:.1f} ms")
print(
    f"by differences {by_differences / 3600:.2g} hours, {by_differences / both:,.0f} times as long"
)

# %% [markdown]
# ## What was seen

# %%
print(
    f"- The pencil, the package and the definition agree, to {small_error:.0e} for {len(w)} "
    f"weights and to {worst.error:.0e} for {len(real.w):,}.\n"
    f"- Differences are best at h = {best:.0e} here; smaller steps lose to rounding.\n"
    f"- The backward pass makes a gradient {both / forward:.1f} times as expensive as a loss; "
    f"without it the factor would be {2 * len(real.w):,}."
)

# %% [markdown]
# ## Exercises
#
# **1.** The same example, but its class is 1. What is $dz_2$? Two numbers; three digits suffice,
# and a pencil too.

# %%
answer = None  # like [0.1, -0.1]

check_output_delta(answer, p, np.array([[0.0, 1.0]]))

# %% [markdown]
# **2.** Let the hidden units be $a = \tanh(z)$. Its derivative is $1 - \tanh^2(z)$. Write the step
# from `da` to `dz`; `a` is known from the forward pass.


# %%
def backward_of_tanh(da, a):
    """From dL/da to dL/dz, element by element; a = tanh(z)."""
    return None


check_tanh(backward_of_tanh)
