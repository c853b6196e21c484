"""A formula for one weight, applied to whole arrays in place.

The formula is an ordinary function, described in `formula.py`, that works on numbers and on
arrays alike. Two engines run it. NumPy evaluates it over blocks small enough to stay in the
processor's cache, since an expression over whole arrays would fetch each of its temporaries from
memory. numba, where installed, compiles it into one loop over the elements (see `compiled.py`).
Both compute in the dtype of the arrays, and in double precision what concerns numbers alone, like
1 - beta.
"""

import importlib.util
import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from .arrays import Array
from .compiled import Loop, compile_loop
from .errors import NnscratchWarning, UsageError
from .formula import NoFormula, Rule, formula, number_names

BLOCK = 32_768  # elements: a handful of float32 blocks fit into one or two megabytes of cache


def engine() -> str:
    """Which engine runs the rules: "numba" where it is installed, else "numpy".

    The environment variable NNSCRATCH_ENGINE=numpy forces the latter. Raises UsageError where it
    says anything else, or numba and there is none.

    >>> import os
    >>> os.environ["NNSCRATCH_ENGINE"] = "numpy"
    >>> nn.engine()
    'numpy'
    """
    wanted = os.environ.get("NNSCRATCH_ENGINE", "")
    if wanted not in ("", "numba", "numpy"):
        raise UsageError(f"NNSCRATCH_ENGINE is {wanted!r}", "set it to numba or numpy, or unset it")
    if wanted == "numba" and not _numba_works():
        raise UsageError("NNSCRATCH_ENGINE=numba, but numba is missing", "pip install numba")
    return wanted or ("numba" if _numba_works() else "numpy")


@cache
def _numba_works() -> bool:
    if importlib.util.find_spec("numba") is None:
        return False
    try:
        importlib.import_module("numba")
    except ImportError as error:  # such as a NumPy that is too new for it
        warnings.warn(f"numba is left out: {error}", NnscratchWarning, stacklevel=4)
        return False
    return True


def prepare(rule: Rule, dtype: np.dtype[Any]) -> None:
    """Compile the rule now, so that no later call takes longer than the others.

    Raises UsageError for a rule that looks at more than one element at a time.
    """
    _loop(rule, dtype, engine())


def apply(rule: Rule, arrays: Sequence[Array], numbers: Mapping[str, float]) -> None:
    """w, *slots <- rule(w, dw, *slots, **numbers), element by element and in place.

    `arrays` are w, dw and the slots, of one shape and dtype; dw is only read. Of `numbers` the
    rule gets those that its signature names, as Python floats, so that no array changes dtype.
    """
    if missing := [name for name in number_names(rule) if name not in numbers]:
        raise UsageError(
            f"{rule.__qualname__} wants {', '.join(missing)}, which nobody gives",
            "state it with nn.hyper, or write def scalars(self, state), which returns a dict of "
            'such numbers: {"t": state["t"]}',
        )
    chosen = {name: float(numbers[name]) for name in number_names(rule)}
    loop = _loop(rule, arrays[0].dtype, engine())
    flat = [array.reshape(-1) for array in arrays]  # a copy where the elements do not lie in a row
    if loop is not None:
        loop(*flat, *chosen.values())
    else:
        in_blocks(rule, flat, chosen)
    for array, elements in zip(arrays, flat, strict=True):
        if not array.flags.c_contiguous and array is not arrays[1]:
            array[...] = elements.reshape(array.shape)


@cache
def _loop(rule: Rule, dtype: np.dtype[Any], engine: str) -> Loop | None:
    """The compiled loop; None where NumPy runs the rule."""
    try:
        if engine == "numba":
            return compile_loop(rule, dtype)
        formula(rule)  # refuses here what it would refuse there
    except NoFormula as reason:
        if engine == "numba":
            message = f"{rule.__qualname__} runs without numba: {reason}"
            warnings.warn(message, NnscratchWarning, stacklevel=5)
    return None


def in_blocks(rule: Rule, flat: Sequence[Array], numbers: Mapping[str, float]) -> None:
    """The NumPy engine: the rule on one block of 1-D arrays after another."""
    for start in range(0, flat[0].size, BLOCK):
        run_and_store(rule, [array[start : start + BLOCK] for array in flat], numbers)


def run_and_store(rule: Rule, arrays: Sequence[Array], numbers: Mapping[str, float]) -> None:
    """Call the rule once, and write the (w, *slots) that it returns into the arrays it read."""
    views = [array[...] for array in arrays]
    views[1].flags.writeable = False
    returned = rule(*views, **numbers)
    values = returned if isinstance(returned, tuple) else (returned,)
    # A rule may return what it was given, as in v_prev = v: copied, before it is overwritten.
    new = [value if getattr(value, "base", None) is None else value.copy() for value in values]
    w, _, *slots = arrays
    for array, value in zip([w, *slots], new, strict=True):
        np.copyto(array, value, casting="same_kind")
