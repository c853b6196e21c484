"""Matrix products of this process's BLAS: are they right, and how fast?

Run as a program it prints one line of JSON. It is run by its path in processes of its own, where
other kernels may be loaded (see `blas.py`), and imports nothing of this package.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = 5  # the median counts
OPERATIONS = 4e9  # in a round: 20 milliseconds at 200 GFLOP/s


def libraries() -> list[dict[str, Any]]:
    """The loaded BLAS libraries: name, version, kernels in use, number of threads.

    NumPy's first: SciPy brings one of its own.
    """
    from threadpoolctl import threadpool_info

    keys = ("internal_api", "version", "architecture", "num_threads")
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    blas.sort(key=lambda library: "numpy" not in Path(library["filepath"]).parent.name)
    return [{key: library.get(key) for key in keys} for library in blas]


def are_right(product: Callable[[Any, Any], Any] = np.matmul) -> bool:
    """Whether products of whole numbers are what NumPy's own integer arithmetic says.

    The numbers are small enough for float32 to hold every sum exactly, so nothing is rounded.
    Products of matrices are compared after one more multiplication, by a vector, since NumPy's
    product of two matrices of integers is slow.
    """
    rng = np.random.default_rng(0)
    for rows, inner, columns in [(128, 784, 1000), (67, 131, 97), (1, 10, 33), (5, 1, 7)]:
        A = rng.integers(-4, 5, (rows, inner))
        B = rng.integers(-4, 5, (inner, columns))
        v, u = rng.integers(-4, 5, columns), rng.integers(-4, 5, rows)
        for dtype in (np.float32, np.float64):
            a, b = A.astype(dtype), B.astype(dtype)
            a_by_column, b_by_column = np.asfortranarray(a), np.asfortranarray(b)
            expected = A @ (B @ v)
            for left in (a, a_by_column):
                for right in (b, b_by_column):
                    if not np.array_equal(product(left, right).astype(np.int64) @ v, expected):
                        return False
            if not np.array_equal(product(a, a.T).astype(np.int64) @ u, A @ (A.T @ u)):
                return False
            if not np.array_equal(product(a, b[:, 0].copy()), A @ B[:, 0]):
                return False
    return True


def gflops(
    batch: int = 128, fan_in: int = 784, fan_out: int = 1000, dtype: str = "float32"
) -> float:
    """GFLOP/s of the two large products of a training step, x W and x^T dz."""
    rng = np.random.default_rng(0)
    x = rng.random((batch, fan_in)).astype(dtype)
    W = rng.random((fan_in, fan_out)).astype(dtype)
    z, dW = np.empty((batch, fan_out), dtype), np.empty_like(W)
    operations = 4 * batch * fan_in * fan_out
    repeats = max(1, round(OPERATIONS / operations))
    speeds = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        for _ in range(repeats):
            np.dot(x, W, out=z)
            np.dot(x.T, z, out=dW)
        speeds.append(repeats * operations / (time.perf_counter() - began) / 1e9)
    return statistics.median(speeds[1:])  # the first one wakes the threads


if __name__ == "__main__":
    print(json.dumps({"libraries": libraries(), "right": are_right(), "gflops": gflops()}))
