"""Where do the forms of momentum part, how long do they remember, and does Nesterov brake?

    python experiments/momentum_forms.py
    python experiments/momentum_forms.py --fast

Four measurements of the registry's `momentum`, `heavy_ball`, `nesterov` and `nesterov_lookahead`.

Parting. `momentum` keeps lr inside the velocity, v <- mu v - lr g, and `heavy_ball` outside,
w <- w - lr b. They are one rule while lr stays. Two networks 784-100-10 begin with the same
weights, see the same batches in double precision, and get lr 0.1, and 0.01 from the middle on. If
the gradients were the same on both sides, the old velocity v alone would part them: k updates after
the drop by

    (1 - 0.1) |v| (mu + mu^2 + ... + mu^k),     0.9 mu / (1 - mu) = 8.1 steps |v| in the end

Memory. One gradient of 1 and then none: the step that remains of it is mu^t of the first one. The
velocity is the unrolled sum v = -lr (g_t + mu g_(t-1) + mu^2 g_(t-2) + ...), also for gradients
drawn at random.

Overshoot. On a parabola of curvature h from w = 1, how far w swings beyond the minimum. It swings
where the two roots of the recursion are complex (a = lr h; theta is the point that
`nesterov_lookahead` reads out):

    momentum    z^2 - (1 + mu - a) z + mu              a > (1 - sqrt(mu))^2
    nesterov    z^2 - (1 + mu)(1 - a) z + mu (1 - a)   a > ((1 - mu) / (1 + mu))^2

Without decay, v <- v - lr g, as one document of the lecture writes it, the roots have size 1 and
the swing never ends; measured with the largest momentum below 1.

Cost. Gradients an update, as `fit` counts them, and milliseconds an update of the 795,010 weights
of 784-1000-10, one update of each in turn, and the gradient of a batch of 128 beside it.

Source: Polyak, USSR Computational Mathematics and Mathematical Physics 4(5), 1964; Sutskever,
Martens, Dahl and Hinton, ICML 2013, eq. 1 to 4; the roots follow from these.
"""

import itertools
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from lab import Lab, blank, run

import nnscratch as nn
from nnscratch.arrays import Array
from nnscratch.looks import COLORS, looks_of
from nnscratch.optim.base import nbytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, Any]
LR, DROP, MU = 0.1, 0.1, 0.9
MUS = (0.5, 0.9, 0.95, 0.99)
UNDAMPED = math.nextafter(1, 0)  # the registry wants a momentum below 1
SWUNG = (0.5, 0.9, 0.99)  # the momenta whose overshoot is measured
BEFORE, AFTER = 10, 120  # updates around the drop that are kept
BATCH = 128
FORMS = ("momentum", "heavy_ball")
COSTED = ("momentum", "heavy_ball", "nesterov", "nesterov_lookahead")
LOOKS = looks_of(COSTED)


def path(
    name: str, gradient: Callable[[Array], Array], w: Array, rates: Iterable[float], mu: float
) -> Array:
    """The points that an optimizer reads out: the first one, and one after each update."""
    w = w.copy()
    state: nn.State = {}
    points = [w.copy()]
    for lr in rates:
        optimizer = nn.OPTIMIZERS[name](lr=lr, momentum=mu)
        optimizer.update(w, gradient(w), state)
        points.append(optimizer.readout(w, state).copy())
    return np.array(points)


def network(data: nn.Dataset) -> list[int]:
    """The sizes of the network that learns these images."""
    return [data.train.images.shape[1], 100, data.classes]


