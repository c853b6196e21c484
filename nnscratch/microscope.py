"""One weight of a network under the microscope: what an optimizer makes of it, line by line."""

import ast
import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .datasets import load_dataset
from .divergence import check_loss
from .errors import UsageError
from .formula import NoFormula, Rule, array_names, formula, names, number_names
from .hyper import Interval, as_part, checked, values
from .loaders import Loader, mini_batch
from .loop import check_supplied, take_gradient
from .model import MLP
from .optim import OPTIMIZERS, Elementwise, Optimizer
from .optim.base import leaves
from .progress import Progress
from .slots import Slot, arrays_to_update, end_update, update_all

if TYPE_CHECKING:  # matplotlib takes 0.4 s to import, and only those who draw need it
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Line:
    """An assignment of a rule, as it was for one weight in one step.

    values     of the names that it assigns to
    matters    whether it makes a quantity, moves w, or gave dw another value than it had
    text       the assignment, then with numbers for the names, then its value
    """

    values: dict[str, float]
    matters: bool
    text: str


@dataclass(frozen=True)
class Trace:
    """What became of one weight.

    optimizer     its name and hyper-parameters
    weight        which one: W1[406, 17]
    rows          for each step t, w, g, the optimizer's own quantities, and by how much w moved
    lines         for each step the lines of the rule; none of one that is not a formula

    w is the weight before the step, g the gradient that the network gave there. The quantities have
    the names of the rule, and its order; of an optimizer without a formula they are the arrays of
    its state after the step. A line that never changes dw, as that of a weight decay of 0, is
    left out.

    >>> model, loader = nn.MLP([2, 2], init="zeros"), nn.batch(nn.Split(np.eye(2), np.arange(2)))
    >>> trace = nn.microscope("momentum", 2, model=model, loader=loader, weight=("W1", 0, 0))
    >>> trace.rows[0]["g"]
    -0.25
    >>> print(trace.written(2))             # the formula of the second step with its numbers
    v = momentum * v - lr * dw
      = 0.9 * 0.00025 - 0.001 * (-0.2499)
      = 0.0004749
    w = w + v
      = 0.00025 + 0.0004749
      = 0.0007249
    """

    optimizer: str
    weight: str
    rows: list[dict[str, float]]
    lines: list[list[Line]]

    def __str__(self) -> str:
        """The table, a line for each step."""
        heads = list(self.rows[0])
        cells = [heads, *([f"{row[head]:.4g}" for head in heads] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        table = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in cells
        ]
        return "\n".join([f"{self.weight} under {self.optimizer}", *table])

    def written(self, step: int) -> str:
        """The formula of one step, counted from 1, and below each line the same with numbers.

        Raises UsageError for a step that was not traced.
        """
        steps = Interval(f"[1, {len(self.rows)}]")
        step = checked("step", step, int, steps, "give one of the steps that were traced")
        return "\n".join(line.text for line in self.lines[step - 1])

    def figure(self) -> "Figure":
        """A panel for each quantity, against the steps."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        heads = [head for head in self.rows[0] if head != "t"]
        height = -(-len(heads) // 2)
        figure = Figure(figsize=(9, 1.2 + 1.6 * height), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        steps = [row["t"] for row in self.rows]
        for k, head in enumerate(heads, start=1):
            axes = figure.add_subplot(height, 2, k)
            axes.plot(steps, [row[head] for row in self.rows], ".-", color="#0072B2", ms=4, lw=1)
            axes.axhline(0, color="#999999", lw=0.8, zorder=0)
            axes.set_ylabel(head)
            axes.ticklabel_format(axis="y", scilimits=(-2, 3))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.set_xlabel("step" if k > len(heads) - 2 else "")
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        figure.suptitle(f"{self.weight} under {self.optimizer}", fontsize=9)
        return figure


def microscope(
    optimizer: str | Optimizer,
    steps: int = 10,
    *,
    model: MLP | None = None,
    loader: Loader | None = None,
    weight: tuple[Any, ...] | None = None,
) -> Trace:
    """Train a copy of a network for a few steps, and tell what the optimizer does to one weight.

    >>> model, loader = nn.MLP([2, 2], init="zeros"), nn.batch(nn.Split(np.eye(2), np.arange(2)))
    >>> print(nn.microscope("momentum", 2, model=model, loader=loader, weight=("W1", 0, 0)))
    W1[0, 0] under momentum: lr 0.001, momentum 0.9, weight_decay 0
    t        w        g          v      moved
    1        0    -0.25    0.00025    0.00025
    2  0.00025  -0.2499  0.0004749  0.0004749

    The network is 784-1000-10 and learns MNIST in batches of 128, where none is given. The weight
    is a place in one of `model.parameters`, such as ("W1", 406, 17); where none is given, that
    of W1 whose first gradient is the largest. A step is one call of `update`.

    Model and loader stay as they are. Raises UsageError for a place that there is not, and for an
    optimizer that trains no network; DivergedError before the step that a loss beyond all bounds
    would lead to.
    """
    optimizer = as_part(Optimizer, OPTIMIZERS, optimizer)  # type: ignore[type-abstract]
    steps = checked("steps", steps, int, Interval("[1, inf)"), "give a number of updates")
    check_supplied(optimizer)
    if not isinstance(loader, Loader | None):
        raise UsageError(f"loader is {loader!r}", "give a loader, such as mini_batch(split)")
    loader = mini_batch(load_dataset().train) if loader is None else copy.copy(loader)
    if model is None:
        model = MLP([loader.split.x.shape[1], 1000, int(loader.split.labels.max()) + 1])
    model = copy.deepcopy(model)
    place = None if weight is None else _place(model, weight)
    slots = [Slot(w, dw, optimizer.init(w)) for w, dw in arrays_to_update(model, optimizer)]
    progress = Progress(seed=model.seed, states=[slot.state for slot in slots])
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    (x, labels), due, gradients = next(batches), slots, 0  # gradients of this batch
    rows: list[dict[str, float]] = []
    formulas: list[list[Line]] = []
    for t in range(1, steps + 1):
        with np.errstate(over="ignore", invalid="ignore"):  # checked for here, by name
            loss = take_gradient(model, slots, optimizer, x, labels, progress)
            check_loss(loss, progress, model, optimizer, x)
        progress.update, gradients = t, gradients + 1
        if place is None:
            place = int(np.abs(model.parameters[0].dw).argmax())
        slot, k = _slot_of(model, slots, place)
        row = {"t": t, "w": float(slot.w.flat[k]), "g": float(slot.dw.flat[k])}
        formulas.append(_lines(optimizer, slot, k))
        update_all(due, optimizer)
        row |= {} if formulas[-1] else _state(slot, k)
        rows.append(row | {"moved": float(slot.w.flat[k]) - row["w"]})
        due = [one for one in slots if optimizer.same_batch(one.state)]
        if not due:
            end_update(model, slots, optimizer)
            progress.examples, gradients = progress.examples + gradients * len(labels), 0
            (x, labels), due = next(batches), slots
    kept = [j for j, same in enumerate(zip(*formulas, strict=True)) if any(x.matters for x in same)]
    lines = [[step[j] for j in kept] for step in formulas]
    settings = ", ".join(_settings(optimizer))
    return Trace(
        optimizer=f"{optimizer.full_name}: {settings}" if settings else optimizer.full_name,
        weight=_name(model, place or 0),
        rows=[_with_quantities(row, step) for row, step in zip(rows, lines, strict=True)],
        lines=lines,
    )


def line_by_line(
    rule: Rule, arrays: Mapping[str, np.generic], numbers: Mapping[str, float]
) -> list[Line]:
    """The assignments of a rule, one after the other, for arrays of one element each.

    They are those of the rule's source, so that no formula stands here a second time.
    """
    known: dict[str, Any] = {"np": np} | dict(arrays) | dict(numbers)
    lines = []
    for assignment in _assignments(rule):
        with_numbers = ast.unparse(_Numbers(known).visit(copy.deepcopy(assignment.value)))
        before = dict(known)
        exec(compile(ast.Module([assignment], []), rule.__qualname__, "exec"), known)
        assigned = sorted(names(list(assignment.targets)))
        values = {name: float(known[name]) for name in assigned}
        shown = ", ".join(f"{value:.4g}" for value in values.values())
        target = " = ".join(map(ast.unparse, assignment.targets))
        indent = "\n" + " " * (len(target) + 1)
        lines.append(
            Line(
                values,
                assigned != ["dw"] or before["dw"] != known["dw"],
                f"{target} = {ast.unparse(assignment.value)}{indent}= {with_numbers}"
                f"{indent}= {shown}",
            )
        )
    return lines


def _assignments(rule: Rule) -> list[ast.Assign]:
    """Those of the rule, and those that its return makes: return w - lr * dw is w = w - lr * dw."""
    taken = formula(rule)
    values = taken.returned.elts if isinstance(taken.returned, ast.Tuple) else [taken.returned]
    ends = [
        (ast.Name(name, ast.Store()), value)
        for name, value in zip((taken.arrays[0], *taken.arrays[2:]), values, strict=True)
        if ast.unparse(value) != name
    ]
    if not ends:
        return list(taken.assignments)
    targets, values = [target for target, _ in ends], [value for _, value in ends]
    last = (
        ast.Assign([targets[0]], values[0])
        if len(ends) == 1
        else ast.Assign([ast.Tuple(list(targets), ast.Store())], ast.Tuple(values, ast.Load()))
    )
    return [*taken.assignments, ast.fix_missing_locations(last)]


class _Numbers(ast.NodeTransformer):
    """Puts numbers in the place of names."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return node if node.id == "np" else ast.Name(self._text(node.id), node.ctx)

    def _text(self, name: str) -> str:
        text = f"{float(self._known[name]):.4g}"
        return f"({text})" if text.startswith("-") else text


def _lines(optimizer: Optimizer, slot: Slot, k: int) -> list[Line]:
    """The rule of the next update for one element; none where it is not a formula."""
    if not isinstance(optimizer, Elementwise):
        return []
    arrays = {"w": slot.w, "dw": slot.dw} | slot.state
    state = slot.state | {"t": slot.state["t"] + 1}  # as the update itself will count
    numbers = values(optimizer) | optimizer.scalars(state)
    try:
        return line_by_line(
            optimizer.rule,
            {name: arrays[name].flat[k] for name in array_names(optimizer.rule)},
            {name: float(numbers[name]) for name in number_names(optimizer.rule)},
        )
    except NoFormula:
        return []


def _state(slot: Slot, k: int) -> dict[str, float]:
    """The element in each array of the state that is like w."""
    return {
        name: float(array.flat[k])
        for name, array in leaves(slot.state)
        if isinstance(array, np.ndarray) and array.shape == slot.w.shape
    }


def _with_quantities(row: dict[str, float], lines: Sequence[Line]) -> dict[str, float]:
    """The row, and before its end what the lines assign to."""
    quantities = {name: value for line in lines for name, value in line.values.items()}
    quantities.pop("w", None)  # where it is after the step, the next row tells
    moved = row.pop("moved")
    return row | quantities | {"moved": moved}


def _settings(optimizer: Optimizer, prefix: str = "") -> list[str]:
    """The hyper-parameters, and those of the optimizer inside: "lr 0.1", "base.momentum 0.9"."""
    inner = getattr(optimizer, "base", None)
    mine = [f"{prefix}{name} {value:g}" for name, value in values(optimizer).items()]
    return mine + (_settings(inner, f"{prefix}base.") if isinstance(inner, Optimizer) else [])


def _place(model: MLP, weight: tuple[Any, ...]) -> int:
    """Where in model.w the weight lies."""
    start = 0
    for parameter in model.parameters:
        if weight and parameter.name == weight[0]:
            shape, index = parameter.w.shape, weight[1:]
            whole = all(isinstance(i, int | np.integer) for i in index)
            if (
                len(index) == len(shape)
                and whole
                and (np.array(index) >= 0).all()
                and (np.array(index) < shape).all()
            ):
                return start + int(np.ravel_multi_index(index, shape))
        start += parameter.w.size
    places = ", ".join(f"{one.name} {list(one.w.shape)}" for one in model.parameters)
    raise UsageError(
        f"there is no weight {weight!r}", f"give a name and a place in it, counted from 0: {places}"
    )


def _name(model: MLP, place: int) -> str:
    """W1[406, 17]."""
    for parameter in model.parameters:
        if place < parameter.w.size:
            index = np.unravel_index(place, parameter.w.shape)
            return f"{parameter.name}[{', '.join(map(str, map(int, index)))}]"
        place -= parameter.w.size
    raise AssertionError(place)


def _slot_of(model: MLP, slots: Sequence[Slot], place: int) -> tuple[Slot, int]:
    """The slot whose array holds that weight, and the place in it."""
    address = model.w.ctypes.data + place * model.w.itemsize
    for slot in slots:
        k = (address - slot.w.ctypes.data) // slot.w.itemsize
        if 0 <= k < slot.w.size:
            return slot, k
    raise AssertionError(place)
