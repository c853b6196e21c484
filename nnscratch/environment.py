"""What a result depended on besides its settings: versions, BLAS, threads, processor."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from .elementwise import engine

PACKAGES = ("nnscratch", "numpy", "scipy", "scikit-learn", "matplotlib", "numba")


def environment() -> dict[str, Any]:
    """The environment of this process, as something that JSON can hold.

    A package that is not installed has the version null. `blas` lists every BLAS library that is
    loaded now, NumPy's first: SciPy brings one of its own.
    """
    return {
        "python": platform.python_version(),
        "packages": {package: _version(package) for package in PACKAGES},
        "engine": engine(),
        "blas": blas(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
    }


def blas() -> list[dict[str, Any]]:
    """The loaded BLAS libraries: name, version, kernels in use, number of threads."""
    from threadpoolctl import threadpool_info

    keys = ("internal_api", "version", "architecture", "num_threads")
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    libraries.sort(key=lambda library: "numpy" not in Path(library["filepath"]).parent.name)
    return [{key: library.get(key) for key in keys} for library in libraries]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The name of the processor; on Linux, where Python does not know it, from the kernel."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
