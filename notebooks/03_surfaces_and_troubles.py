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
# # What makes the way down hard?
#
# A network has too many weights for a picture. A function of two variables has not: every step can
# be seen. Here are some such surfaces, the troubles that gradient descent has on them, and what
# momentum and steps for each weight do about that. The optimizers are those that train the
# network.

# %%
import nnscratch as nn  # isort: skip  # first: it chooses the kernels of the matrix products

# %matplotlib inline
import os

import matplotlib.pyplot as plt
import numpy as np
from exercises import check_best_rate, check_saddle_gradient
from IPython.display import Image, display

from nnscratch.landscape import SURFACES, figures, hold_race, troubles, walk
from nnscratch.landscape.claims import about_troubles
from nnscratch.surfaces import as_text

FAST = "NNSCRATCH_FAST" in os.environ  # set by the tests, which have only seconds
plt.style.use("notebooks.mplstyle")

# %% [markdown]
# ## The surfaces
#
# A surface is a function beside its derivatives, a start, and its minima. Contours are drawn, dark
# is high, a star is a minimum, a dot the start.

# %%
figure, axes = plt.subplots(2, 4, figsize=(11, 6))
for ax, cls in zip(axes.flat, SURFACES.values(), strict=True):
    surface = cls()
    figures.draw_surface(ax, surface)
    ax.plot(*surface.start, "o", color="black", ms=5)
    ax.set(title=surface.name, xlabel="", ylabel="")
    ax.grid(False)
figure.supxlabel(f"n = {len(SURFACES)} surfaces; x to the right, y upwards, both without unit.")
plt.show()
for cls in SURFACES.values():
    print(f"{cls.name:11} {cls().formula}\n{'':11} trouble: {cls.trouble}")

# %% [markdown]
# ## One walk
#
# A lecture lets gradient descent run on $x^2 + y^2$, from (-3, 4), with a learning rate of 0.1 and
# 100 steps. It prints (-6.1e-10, 8.1e-10). A step multiplies both numbers by $1 - 2 \cdot 0.1$, so
# that it has to be $0.8^{100}$ times the start.

# %%
path = walk(SURFACES["bowl"](), nn.OPTIMIZERS["sgd"](lr=0.1), 100)
print("walked  ", path.points[-1])
print("expected", 0.8**100 * np.array([-3.0, 4.0]))

# %% [markdown]
# ## A race, twice
#
# In many animations SGD is far behind; often all have the same learning rate there. So here is the
# race in a long valley with one rate for all, and again with a rate for each, found with the same
# budget.

# %%
racers = ["sgd", "adam"] if FAST else ["sgd", "momentum", "nesterov", "rmsprop", "adam"]
tuned = hold_race("valley", racers)
shared = tuned.with_one_rate(0.01)
display(Image(shared.figure()), Image(tuned.figure()))


def places(race):
    """The order at the finish; in brackets the gradients to a millionth of the height, or -."""
    names = ((path.optimizer.full_name, path.arrived) for path in race.order)
    return ", ".join(f"{name} ({arrived or '-'})" for name, arrived in names)


print("one rate for all: ", places(shared))
print("a rate for each:  ", places(tuned))
print(f"n = {len(racers)} optimizers, {tuned.paths[0].gradients} gradients each, one start")

# %% [markdown]
# And the same as a film, step by step, with buttons:

# %%
tuned.player()

# %% [markdown]
# ## The troubles
#
# A lecture names four: slow near the minimum, local minima, the plateau, and zig-zag. Each has a
# surface and a number. All learning rates are tuned by the same budget.
#
# For the first there is a formula. On a valley whose sides are $k$ times as curved as its floor,
# a step of gradient descent with the best rate multiplies the distance to the minimum by
# $(k - 1)/(k + 1)$.

# %%
optimizers = [nn.OPTIMIZERS[name]() for name in racers]
costs = troubles.measure(optimizers)
print(as_text(costs))

# %%
display(figures.troubles(costs))

# %% [markdown]
# What is taught of momentum and of steps for each weight, held against these numbers:

# %%
claims = list(about_troubles(costs))
for claim in claims:
    print("-", claim)

# %% [markdown]
# ## Why the turned valley is another one
#
# AdaGrad and RMSProp divide each coordinate by the size of its own gradients. That undoes unequal
# curvatures, if they lie along the axes. Turn the valley by 45 degrees, and both coordinates have
# gradients of about the same size: little is left to undo. Momentum does not look at coordinates.

# %%
turns = [0.0, 45.0] if FAST else [0.0, 5.0, 15.0, 30.0, 45.0]
figure, ax = plt.subplots(figsize=(7, 3.6))
arrived = {}
for name in ["adagrad"] if FAST else ["momentum", "adagrad", "rmsprop"]:
    races = [hold_race(SURFACES["valley"](turn=turn), [name], troubles.SLOW) for turn in turns]
    arrived[name] = [race.paths[0].arrived for race in races]
    ax.plot(turns, [np.nan if n is None else n for n in arrived[name]], "o-", label=name)
ax.set(xlabel="angle of the valley (degrees)", ylabel="gradients to a millionth", ylim=(0, None))
ax.legend()
figure.supxlabel(
    f"A valley of condition number 20, n = 1 start for each of {len(turns)} angles, the rate tuned "
    f"for each;\na gap is a walk that did not arrive in {troubles.SLOW.gradients} gradients."
)
plt.show()

# %% [markdown]
# ## What was seen

# %%
n = len(racers)
print(f"- In the valley SGD comes in {shared.place('sgd')} of {n} with one rate for all,", end=" ")
print(f"and {tuned.place('sgd')} of {n} with a rate for each.")
for name, numbers in arrived.items():
    along, turned = ("never" if n is None else n for n in (numbers[0], numbers[-1]))
    print(
        f"- Gradients of {name}: {along} in the valley along the axes, {turned} in the turned one."
    )
print(f"- Of the {len(claims)} sentences above, which are taught, each says whether it holds.")

# %% [markdown]
# ## Exercises
#
# **1.** A valley with the curvatures 2 across and 0.02 along. Which learning rate lets gradient
# descent come down fastest? A step multiplies the two distances by $1 - 2\eta$ and $1 - 0.02\eta$;
# the larger of the two, without its sign, decides.

# %%
answer = None  # a number, with three digits

check_best_rate(answer)

# %% [markdown]
# **2.** The saddle is $f(x, y) = \frac{1}{2}x^2 - \frac{1}{2}y^2 + \frac{1}{4}y^4$. Write its
# gradient. Then ask yourself what gradient descent does from (-1.5, 0).


# %%
def saddle_gradient(x, y):
    """df/dx and df/dy."""
    return None


check_saddle_gradient(saddle_gradient)
