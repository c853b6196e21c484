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
double precision and takes three times as long. A division by a number becomes a multiplication by
its reciprocal, which is one more number, since dividing takes ten times as long as multiplying:
Adam's loop with its two corrections divided by took 387 us, and takes 222.

The file lies in the user's cache, under a name that contains the hash of its text, and numba keeps
the machine code beside it. An edited formula is another text, hence another file.
"""

import ast
import hashlib
import importlib.util
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .cache import user_cache
from .formula import Formula, NoFormula, Rule, formula, names

Loop = Callable[..., None]

_temporary_folders: list[tempfile.TemporaryDirectory[str]] = []  # removed when Python ends


def compile_loop(rule: Rule, dtype: DTypeLike) -> Loop:
    """A function loop(*arrays, *numbers) that applies the rule to 1-D arrays of that dtype.

    Raises NoFormula where numba cannot compile the rule.
    """
    taken_apart = formula(rule)
    text = f"# The loop made of {rule.__module__}.{rule.__qualname__}; edit that, not this.\n"
    text += loop_source(taken_apart)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    module_name = re.sub(r"\W", "_", rule.__qualname__) + "_" + digest
    examples = [np.empty(0, dtype)] * len(taken_apart.arrays) + [1.0] * len(taken_apart.numbers)
    try:
        return _load(user_cache() / "loops", module_name, text, examples)
    except (OSError, RuntimeError):  # a cache that cannot be written; RuntimeError is numba's
        _temporary_folders.append(tempfile.TemporaryDirectory(prefix="nnscratch-"))
        return _load(Path(_temporary_folders[-1].name), module_name, text, examples)


def loop_source(formula: Formula) -> str:
    """The text of a Python module that holds the loop."""
    hoist = _Hoist(formula.numbers)
    assignments = [hoist.visit(assignment) for assignment in formula.assignments]
    returned = hoist.visit(formula.returned)
    w, _, *slots = formula.arrays
    targets = ", ".join(f"_{name}[_i]" for name in [w, *slots])
    return "\n".join(
        [
            "import numpy as np",
            "from numba import njit",
            "",
            '@njit(cache=True, error_model="numpy")',
            f"def loop({', '.join([*('_' + name for name in formula.arrays), *formula.numbers])}):",
            f"    _number = _{w}.dtype.type",
            *(f"    {line}" for line in hoist.prelude),
            f"    for _i in range(_{w}.size):",
            *(f"        {name} = _{name}[_i]" for name in formula.arrays),
            *(f"        {ast.unparse(assignment)}" for assignment in assignments if assignment),
            f"        {targets} = {ast.unparse(returned)}",
            "",
        ]
    )


class _Hoist(ast.NodeTransformer):
    """Moves every largest subexpression of numbers alone into a prelude, under a new name."""

    def __init__(self, numbers: tuple[str, ...]) -> None:
        self.numbers = set(numbers)
        self.prelude: list[str] = []
        self._hoisted: dict[str, str] = {}  # expression -> name

    def visit(self, node: ast.AST) -> Any:
        if not isinstance(node, ast.expr) or not self._is_number(node):
            return super().visit(node)
        text = ast.unparse(node)
        if text not in self._hoisted:
            self._hoisted[text] = f"_n{len(self.prelude)}"
            self.prelude.append(f"{self._hoisted[text]} = _number({text})")
        return ast.Name(self._hoisted[text])

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
        is_number = self._is_number(node.value)
        if is_number:
            self.prelude.append(ast.unparse(node))
        else:
            node.value = self.visit(node.value)
        targets = names(node.targets)
        self.numbers = self.numbers | targets if is_number else self.numbers - targets
        for text in list(self._hoisted):  # what was computed from another value of the name
            if names(ast.parse(text)) & targets:
                del self._hoisted[text]
        return None if is_number else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        node.args = [self.visit(argument) for argument in node.args]  # but not the function
        if ast.unparse(node.func) == "np.where":  # numba's makes an array of each single element
            condition, if_true, if_false = node.args
            return ast.IfExp(condition, if_true, if_false)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.BinOp:
        if isinstance(node.op, ast.Div) and self._is_number(node.right):
            node.op, node.right = ast.Mult(), ast.BinOp(ast.Constant(1.0), ast.Div(), node.right)
        node.left = self.visit(node.left)
        if not (isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant)):
            node.right = self.visit(node.right)  # x**2 stays: numba makes it a product
        return node

    def _is_number(self, node: ast.expr) -> bool:
        return names(node) - {"np"} <= self.numbers


def _load(folder: Path, module_name: str, text: str, examples: list[Any]) -> Loop:
    """Import the text from a file in the folder, and compile its loop for such arguments."""
    from numba.core.errors import NumbaError  # numba takes 0.3 s to import

    loop = _import(folder, module_name, text)
    try:
        loop(*examples)  # numba compiles at the first call; these arrays have no elements
    except NumbaError as error:
        raise NoFormula(f"numba refuses it: {_gist(error)}") from None
    except Exception:  # whatever damaged machine code in the cache may raise: make it again
        for machine_code in folder.glob(f"__pycache__/{module_name}.*"):
            machine_code.unlink()
        loop = _import(folder, module_name, text)
        loop(*examples)
    return loop


def _gist(error: Exception) -> str:
    """The line of numba's long message that names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[1] if len(lines) > 1 else str(error)


def _import(folder: Path, module_name: str, text: str) -> Loop:
    path = folder / f"{module_name}.py"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
            file.write(text)
        Path(file.name).replace(path)  # whole or not at all, also beside other processes
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise OSError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # numba's cache looks the function up by module name
    spec.loader.exec_module(module)
    loop: Loop = module.loop
    return loop
