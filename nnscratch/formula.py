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
from tokenize import TokenError
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
    *statements, last = body = _body(rule)
    for statement in statements:
        line = ast.unparse(statement).splitlines()[0]
        if isinstance(statement, ast.AugAssign):
            target, operator = ast.unparse(statement.target), line.split("=")[0].split()[-1]
            longhand = f"{target} = {target} {operator} {ast.unparse(statement.value)}"
            raise UsageError(
                f"{rule.__qualname__} changes an array in place: {line}", f"write {longhand}"
            )
        if not isinstance(statement, ast.Assign):
            raise _refusal(rule, f"has a line that is no assignment: {line}")
    if not isinstance(last, ast.Return) or last.value is None:
        raise _refusal(rule, "does not end with return")
    for node in (node for statement in body for node in ast.walk(statement)):
        if isinstance(node, ast.Call) and not _is_elementwise(node.func):
            call = ast.unparse(node.func)
            raise _refusal(rule, f"calls {call}, which is no function of single elements")
        where = isinstance(node, ast.Call) and ast.unparse(node.func) == "np.where" and node
        if where and (len(where.args) != 3 or where.keywords):
            raise _refusal(rule, "calls np.where with other than three arguments")
        if isinstance(node, ast.Subscript | ast.MatMult):
            raise _refusal(rule, "takes elements of an array or multiplies matrices")

    arrays, numbers = array_names(rule), number_names(rule)
    values = last.value.elts if isinstance(last.value, ast.Tuple) else [last.value]
    if len(values) != len(arrays) - 1:
        wanted = ", ".join([arrays[0], *arrays[2:]])
        raise _refusal(rule, f"returns {len(values)} values and not the new {wanted}")
    assignments = tuple(s for s in statements if isinstance(s, ast.Assign))
    if "np" in names(body) and "np" not in rule.__globals__:
        raise UsageError(f"{rule.__qualname__} uses np, which its file lacks", "import numpy as np")
    assigned = {name for assignment in assignments for name in names(assignment.targets)}
    if outside := sorted(names(body) - {*arrays, *numbers, *assigned, "np"}):
        raise NoFormula(f"it uses {', '.join(outside)} from outside")
    if clash := sorted(assigned & {*numbers, "np"}):
        raise NoFormula(f"it assigns to {', '.join(clash)}")
    return Formula(arrays, numbers, assignments, last.value)


def names(nodes: ast.AST | list[Any]) -> set[str]:
    """All names in a piece of source."""
    nodes = nodes if isinstance(nodes, list) else [nodes]
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}


def _body(rule: Rule) -> list[ast.stmt]:
    """The statements of the rule, without its docstring."""
    try:
        function = ast.parse(textwrap.dedent(inspect.getsource(rule))).body[0]
    except (OSError, TypeError, SyntaxError, TokenError):  # the last two: the file is another now
        raise NoFormula("its source cannot be read; put it into a file") from None
    if not isinstance(function, ast.FunctionDef):
        raise NoFormula("it is not written with def")
    return function.body[rule.__doc__ is not None :]


def _refusal(rule: Rule, what: str) -> UsageError:
    return UsageError(
        f"{rule.__qualname__} {what}",
        "write rule(w, dw, slots, *, numbers) with =, np.where, NumPy's functions of single "
        "elements, and return w and the slots; or derive from nn.Optimizer and write update",
    )


def _is_elementwise(function: ast.expr) -> bool:
    """Whether it is np.where, np.clip, or one of NumPy's universal functions of elements."""
    if not (isinstance(function, ast.Attribute) and names(function.value) == {"np"}):
        return False
    universal = getattr(np, function.attr, None)
    of_elements = isinstance(universal, np.ufunc) and universal.signature is None  # not np.matmul
    return of_elements or function.attr in ("where", "clip")
