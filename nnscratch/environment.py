"""What a result depended on besides its settings: versions, BLAS, threads, processor."""

import importlib.metadata
import os
import platform
from typing import Any

from .blas import CORETYPE, processor
from .elementwise import engine
from .products import libraries

PACKAGES = ("nnscratch", "numpy", "scipy", "scikit-learn", "matplotlib", "numba")


def environment() -> dict[str, Any]:
    """The environment of this process, as something that JSON can hold.

    A package that is not installed has the version null. `blas` lists the BLAS libraries that are
    loaded now, NumPy's first; `blas_coretype` is what OpenBLAS was told to take, if it was.
    """
    return {
        "python": platform.python_version(),
        "packages": {package: _version(package) for package in PACKAGES},
        "engine": engine(),
        "blas": libraries(),
        "blas_coretype": os.environ.get(CORETYPE),
        "processor": processor()["model name"],
        "cores": os.cpu_count(),
        "platform": platform.platform(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
