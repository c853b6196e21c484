"""Which BLAS kernels multiply the matrices, and on how many threads.

OpenBLAS, which NumPy brings, has kernels for many processors and picks some when it is loaded, by
the processor's model number. For a model that it does not know it picks those of an older one,
which may take twice as long. The variable OPENBLAS_CORETYPE overrules it, but only before NumPy is
imported: kernels cannot be changed within a process. So this file is imported before all others
that need NumPy.

Nothing is guessed. The first training on a machine lets processes of their own multiply matrices
with newer kernels and with those that were picked (see `products.py`). The fastest kernels whose
products are right are remembered, for this processor and this version of NumPy, if they are at
least 10 % faster. From then on `import nnscratch` chooses them, if nobody has chosen yet.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, NoReturn

from .cache import user_cache
from .errors import NnscratchWarning, UsageError

CORETYPE = "OPENBLAS_CORETYPE"  # empty: OpenBLAS picks
THREADS = "OPENBLAS_NUM_THREADS"

AVX512 = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}
NEWER = {  # kernels, oldest first, and the abilities of the processor that they use
    "Haswell": {"avx2", "fma"},
    "SkylakeX": AVX512,
    "Cooperlake": AVX512 | {"avx512_bf16"},
    "SapphireRapids": AVX512 | {"avx512_bf16", "amx_tile", "amx_bf16"},
}
SAME_AGE = {"Zen": "Haswell"}  # its kernels under another name
GAIN = 1.1  # how much faster others have to be
ROUNDS = 3  # in each of which all kernels that work have a trial
TRIAL_SECONDS = 60.0  # after which a trial is given up


def choose() -> None:
    """Have OpenBLAS take the kernels that were found best, if nobody has chosen and it can."""
    if "numpy" not in sys.modules and CORETYPE not in os.environ:
        best = (remembered() or {}).get("best")
        if best:
            os.environ[CORETYPE] = best


def use(kernel: str) -> None:
    """Go on with these kernels: "auto", "default" for OpenBLAS's own choice, or a name.

    "auto" is what `choose` did, but finds out what is best where that is not known yet. A command
    of this package starts again, from its first line, where it has other kernels. Raises
    UsageError for kernels that OpenBLAS does not have or that multiply wrongly here, and for
    others than the loaded ones where it is not a command that runs.
    """
    if kernel == "auto":
        if CORETYPE not in os.environ and remembered() is None and _is_command():
            print("finding the fastest matrix kernels, once on this machine", file=sys.stderr)
            if best := find_best()["best"]:
                _start_again(best)
    elif kernel == "default":
        if os.environ.get(CORETYPE):
            _start_again("")
    elif loaded_kernels().casefold() != kernel.casefold():
        found = _trial(kernel)
        if found is None or not found["right"]:
            what = f"the BLAS kernels {kernel} do not work on this processor"
            raise UsageError(what, "leave --blas-kernel at auto")
        if found["kernels"].casefold() != kernel.casefold():
            raise UsageError(
                f"NumPy's BLAS has no kernels {kernel!r}, and takes {found['kernels']} instead",
                f"choose auto, default, or others of OpenBLAS's such as {', '.join(NEWER)}",
            )
        _start_again(kernel)


def set_threads(count: int) -> None:
    """Let BLAS work with so many threads, also libraries that are loaded later."""
    from threadpoolctl import threadpool_limits

    if count > processors():
        warnings.warn(
            f"{count} threads for {processors()} processors only wait",
            NnscratchWarning,
            stacklevel=2,
        )
    os.environ[THREADS] = str(count)
    threadpool_limits(count, user_api="blas")


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def loaded_kernels() -> str:
    """The kernels of NumPy's BLAS in this process, as that calls them."""
    from .products import libraries

    return _kernels(libraries())


def remembered() -> dict[str, Any] | None:
    """What `find_best` found on such a processor with this NumPy; None where it never ran."""
    try:
        found = json.loads(_memory().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("best"), str) else None


