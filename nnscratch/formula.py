"""The formula of an element-wise rule, read from its source, and what it may contain.

    def rule(w, dw, m, *, lr, beta):        # arrays before the star, plain numbers behind it
        m = beta * m + (1 - beta) * dw
        w = w - lr * m
        return w, m                         # the new value of every array but dw

Assignments with = and one return; arithmetic, comparisons, NumPy's universal functions (np.sqrt,
np.maximum, ...) and np.where. What would look at more than one element, such as np.mean, w[0] or
w @ m, is refused: the engines run the rule on parts of an array, and it would mean something else
in each. So is a statement, such as if, that no array can decide.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from .errors import UsageError

Rule = Callable[..., Any]


class NoFormula(Exception):
    """A rule that only Python itself can run; the text says why."""


@dataclass(frozen=True)
class Formula:
    """A rule taken apart: the names in its signature, its assignments, and what it returns."""

    arrays: tuple[str, ...]  # w, dw, and then the slots
    numbers: tuple[str, ...]
    assignments: tuple[ast.Assign, ...]
    returned: ast.expr


@cache
def array_names(rule: Rule) -> tuple[str, ...]:
    """The arrays of a rule, as its signature names them: w, dw, and then its slots."""
    parameters = inspect.signature(rule).parameters.values()
    return tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)


@cache
def number_names(rule: Rule) -> tuple[str, ...]:
    """The numbers of a rule, as its signature names them: everything behind the star."""
    parameters = inspect.signature(rule).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def formula(rule: Rule) -> Formula:
    """The formula of a rule.

    Raises NoFormula for a rule whose source cannot be read or that uses names from outside, and
    UsageError for one that holds what the head of this file excludes.
    """
    try:
        function = ast.parse(textwrap.dedent(inspect.getsource(rule))).body[0]
    except (OSError, TypeError, SyntaxError):
        raise NoFormula("its source cannot be read; put it into a file") from None
    if not isinstance(function, ast.FunctionDef):
        raise NoFormula("it is not written with def")
    *statements, last = function.body[rule.__doc__ is not None :]
    for node in [*statements, *(n for s in function.body for n in ast.walk(s))]:
        if reason := _refusal(node, is_statement=node in statements):
            raise UsageError(
                f"{rule.__qualname__} {reason}",
                "write it with =, np.where and NumPy's functions of single elements; "
                "or derive from nn.Optimizer and write update",
            )
    assignments = tuple(s for s in statements if isinstance(s, ast.Assign))
    if not isinstance(last, ast.Return) or not last.value:
        raise UsageError(f"{rule.__qualname__} does not end with return", "return w and its slots")
    arrays, numbers = array_names(rule), number_names(rule)
    values = last.value.elts if isinstance(last.value, ast.Tuple) else [last.value]
    if len(values) != len(arrays) - 1:
        raise UsageError(
            f"{rule.__qualname__} returns {len(values)} values",
            f"return {', '.join([arrays[0], *arrays[2:]])}: the new w and its slots; "
            "numbers stand behind a star in the signature",
        )
    assigned = {name for assignment in assignments for name in names(assignment.targets)}
    known = {*arrays, *numbers, *assigned, "np"}
    if unknown := sorted(names(function.body) - known):
        raise NoFormula(f"it uses {', '.join(unknown)} from outside")
    if clash := sorted(assigned & {*numbers, "np"}):
        raise NoFormula(f"it assigns to {', '.join(clash)}")
    return Formula(arrays, numbers, assignments, last.value)


def names(nodes: ast.AST | list[Any]) -> set[str]:
    """All names in a piece of source, annotations not counted."""
    nodes = nodes if isinstance(nodes, list) else [nodes]
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}


def _refusal(node: ast.AST, is_statement: bool) -> str | None:
    """Why this piece of source has no place in a formula, if it has none."""
    if is_statement and not isinstance(node, ast.Assign):
        return f"has a line that is no assignment: {ast.unparse(node).splitlines()[0]}"
    if isinstance(node, ast.Call) and not _is_universal(node.func):
        return f"calls {ast.unparse(node.func)}, which is no function of single elements"
    if isinstance(node, ast.Subscript | ast.MatMult):
        return "takes elements of an array or multiplies matrices"
    return None


def _is_universal(function: ast.expr) -> bool:
    """Whether it is np.where, np.clip, or one of NumPy's universal functions."""
    if not (isinstance(function, ast.Attribute) and names(function.value) == {"np"}):
        return False
    universal = isinstance(getattr(np, function.attr, None), np.ufunc)
    return universal or function.attr in ("where", "clip")