def parting(data: nn.Dataset, seed: int, half: int) -> list[Row]:
    """Step lengths of both forms around the drop in the middle, and how far apart they are."""
    epochs = 2 * math.ceil(half * BATCH / len(data.train))
    schedule = nn.SCHEDULES["step"](every=epochs // 2, drop=DROP)
    sizes = network(data)
    models = [nn.MLP(sizes, seed=seed, dtype="float64") for _ in FORMS]
    loaders = [nn.mini_batch(data.train, BATCH, seed=seed) for _ in FORMS]
    drop = epochs // 2 * len(loaders[0])
    runs = [
        nn.fit(
            model,
            nn.OPTIMIZERS[name](lr=LR, momentum=MU),
            loader,
            epochs,
            schedule=schedule,
            every=1,
        )
        for name, model, loader in zip(FORMS, models, loaders, strict=True)
    ]
    before = [model.w.copy() for model in models]
    rows = []
    for records in zip(*runs, strict=True):
        after = records[0].update - drop
        steps = [
            float(np.linalg.norm(model.w - old)) for model, old in zip(models, before, strict=True)
        ]
        before = [model.w.copy() for model in models]
        if -BEFORE <= after <= AFTER:
            val = data.val[:1000]
            losses = [model.evaluate(val.x, val.labels).loss for model in models]
            apart = float(np.linalg.norm(models[0].w - models[1].w))
            row: Row = {"seed": seed, "updates_after_drop": after, "apart": apart}
            for name, step, loss in zip(FORMS, steps, losses, strict=True):
                row |= {f"{name}_step": step, f"{name}_val_loss": loss}
            rows.append(row)
    return rows


def memory(mu: float, updates: int) -> list[Row]:
    """What is left of the step that one gradient of 1 made, after some updates without gradient."""
    rows = []
    impulse = itertools.chain([1.0], itertools.repeat(0.0))
    w = path("momentum", lambda w: np.full_like(w, next(impulse)), np.zeros(1), [LR] * updates, mu)
    steps = np.diff(w[:, 0])
    for t, left in enumerate(steps / steps[0]):
        rows.append({"momentum": mu, "updates": t, "left": float(left), "theory": mu**t})
    return rows


def unrolled_error(mu: float, updates: int = 200) -> float:
    """How far the velocity is from the unrolled sum, relative to it, for random gradients."""
    g = np.random.default_rng(0).normal(size=(updates, 50))
    given = iter(g)
    w = path("momentum", lambda w: next(given), np.zeros(50), [LR] * updates, mu)
    weights = mu ** np.arange(updates)[::-1]
    summed = -LR * weights @ g
    return float(np.linalg.norm(w[-1] - w[-2] - summed) / np.linalg.norm(summed))


def deviations(mu: float) -> Row:
    """How exactly the two statements about the memory hold."""
    return {
        "momentum": mu,
        "from_mu_to_the_t": max(abs(row["left"] - row["theory"]) for row in memory(mu, 250)),
        "from_the_unrolled_sum": unrolled_error(mu),
    }


def overshoot(name: str, mu: float, products: Array, updates: int) -> Array:
    """The way beyond the minimum, in parts of the way to it, for each lr times curvature."""
    points = path(name, lambda w: products * w, np.ones_like(products), [1.0] * updates, mu)
    beyond: Array = np.maximum(0.0, -points.min(axis=0))
    return beyond


def overshoots(products: Array, updates: int) -> list[Row]:
    rows = []
    for mu in SWUNG:
        found = [
            overshoot(name, mu, products, updates) for name in ("momentum", "nesterov_lookahead")
        ]
        for a, momentum, nesterov in zip(products.tolist(), *found, strict=True):
            rows.append(
                {
                    "momentum": mu,
                    "lr_times_curvature": a,
                    "momentum_overshoot": float(momentum),
                    "nesterov_overshoot": float(nesterov),
                }
            )
    return rows


def swings(mu: float, product: float, updates: int) -> Row:
    """The farthest that w is from the minimum in the first and the last 100 updates."""
    w = path("momentum", lambda w: product * w, np.ones(1), [1.0] * updates, mu)[:, 0]
    return {
        "momentum": mu,
        "lr_times_curvature": product,
        "updates": updates,
        "first_100": float(np.abs(w[1:101]).max()),
        "last_100": float(np.abs(w[-100:]).max()),
    }


def gradients_an_update(name: str) -> float:
    """Gradients of the batch that `fit` takes for one update."""
    rng = np.random.default_rng(0)
    split = nn.Split(rng.random((32, 6)), rng.integers(0, 3, 32))
    (record,) = nn.fit(nn.MLP([6, 4, 3]), name, nn.mini_batch(split, 8), epochs=1)
    return record.examples / record.update / 8


def costs(sizes: Sequence[int], rounds: int) -> list[Row]:
    """Milliseconds of an update, median and quartiles, one of each optimizer in turn."""
    model = nn.MLP(sizes)
    rng = np.random.default_rng(0)
    x = rng.random((BATCH, sizes[0]), np.float32)
    labels = rng.integers(0, sizes[-1], BATCH)
    optimizers = {name: nn.OPTIMIZERS[name](lr=1e-6) for name in COSTED}
    weights = {name: model.w.copy() for name in COSTED}
    states: dict[str, nn.State] = {
        name: optimizer.init(model.w) for name, optimizer in optimizers.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*COSTED, "gradient")}
    for _ in range(rounds):
        began = time.perf_counter()
        model.loss_and_grad(x, labels)
        seconds["gradient"].append(time.perf_counter() - began)
        for k in rng.permutation(len(COSTED)):
            name = COSTED[k]
            began = time.perf_counter()
            optimizers[name].update(weights[name], model.dw, states[name])
            seconds[name].append(time.perf_counter() - began)
    rows = []
    for name in COSTED:
        low, median, high = np.quantile(seconds[name], [0.25, 0.5, 0.75]) * 1e3
        rows.append(
            {
                "optimizer": name,
                "weights": len(model.w),
                "updates": rounds,
                "gradients_an_update": gradients_an_update(name),
                "ms_an_update": float(median),
                "ms_quartile_1": float(low),
                "ms_quartile_3": float(high),
                "ms_a_gradient": statistics.median(seconds["gradient"]) * 1e3,
                "state_bytes_a_weight": nbytes(states[name]) / len(model.w),
            }
        )
    return rows


