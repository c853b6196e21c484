"""What no test runs of nnscratch, and why: lines, and ways out of a line that are never taken.

    coverage run -m pytest
    coverage run -m pytest -m slow
    coverage combine
    python tests/uncovered.py

It writes uncovered.md, and ends with 1 for a line without a reason here, and where less than 95 %
of the branches are taken. A few of the lines are run by chance, when a cluster goes away at the
right moment.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
LEAST = 95.0  # percent of branches
EXECV = "the process is replaced before it can tell; tests look at what comes after it"
NUMBA = "where numba is not installed, as in one pass of `.ci/run`"
LOADER = "for the type checker: a file that ends in .py always has a loader"
WINDOWS = "only on Windows"
DASK = "a cluster that goes away is mostly noticed by a trial first, and that is tested"

# by file and source line, with spaces cut off
REASONS: dict[str, dict[str, str]] = {
    "blas.py": {
        '_start_again("")': EXECV,
        "_start_again(best)": EXECV,
        "os.environ[CORETYPE] = coretype": EXECV,
        "os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])": EXECV,
    },
    "compiled.py": {'raise OSError(f"{path} cannot be imported")': LOADER},
    "elementwise.py": {"return False": NUMBA},
    "environment.py": {
        "except importlib.metadata.PackageNotFoundError:": NUMBA,
        "return None": NUMBA,
    },
    "files.py": {"return": WINDOWS},
    "model.py": {"if dy is not None:": "for the type checker: only the last layer gives None"},
    "own_file.py": {
        'raise UsageError(f"{path} cannot be imported", "give a file of Python source")': LOADER
    },
    "runs.py": {
        "for k in itertools.count(1):": "it counts for ever",
        "return": WINDOWS,
        "yield": WINDOWS,
    },
    "study/cluster.py": {
        "except OSError as error:": DASK,
        "raise lost(error) from None": DASK,
    },
    "study/figures.py": {
        "for steps in ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7), "
        "(1, 2, 5), (1,)):": "a logarithmic axis of more than nine decades would have more ticks than it ought to",  # noqa: E501
        "if numbers:": "a figure of curves is drawn only of what came to its end",
    },
    "study/workers.py": {
        "time.sleep(POLL_SECONDS)  # for workers": "a cluster without workers for a moment"
    },
}


def report() -> dict:
    """What coverage has found, as it exports it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        subprocess.run(["coverage", "json", "-q", "-o", path], cwd=HERE.parent, check=True)
        return json.loads(path.read_text())


def never_run(found: dict) -> Iterator[tuple[str, str]]:
    """File and source of each line that is never run, or has a way out that is never taken."""
    for name, about in found["files"].items():
        source = (HERE.parent / name).read_text(encoding="utf-8").splitlines()
        missing = set(about["missing_lines"])
        ways = {start for start, end in about["missing_branches"] if not missing & {start, end}}
        for line in sorted(missing | ways):
            yield name.removeprefix("nnscratch/"), source[line - 1].strip()


def table(percent: float, total: int) -> str:
    head = [
        "# What no test runs",
        "",
        f"{percent:.1f} % of the {total:,} branches of `nnscratch/` are taken. The lines below are "
        "never run, or have",
        "a way out that is never taken. Made by `python tests/uncovered.py`, which says how.",
        "",
        "| file | line | why |",
        "| --- | --- | --- |",
        *(
            f"| {file} | `{line}` | {reason} |"
            for file, lines in REASONS.items()
            for line, reason in lines.items()
        ),
    ]
    return "\n".join(head) + "\n"


def main() -> int:
    found = report()
    rows = set(never_run(found))
    known = {(file, line) for file, lines in REASONS.items() for line in lines}
    for file, line in sorted(rows - known):
        print(f"without a reason: {file}: {line}")
    for file, line in sorted(known - rows):
        print(f"run this time: {file}: {line}")
    totals = found["totals"]
    percent = 100 * totals["covered_branches"] / totals["num_branches"]
    print(f"{percent:.1f} % of {totals['num_branches']:,} branches")
    if not rows <= known or percent < LEAST:
        return 1
    (HERE / "uncovered.md").write_text(table(percent, totals["num_branches"]), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
