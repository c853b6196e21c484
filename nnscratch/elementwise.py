"""A formula for one weight, applied to whole arrays in place.

The formula is an ordinary function that works on numbers and on arrays alike:

    def rule(w, dw, m, *, lr, beta):        # arrays before the star, plain numbers behind it
        m = beta * m + (1 - beta) * dw
        w = w - lr * m
        return w, m                         # the new value of every array but dw

Two engines run it. NumPy evaluates it over blocks small enough to stay in the processor's cache,
since an expression over whole arrays would fetch each of its temporaries from memory. numba,
where installed, compiles it into one loop over the elements (see `compiled.py`). Both compute in
the dtype of the arrays, and in double precision what concerns numbers alone, like 1 - beta.
"""

import functools
import importlib.util
import inspect
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .arrays import Array
from .compiled import NotCompilable, compile_loop
from .errors import UsageError

Rule = Callable[..., Any]

BLOCK = 32_768  # elements: a handful of float32 blocks fit into one or two megabytes of cache


@functools.cache
def array_names(rule: Rule) -> tuple[str, ...]:
    """The arrays of a rule, as its signature names them: w, dw, and then its slots."""
    parameters = inspect.signature(rule).parameters.values()
    return tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)


@functools.cache
def number_names(rule: Rule) -> tuple[str, ...]:
    """The numbers of a rule, as its signature names them: everything behind the star."""
    parameters = inspect.signature(rule).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def engine() -> str:
    """Which engine runs the rules: "numba" where it is installed, else "numpy".

    The environment variable NNSCRATCH_ENGINE=numpy forces the latter.
    """
    wanted = os.environ.get("NNSCRATCH_ENGINE", "")
    if wanted not in ("", "numba", "numpy"):
        raise UsageError(f"NNSCRATCH_ENGINE is {wanted!r}", "set it to numba or numpy, or unset it")
    if wanted == "numba" and not _numba_is_installed():
        raise UsageError("NNSCRATCH_ENGINE=numba, but numba is missing", "pip install numba")
    return wanted or ("numba" if _numba_is_installed() else "numpy")


@functools.cache
def _numba_is_installed() -> bool:
    return importlib.util.find_spec("numba") is not None


def apply(rule: Rule, arrays: Sequence[Array], numbers: Mapping[str, float]) -> None:
    """w, *slots <- rule(w, dw, *slots, **numbers), element by element and in place.

    `arrays` are w, dw and the slots, of one shape and dtype; dw is only read. Of `numbers` the
    rule gets those that its signature names, as Python floats, so that no array changes dtype.
    """
    chosen = {name: float(numbers[name]) for name in number_names(rule)}
    if not all(array.flags.c_contiguous for array in arrays):
        store(arrays, rule(*arrays, **chosen))
        return
    flat = [array.reshape(-1) for array in arrays]
    loop = _compiled(rule, flat[0].dtype) if engine() == "numba" else None
    if loop is not None:
        loop(*flat, *chosen.values())
    else:
        in_blocks(rule, flat, chosen)


def in_blocks(rule: Rule, flat: Sequence[Array], numbers: Mapping[str, float]) -> None:
    """The NumPy engine: the rule on one block of 1-D arrays after another."""
    for start in range(0, flat[0].size, BLOCK):
        block = [array[start : start + BLOCK] for array in flat]
        store(block, rule(*block, **numbers))


def store(arrays: Sequence[Array], new: Any) -> None:
    """Write what a rule returned, (w, *slots) or a lone w, into the arrays that it read."""
    w, _, *slots = arrays
    values = new if isinstance(new, tuple) else (new,)
    for array, value in zip([w, *slots], values, strict=True):
        np.copyto(array, value, casting="same_kind")


@functools.cache
def _compiled(rule: Rule, dtype: np.dtype[Any]) -> Callable[..., None] | None:
    try:
        return compile_loop(rule, array_names(rule), number_names(rule), dtype)
    except NotCompilable as reason:
        message = f"{rule.__qualname__} runs without numba: {reason}"
        warnings.warn(message, RuntimeWarning, stacklevel=4)
        return None