def by_update(rows: Sequence[Row], column: str) -> dict[int, Array]:
    """The values of a column over the seeds, for each update after the drop."""
    found: dict[int, list[float]] = {}
    for row in rows:
        found.setdefault(int(row["updates_after_drop"]), []).append(row[column])
    return {update: np.array(values) for update, values in sorted(found.items())}


def theory_apart(step: float, updates: Array) -> Array:
    """How far the old velocity carries one form beyond the other."""
    apart: Array = (1 - DROP) * step * MU * (1 - MU**updates) / (1 - MU)
    return apart


def tenth(rows: Sequence[Row], mu: float) -> int:
    """The first update after which less than a tenth is left."""
    return next(int(row["updates"]) for row in rows if row["momentum"] == mu and row["left"] < 0.1)


def say_parting(rows: Sequence[Row]) -> list[str]:
    seeds = len({row["seed"] for row in rows})
    apart = by_update(rows, "apart")
    steps = {name: by_update(rows, f"{name}_step") for name in FORMS}
    losses = {name: by_update(rows, f"{name}_val_loss") for name in FORMS}
    earlier = max(float(apart[k].max()) for k in apart if k <= 0)
    ratios = {k: float(steps["momentum"][k].mean() / steps["heavy_ball"][k].mean()) for k in apart}
    late = [k for k in ratios if k > 0 and ratios[k] > 1.1]
    farthest = max(apart, key=lambda k: float(apart[k].mean()))
    lag = losses["momentum"][10] - losses["heavy_ball"][10]
    end = max(losses["momentum"])
    last = losses["momentum"][end] - losses["heavy_ball"][end]
    return [
        f"Until lr drops from {LR:g} to {LR * DROP:g}, the two forms are one: their weights are "
        f"at most {earlier:.1g} apart, while one step is {steps['momentum'][0].mean():.2g} long "
        f"(double precision, {seeds} seeds).",
        f"In the first update after the drop momentum still steps {ratios[1]:.1f} times as far as "
        f"heavy_ball, and more than 1.1 times as far for {max(late, default=0)} updates; "
        f"{glide(1)} are to be expected if all gradients point the same way, and {glide(2)} if "
        f"each points another way.",
        f"They part by {apart[farthest].mean() / steps['momentum'][0].mean():.1f} steps of the old "
        f"size, reached {farthest} updates after the drop; the old velocity alone gives "
        f"{(1 - DROP) * MU / (1 - MU):.1f}. At {end} updates they are still "
        f"{apart[end].mean() / steps['momentum'][0].mean():.1f} apart.",
        f"What it does to the loss on 1,000 validation images: ten updates after the drop "
        f"momentum's is {signed(lag)} that of heavy_ball, and at {end} updates {signed(last)} "
        f"(mean and standard deviation over {seeds} seeds).",
    ]


