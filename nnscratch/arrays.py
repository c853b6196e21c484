"""The array types that signatures name, and memory: on a cache line, and used again and again."""

import math
import os
import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]
Bytes = NDArray[np.uint8]

ALIGNMENT = 64  # bytes: one cache line, and the widest vector register


def aligned_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros whose first byte lies on a 64-byte boundary.

    Compiled loops and BLAS treat the ends of an array differently according to where it starts;
    a fixed start makes the same seed give the same bits in every run.
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    raw = np.zeros(n_bytes + ALIGNMENT, dtype=np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + n_bytes].view(dtype).reshape(shape)


def memory() -> float:
    """Bytes of memory that this machine has; infinite where it does not say.

    An allocation beyond that succeeds on Linux, and ends the process when it is written to.
    """
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):  # Windows
        return math.inf


class RowBuffer(threading.local):
    """A matrix that is allocated once and lent out again, its first n rows at a time.

    It grows when more rows are asked for than ever before; rows lent earlier keep the old memory.
    Each thread has one of its own, so that several can ask one network.
    """

    def __init__(self, columns: int, dtype: DTypeLike) -> None:  # called once in each thread
        self._matrix = aligned_zeros((0, columns), dtype)

    def __reduce__(self) -> tuple[type["RowBuffer"], tuple[int, np.dtype[Any]]]:
        return RowBuffer, (self._matrix.shape[1], self._matrix.dtype)

    def rows(self, n: int) -> NDArray[Any]:
        """The first n rows, shape (n, columns), holding whatever was written there last."""
        if n > len(self._matrix):
            self._matrix = aligned_zeros((n, self._matrix.shape[1]), self._matrix.dtype)
        return self._matrix[:n]


def scratch(name: str, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array for an intermediate result; its content is arbitrary, and lost at the next call.

    A name stands for one piece of memory in each thread, which grows to the largest shape that was
    ever asked for. So formulas without memory of their own, such as those of the losses, allocate
    nothing after their first call. Two results that are needed at the same time want two names.
    """
    shape = (shape,) if isinstance(shape, int) else shape
    size = math.prod(shape)
    key = name, np.dtype(dtype)
    memory = _scratch.memory.get(key)
    if memory is None or memory.size < size:
        memory = _scratch.memory[key] = aligned_zeros((size,), dtype)
    return memory[:size].reshape(shape)


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.memory: dict[tuple[str, np.dtype[Any]], NDArray[Any]] = {}


_scratch = _Scratch()
