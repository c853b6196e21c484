"""What a result depended on besides its settings: versions, BLAS, threads, processor."""

import functools
import hashlib
import importlib.metadata
import inspect
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .blas import CORETYPE, processor
from .elementwise import engine
from .products import libraries

PACKAGE = Path(__file__).parent.resolve()
PACKAGES = ("nnscratch", "numpy", "scipy", "scikit-learn", "matplotlib", "numba")


def environment() -> dict[str, Any]:
    """The environment of this process, as something that JSON can hold.

    A package that is not installed has the version null. `blas` lists the BLAS libraries that are
    loaded now, NumPy's first; `blas_coretype` is what OpenBLAS was told to take, if it was.
    """
    return {
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
        "engine": engine(),
        "blas": libraries(),
        "blas_coretype": os.environ.get(CORETYPE),
        "processor": processor()["model name"],
        "cores": os.cpu_count(),
        "platform": platform.platform(),
    }


def exactness(env: dict[str, Any], classes: Sequence[type]) -> dict[str, Any]:
    """Of an environment, what has to stay for the same seed to give the same bits.

    Also the source: that of this package, and the files of those classes that are of others.
    """
    library = env["blas"][0] if env["blas"] else {}
    files = {Path(inspect.getfile(cls)).resolve() for cls in classes}
    own = sorted(file for file in files if PACKAGE not in file.parents)
    packages = {name: env["packages"][name] for name in ("nnscratch", "numpy", "scipy", "numba")}
    return packages | {
        "source of nnscratch": _hash(sorted(PACKAGE.rglob("*.py"))),
        "source of one's own": _hash(own),
        "engine": env["engine"],
        "blas": f"{library.get('internal_api')} {library.get('version')}",
        "kernels": library.get("architecture"),
        "threads": library.get("num_threads"),
        "processor": env["processor"],
    }


def _hash(files: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


@functools.cache
def version(package: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