def glide(power: int) -> int:
    """For how many updates momentum's step should be 1.1 times heavy_ball's, or more.

    Old velocity and new gradients add up as lengths if they point the same way (power 1), and as
    squares if they point anywhere (power 2).
    """
    excess, enough = DROP**-power - 1, 1.1**power - 1
    return next(k - 1 for k in itertools.count(1) if excess * MU ** (power * k) < enough)


def signed(differences: Array) -> str:
    mean, spread = (
        float(differences.mean()),
        float(differences.std(ddof=min(1, len(differences) - 1))),
    )
    side = "above" if mean > 0 else "below"
    return f"{abs(mean):.4f} (sd {spread:.4f}) {side}"


def say_memory(rows: Sequence[Row], errors: Sequence[Row]) -> list[str]:
    left = {(row["momentum"], row["updates"]): row["left"] for row in rows}
    off = max(row["from_mu_to_the_t"] for row in errors)
    summed = max(row["from_the_unrolled_sum"] for row in errors)
    counts = ", ".join(f"{tenth(rows, mu)} at {mu:g}" for mu in MUS)
    taught = "as taught" if tenth(rows, MU) == 22 else "where 22 is taught"
    return [
        f"At momentum {MU:g} the influence of one gradient is {left[MU, 21]:.4f} after 21 updates "
        f"and {left[MU, 22]:.4f} after 22: it falls below a tenth at {tenth(rows, MU)}, {taught}.",
        f"It falls below a tenth after {counts}; it is mu^t of the first step, to {off:.0e}.",
        f"With random gradients the velocity is the unrolled sum to {summed:.0e}.",
    ]


def say_overshoot(rows: Sequence[Row]) -> list[str]:
    said = []
    for mu in SWUNG:
        mine = [row for row in rows if row["momentum"] == mu]
        near = min(mine, key=lambda row: abs(np.log(row["lr_times_curvature"] / 0.1)))
        top = {
            name: max(mine, key=lambda row: row[f"{name}_overshoot"])
            for name in ("momentum", "nesterov")
        }
        not_half = [
            row["lr_times_curvature"]
            for row in mine
            if row["nesterov_overshoot"] > row["momentum_overshoot"] / 2
        ]
        half = (
            f"at most half as far above {max(not_half):.2g}" if not_half else "at most half as far"
        )
        worse = [
            row for row in mine if row["nesterov_overshoot"] > row["momentum_overshoot"] + 0.001
        ]
        said.append(
            f"Momentum {mu:g}, lr times curvature {near['lr_times_curvature']:.2g}: momentum "
            f"swings {near['momentum_overshoot']:.1%} of the way beyond the minimum, Nesterov "
            f"{near['nesterov_overshoot']:.1%}. At most they swing "
            f"{top['momentum']['momentum_overshoot']:.0%} and "
            f"{top['nesterov']['nesterov_overshoot']:.0%}; Nesterov swings {half}, and farther "
            f"than momentum at {len(worse)} of {len(mine)} rates."
        )
    return said


def say_swings(rows: Sequence[Row]) -> list[str]:
    damped, undamped = rows
    ends = "ends" if undamped["last_100"] < undamped["first_100"] / 2 else "never ends"
    return [
        f"Without decay of the velocity the swing {ends}: in the first 100 updates w goes to "
        f"{undamped['first_100']:.2f} times its start, and in the last 100 of "
        f"{undamped['updates']:,.0f} to {undamped['last_100']:.2f} times; with momentum "
        f"{damped['momentum']:g} to {damped['last_100']:.0e} times."
    ]


