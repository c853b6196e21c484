"""From the formula of a rule to one compiled loop, by way of a source file that can be read.

    def rule(w, dw, m, *, lr, beta):        def loop(_w, _dw, _m, lr, beta):
        m = beta * m + (1 - beta) * dw          _number = _w.dtype.type
        w = w - lr * m                          _n0 = _number(beta)
        return w, m                             _n1 = _number(1 - beta)
                                                _n2 = _number(lr)
                                                for _i in range(_w.size):
                                                    w = _w[_i]; dw = _dw[_i]; m = _m[_i]
                                                    m = _n0 * m + _n1 * dw
                                                    w = w - _n2 * m
                                                    _w[_i], _m[_i] = w, m

What concerns numbers alone is computed once, before the loop, in double precision, and then
rounded to the dtype of the arrays. That is what NumPy does with Python floats, and it keeps the
loop in single precision: with the numbers left as they are, numba computes every element in
double precision and takes three times as long.

The file lies in the user's cache, under a name that contains the hash of its text, and numba keeps
the machine code beside it. An edited formula is another text, hence another file.
"""

import ast
import hashlib
import importlib.util
import inspect
import re
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .cache import user_cache


class NotCompilable(Exception):
    """A rule that cannot become a compiled loop; the text says why."""


def compile_loop(
    rule: Callable[..., Any], arrays: tuple[str, ...], numbers: tuple[str, ...], dtype: DTypeLike
) -> Callable[..., None]:
    """A function loop(*arrays, *numbers) that applies the rule to 1-D arrays of that dtype.

    Raises NotCompilable where numba cannot compile the rule.
    """
    text = loop_source(rule, arrays, numbers)
    module_name = re.sub(r"\W", "_", rule.__qualname__) + "_" + _digest(text)
    examples = [*(np.empty(0, dtype) for _ in arrays), *(1.0 for _ in numbers)]
    try:
        return _load(user_cache() / "loops", module_name, text, examples)
    except (OSError, RuntimeError):  # a cache that cannot be written; RuntimeError is numba's
        return _load(Path(tempfile.mkdtemp(prefix="nnscratch-")), module_name, text, examples)


def loop_source(rule: Callable[..., Any], arrays: tuple[str, ...], numbers: tuple[str, ...]) -> str:
    """The text of a Python module that holds the loop; raises NotCompilable."""
    try:
        function = ast.parse(textwrap.dedent(inspect.getsource(rule))).body[0]
    except (OSError, SyntaxError) as error:
        raise NotCompilable(f"its source cannot be read ({error})") from None
    if not isinstance(function, ast.FunctionDef):
        raise NotCompilable("it is not written with def")
    formula = _Formula(numbers)
    body = [formula.visit(statement) for statement in _without_docstring(function.body)]
    *assignments, last = body
    if not isinstance(last, ast.Return) or last.value is None:
        raise NotCompilable("its last statement does not return the new values")
    if not all(isinstance(statement, ast.Assign) for statement in assignments):
        raise NotCompilable("it holds something other than assignments and one return")
    w, _, *slots = arrays
    element = "[_i]"
    lines = [
        f"# The loop made of {rule.__module__}.{rule.__qualname__}; edit that, not this.",
        "import numpy as np",
        "from numba import njit",
        "",
        '@njit(cache=True, error_model="numpy")',
        f"def loop({', '.join([*('_' + name for name in arrays), *numbers])}):",
        f"    _number = _{w}.dtype.type",
        *(f"    {name} = _number({text})" for text, name in formula.hoisted.items()),
        f"    for _i in range(_{w}.size):",
        *(f"        {name} = _{name}{element}" for name in arrays),
        *(f"        {ast.unparse(statement)}" for statement in assignments),
        f"        {', '.join(f'_{name}{element}' for name in [w, *slots])}"
        f" = {ast.unparse(last.value)}",
        "",
    ]
    return "\n".join(lines)


class _Formula(ast.NodeTransformer):
    """Replaces every largest subexpression of numbers alone by a name, and keeps both."""

    def __init__(self, numbers: tuple[str, ...]) -> None:
        self.numbers = set(numbers)
        self.hoisted: dict[str, str] = {}  # expression -> name

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.expr) and self._is_number(node):
            return ast.Name(self.hoisted.setdefault(ast.unparse(node), f"_n{len(self.hoisted)}"))
        return super().visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        targets = {n.id for target in node.targets for n in _names(target)}
        if targets & self.numbers:
            raise NotCompilable(f"it assigns to its numbers {sorted(targets & self.numbers)}")
        node.value = self.visit(node.value)
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        node.args = [self.visit(argument) for argument in node.args]  # but not the function
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.BinOp:
        node.left = self.visit(node.left)
        if not (isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant)):
            node.right = self.visit(node.right)  # x**2 stays: numba makes it a product
        return node

    def _is_number(self, node: ast.expr) -> bool:
        return {n.id for n in _names(node)} - {"np"} <= self.numbers


def _names(node: ast.AST) -> list[ast.Name]:
    return [n for n in ast.walk(node) if isinstance(n, ast.Name)]


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if is_text else body


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _load(folder: Path, module_name: str, text: str, examples: list[Any]) -> Callable[..., None]:
    """Import the text from a file in the folder, and compile its loop for such arguments."""
    try:
        from numba.core.errors import NumbaError
    except ImportError as error:
        raise NotCompilable(f"numba cannot be imported ({error})") from None
    loop = _import(folder, module_name, text)
    try:
        loop(*examples)  # numba compiles at the first call; these arrays have no elements
    except NumbaError as error:
        raise NotCompilable(" ".join(str(error).split())) from None
    except Exception:  # whatever damaged machine code in the cache may raise: make it again
        for machine_code in folder.glob(f"__pycache__/{module_name}.*"):
            machine_code.unlink()
        loop = _import(folder, module_name, text)
        loop(*examples)
    return loop


def _import(folder: Path, module_name: str, text: str) -> Callable[..., None]:
    path = folder / f"{module_name}.py"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
            file.write(text)
        Path(file.name).replace(path)  # whole or not at all, also beside other processes
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise NotCompilable(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # numba's cache looks the function up by module name
    spec.loader.exec_module(module)
    loop: Callable[..., None] = module.loop
    return loop