def find_best() -> dict[str, Any]:
    """Find out which kernels are best here, and remember it if the cache can be written.

    {"best": "SkylakeX", "gflops": {"Haswell": 121.0, "SkylakeX": 213.0}, ...}, on one thread; the
    kernels that OpenBLAS picks come first, and best is "" where these are. No gflops where no
    newer ones work.
    """
    own = _trial("")
    picked = own["kernels"] if own else ""
    gflops: dict[str, float] = {}
    if rivals := [name for name in newer_than(picked) if _works(name, _trial(name))]:
        rounds = [{name: _trial(name) for name in (picked, *rivals)} for _ in range(ROUNDS)]
        for name in (picked, *rivals):
            trials = [trial for trials in rounds if _works(name, trial := trials[name])]
            if len(trials) == ROUNDS:
                gflops[name] = max(trial["gflops"] for trial in trials if trial)
    best = max(gflops, key=gflops.__getitem__, default="")
    if picked not in gflops or gflops[best] < GAIN * gflops[picked]:
        best = ""
    found = {"best": best, "gflops": gflops, "numpy": _numpy_version(), "processor": processor()}
    try:
        _remember(found)
    except OSError as error:
        warnings.warn(f"this cannot be remembered: {error}", NnscratchWarning, stacklevel=2)
    return found


def newer_than(picked: str) -> list[str]:
    """Kernels newer than those that OpenBLAS picked, whose abilities the processor has."""
    age = SAME_AGE.get(picked, picked)
    if age not in NEWER:
        return []
    newer = list(NEWER)[list(NEWER).index(age) + 1 :]
    return [name for name in newer if NEWER[name] <= set(processor().get("flags", "").split())]


def _trial(coretype: str) -> dict[str, Any] | None:
    """What `products.py` finds in a process of its own; None if that crashes or hangs."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("products.py"))]
    environment = os.environ | {CORETYPE: coretype, THREADS: "1"}  # others may be at work, too
    try:
        printed = subprocess.run(
            command, env=environment, capture_output=True, timeout=TRIAL_SECONDS, check=True
        ).stdout
        found: dict[str, Any] = json.loads(printed)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return {**found, "kernels": _kernels(found["libraries"])}


def _works(kernels: str, trial: dict[str, Any] | None) -> bool:
    return trial is not None and bool(trial["right"]) and trial["kernels"] == kernels


def _kernels(libraries: list[dict[str, Any]]) -> str:
    return str(libraries[0]["architecture"]) if libraries else ""


def _is_command() -> bool:
    """Whether this process is `python -m nnscratch.something`, and can start again."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return os.name == "posix" and spec is not None and spec.name.startswith("nnscratch.")


def _start_again(coretype: str) -> NoReturn:
    if not _is_command():
        raise UsageError(
            "the BLAS kernels of a running process cannot be changed",
            f"set {CORETYPE}={coretype} before Python starts",
        )
    os.environ[CORETYPE] = coretype
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _memory() -> Path:
    """The file that holds what was found; its name stands for the processor and the version."""
    key = json.dumps([processor(), _numpy_version()])
    return user_cache() / "blas" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _remember(found: dict[str, Any]) -> None:
    path = _memory()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        json.dump(found, file, indent=1)
    Path(file.name).replace(path)  # whole or not at all, also beside other processes


def _numpy_version() -> str:
    return importlib.metadata.version("numpy")


def processor() -> dict[str, str]:
    """What tells one model of processor from another; what it is able to do under "flags"."""
    name = {"model name": platform.processor() or platform.machine()}
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return name
    first, _, _ = cpuinfo.read_text(encoding="utf-8").partition("\n\n")
    fields = dict(line.split(":", 1) for line in first.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    wanted = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features")
    return name | {field: fields[field] for field in wanted if field in fields}