def say_costs(rows: Sequence[Row]) -> list[str]:
    of = {row["optimizer"]: row for row in rows}
    base = of["momentum"]["ms_an_update"]
    gradient = of["momentum"]["ms_a_gradient"]
    more = {name: of[name]["ms_an_update"] / base - 1 for name in COSTED[2:]}
    share = {name: (of[name]["ms_an_update"] - base) / (gradient + base) for name in COSTED[2:]}
    counts = ", ".join(f"{name} {of[name]['gradients_an_update']:g}" for name in COSTED)
    dearer = [name for name in COSTED if of[name]["gradients_an_update"] > 1]
    verdict = (
        "that Nesterov needs more gradients does not hold"
        if not dearer
        else f"{', '.join(dearer)} need more"
    )
    times = "; ".join(
        f"{name} {of[name]['ms_an_update']:.2f} ms ({more[name]:+.0%}, {share[name]:+.1%} of a "
        f"whole training step)"
        for name in COSTED[2:]
    )
    arrays = ", ".join(f"{name} {of[name]['state_bytes_a_weight']:g}" for name in COSTED)
    return [
        f"Gradients an update: {counts}; {verdict}.",
        f"An update of {of['momentum']['weights']:,.0f} weights takes momentum {base:.2f} ms; "
        f"{times}. The gradient of {BATCH} images takes {gradient:.1f} ms (medians of "
        f"{of['momentum']['updates']:.0f}, one of each in turn).",
        f"Bytes of state for a weight of 4 bytes: {arrays}.",
    ]


def draw_parting(rows: Sequence[Row]) -> "Figure":
    figure, (left, right) = blank()
    rates = [LR] * 8 + [LR * DROP] * 60
    for name in FORMS:
        w = path(name, lambda w: 1.0 * w, np.ones(1), rates, MU)
        left.plot(np.arange(len(w)) - 8, w, color=LOOKS[name].color, label=name)
        steps = by_update(rows, f"{name}_step")
        means = [values.mean() for values in steps.values()]
        right.plot(list(steps), means, color=LOOKS[name].color, label=f"step of {name}")
    left.axhline(0, color="grey", lw=0.8)
    left.set(
        xlabel="updates after the drop of lr",
        ylabel="w",
        title="on a parabola",
    )
    apart = by_update(rows, "apart")
    after = np.array([k for k in apart if k > 0])
    step = float(by_update(rows, "momentum_step")[0].mean())
    right.plot(after, [apart[k].mean() for k in after], color=COLORS[2], label="distance of both")
    right.plot(after, theory_apart(step, after), "k:", label="distance by the old velocity alone")
    right.set(
        xlabel="updates after the drop of lr",
        ylabel="Euclidean norm, over all weights",
        yscale="log",
        title="in a network",
    )
    for one in (left, right):
        one.axvline(0, color="grey", ls="--", lw=0.8)
        one.legend(fontsize=8)
    return figure


def draw_memory(rows: Sequence[Row]) -> "Figure":
    figure, (axes,) = blank(1, 1)
    for k, mu in enumerate(MUS):
        mine = [row for row in rows if row["momentum"] == mu and row["updates"] > 0]
        updates = [row["updates"] for row in mine]
        axes.plot(updates, [row["theory"] for row in mine], "k-", lw=0.8)
        axes.plot(
            updates,
            [row["left"] for row in mine],
            "o",
            ms=4,
            color=COLORS[k],
            label=f"momentum {mu:g}: below a tenth after {tenth(rows, mu)}",
        )
    axes.axhline(0.1, color="grey", ls="--", lw=0.8)
    axes.set(
        xlabel="updates since the gradient",
        ylabel="part of its first step that is left",
        xscale="log",
    )
    axes.legend(fontsize=8, loc="upper right")
    return figure


def draw_overshoot(rows: Sequence[Row]) -> "Figure":
    figure, (left, right) = blank()
    for name, label in (("momentum", "momentum"), ("nesterov_lookahead", "nesterov")):
        w = path(name, lambda w: 0.1 * w, np.ones(1), [1.0] * 80, MU)
        left.plot(w, color=LOOKS[label].color, label=label)
    w = path("momentum", lambda w: 0.1 * w, np.ones(1), [1.0] * 80, UNDAMPED)
    left.plot(w, ":", color="grey", label="without decay")
    left.axhline(0, color="grey", lw=0.8)
    left.set(xlabel="updates", ylabel="w", title="momentum 0.9, lr times curvature 0.1")
    left.legend(fontsize=8, loc="upper right", bbox_to_anchor=(1.0, 0.9))
    for mu, dashes in zip(SWUNG, (":", "-", "--"), strict=True):
        _overshoot_lines(right, [row for row in rows if row["momentum"] == mu], mu, dashes)
    right.set(
        xlabel="lr times curvature",
        ylabel="overshoot / distance at the start",
        xscale="log",
        title="the farthest swing beyond the minimum",
    )
    right.legend(fontsize=7, loc="upper left")
    return figure


def _overshoot_lines(axes: "Axes", rows: Sequence[Row], mu: float, dashes: str) -> None:
    for name in ("momentum", "nesterov"):
        axes.plot(
            [row["lr_times_curvature"] for row in rows],
            [row[f"{name}_overshoot"] for row in rows],
            dashes,
            color=LOOKS[name].color,
            label=f"{name} {mu:g}",
        )
    for onset, name in (
        ((1 - mu**0.5) ** 2, "momentum"),
        (((1 - mu) / (1 + mu)) ** 2, "nesterov"),
    ):
        axes.plot([onset], [0], "|", ms=12, color=LOOKS[name].color)


def main(lab: Lab) -> None:
    data = lab.data(limit=lab.pick(10_000, fast=1_000))
    seeds, half = lab.pick(5, fast=1), lab.pick(150, fast=30)
    parted = [row for seed in range(seeds) for row in parting(data, seed, half)]
    lab.table(parted, "parting")
    remembered = [row for mu in MUS for row in memory(mu, 250)]
    lab.table(remembered, "memory")
    swung = overshoots(np.logspace(-5, 0, lab.pick(101, fast=21)), lab.pick(3_000, fast=300))
    lab.table(swung, "overshoot")
    cost = costs([784, 1000, 10], lab.pick(400, fast=20))
    lab.table(cost, "cost")
    errors = [deviations(mu) for mu in MUS]
    lab.table(errors, "deviations")
    swung_long = [swings(mu, 0.1, lab.pick(10_000, fast=1_000)) for mu in (MU, UNDAMPED)]
    lab.table(swung_long, "decay")
    for sentence in (
        *say_parting(parted),
        *say_memory(remembered, errors),
        *say_overshoot(swung),
        *say_swings(swung_long),
        *say_costs(cost),
    ):
        lab.say(sentence)
    lab.draw(
        draw_parting(parted),
        f"lr falls from {LR:g} to {LR * DROP:g} at update 0, momentum {MU:g}. Left: a parabola of "
        f"curvature 1. Right: step lengths and distance of two networks "
        f"{'-'.join(map(str, network(data)))}, means of {seeds} seeds; the last batch of an epoch "
        f"has {len(data.train) % BATCH or BATCH} images.",
        "parting",
    )
    lab.draw(
        draw_memory(remembered),
        "What is left of the step that a single gradient made (points), and mu^t (lines); the "
        "dashed line is a tenth. Deterministic, one run for each momentum.",
        "memory",
    )
    lab.draw(
        draw_overshoot(swung),
        "Swings on a parabola from w = 1, Nesterov's at the point that it reads out. Right: for "
        "three momenta; the ticks at the bottom are where theory lets each begin to swing. "
        "Deterministic, one run for each point.",
        "overshoot",
    )


if __name__ == "__main__":
    sys.exit(run(main))
