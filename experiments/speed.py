"""How fast is nnscratch beside PyTorch, JAX and scikit-learn, on the same machine in the same run?

    python experiments/speed.py                    everything: about an hour on 2 cores
    python experiments/speed.py updates --fast     one part (updates or processes), smaller: minutes

Whatever is installed takes part: pip install torch jax optax. Each library runs in a process of
its own, on the same number of threads, and only one at a time; they take turns in every round, so
that a machine that is slow for a while is slow for all. Of the rounds the median counts.

    updates      seconds for an epoch of 60,000 images: by batch size, by optimizer, by hidden
                 units. Some hundred updates after a warm-up are measured, and multiplied.
    processes    whole processes from their start, with imports, loading, compilation and an
                 evaluation of the test images after each epoch: seconds to the first and the tenth
                 epoch, to 97 and 98 % of the test images, and the peak of memory. Adam with its
                 usual settings, batches of 128.

It writes results/speed.csv, results/speed.md and results/speed.png. Run it on an idle machine.
"""

import argparse
import csv
import importlib.metadata
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nnscratch.environment import environment

HERE = Path(__file__).parent
RESULTS = HERE / "results"
IMAGES = 60_000
RATIOS = (
    "Ours / theirs, of medians; below 1 nnscratch is faster. The last column is what would be left "
    "if nnscratch computed its matrix products and nothing else."
)
COLUMNS = (
    "measure",
    "contender",
    "optimizer",
    "batch_size",
    "hidden",
    "median",
    "least",
    "most",
    "rounds",
)


@dataclass(frozen=True)
class Contender:
    """A library, and the way it is used: a file in peers/ and one of its variants."""

    name: str
    module: str
    variant: str
    needs: str
    colour: str

    def start(self, threads: int, *arguments: str) -> subprocess.Popen[str]:
        names = ("OMP", "OPENBLAS", "MKL", "NUMBA")
        limits = {f"{name}_NUM_THREADS": str(threads) for name in names}
        return subprocess.Popen(
            [
                sys.executable,
                str(HERE / "peers" / "worker.py"),
                self.module,
                self.variant,
                *arguments,
            ],
            env=os.environ | limits | {"SPEED_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


OURS = Contender("nnscratch", "ours", "numba", "numba", "#0072b2")
PLAIN = Contender("nnscratch, NumPy only", "ours", "numpy", "numpy", "#56b4e9")
PRODUCTS = Contender("matrix products alone", "products_alone", "products", "numpy", "#000000")
TORCH = Contender("PyTorch", "pytorch", "default", "torch", "#d55e00")
TORCH_FOREACH = Contender("PyTorch foreach", "pytorch", "foreach", "torch", "#e69f00")
TORCH_FUSED = Contender("PyTorch fused", "pytorch", "fused", "torch", "#cc79a7")
TORCH_COMPILED = Contender("PyTorch compiled", "pytorch", "compiled", "torch", "#999999")
JAX = Contender("JAX jitted scan", "jax_scan", "scan", "jax", "#009e73")
SKLEARN = Contender("scikit-learn", "sklearn_mlp", "MLPClassifier", "sklearn", "#b8a800")
TORCHES = (TORCH, TORCH_FOREACH, TORCH_FUSED, TORCH_COMPILED)
EVERYONE = (OURS, PLAIN, PRODUCTS, *TORCHES, JAX, SKLEARN)


@dataclass(frozen=True)
class Work:
    """What is measured: so many updates of one network by one optimizer."""

    optimizer: str = "adam"
    batch_size: int = 128
    hidden: int = 1000
    contenders: tuple[Contender, ...] = EVERYONE
    share: float = 0.5  # of an epoch, where the batches are large enough

    @property
    def epoch(self) -> int:
        """Updates in an epoch."""
        return -(-IMAGES // self.batch_size)

    @property
    def updates(self) -> int:
        """Updates in a round: about a second of work, at most an epoch."""
        examples = self.share * IMAGES * min(1.0, 1000 / self.hidden)
        cost = self.batch_size + 16  # an update moves all weights, however small the batch is
        count = math.ceil(examples / (self.batch_size if self.share == 1 else cost))
        return max(1, min(self.epoch, count))


def works(fast: bool) -> list[Work]:
    sizes = (1, 8, 32, 128, 512, 4096, IMAGES)
    shared = ("sgd", "momentum", "adamw", "muon")
    torch_has = (
        "nesterov",
        "adagrad",
        "rmsprop",
        "adadelta",
        "adamax",
        "nadam",
        "radam",
        "amsgrad",
        "adafactor",
        "rprop",
    )
    if fast:
        return [Work(), Work("sgd", 1), Work("sgd"), Work("rmsprop", contenders=(OURS, *TORCHES))]
    return [
        Work(share=1.0),
        *(Work(batch_size=size) for size in sizes if size != 128),
        Work("sgd", 1),
        *(Work(optimizer) for optimizer in shared if optimizer != "muon"),
        Work("muon", share=0.05),
        *(Work(hidden=hidden) for hidden in (100, 300, 3000, 8000)),
        *(Work(optimizer, contenders=(OURS, *TORCHES), share=0.25) for optimizer in torch_has),
    ]


def installed(contenders: tuple[Contender, ...]) -> list[Contender]:
    return [contender for contender in contenders if find_spec(contender.needs)]


# --- updates -------------------------------------------------------------------------------------


def measure_updates(threads: int, rounds: int, fast: bool) -> Iterator[dict[str, Any]]:
    workers = {contender: contender.start(threads) for contender in installed(EVERYONE)}
    try:
        for work in works(fast):
            yield from measure_work(work, workers, rounds)
    finally:
        for worker in workers.values():
            worker.kill()


def measure_work(
    work: Work, workers: dict[Contender, subprocess.Popen[str]], rounds: int
) -> list[dict[str, Any]]:
    network = {"optimizer": work.optimizer, "hidden": work.hidden, "batch_size": work.batch_size}
    ready = []
    for contender in work.contenders:
        if contender in workers:
            answer = ask(workers[contender], {"prepare": network, "updates": work.updates})
            if "refused" in answer:
                print(f"{contender.name}: {answer['refused']}", flush=True)
            else:
                ready.append(contender)
    seconds: dict[Contender, list[float]] = {contender: [] for contender in ready}
    for _ in range(rounds):
        for contender in ready:
            time.sleep(0.1)  # until the threads of the one before have gone to sleep
            answer = ask(workers[contender], {"updates": work.updates})
            seconds[contender].append(answer["seconds"] / work.updates * work.epoch)
    return [row("epoch", contender, work, seconds[contender]) for contender in ready]


def ask(worker: subprocess.Popen[str], question: dict[str, Any]) -> dict[str, Any]:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps(question) + "\n")
    worker.stdin.flush()
    return dict(json.loads(worker.stdout.readline()))


# --- processes -----------------------------------------------------------------------------------


def measure_processes(threads: int, rounds: int, fast: bool) -> Iterator[dict[str, Any]]:
    contenders = installed((OURS, TORCH_FUSED, JAX, SKLEARN))
    long = 2 if fast else 10
    numbers: dict[tuple[str, Contender], list[float]] = {}
    for seed in range(rounds):
        for epochs in (1, long):
            for contender in contenders:
                began = time.monotonic()
                process = contender.start(threads, str(epochs), str(seed), str(began))
                printed, _ = process.communicate()
                whole = time.monotonic() - began
                told = json.loads(printed)
                stamps = told["stamps"]
                leaving = whole - stamps[-1]["seconds"]
                found = {f"process, {epochs} epochs": stamps[epochs - 1]["seconds"] + leaving}
                if epochs > 1:
                    found["memory"] = told["memory"] / 1e6
                    for share in (0.97, 0.98):
                        times = [s["seconds"] for s in stamps if s["accuracy"] >= share]
                        found[f"to {share:.0%}"] = min(times, default=math.inf)
                    for epoch, stamp in enumerate(stamps, start=1):
                        found[f"accuracy after epoch {epoch}"] = stamp["accuracy"]
                        found[f"seconds to epoch {epoch}"] = stamp["seconds"]
                for measure, number in found.items():
                    numbers.setdefault((measure, contender), []).append(number)
        print(f"processes: round {seed + 1} of {rounds}", flush=True)
    for (measure, contender), values in numbers.items():
        yield row(measure, contender, Work(), values)


# --- results -------------------------------------------------------------------------------------


def row(measure: str, contender: Contender, work: Work, values: list[float]) -> dict[str, Any]:
    key = (measure, contender.name, work.optimizer, str(work.batch_size), str(work.hidden))
    median = statistics.median(values)
    print(" ".join(key), f"{median:.4g}", flush=True)
    numbers = (f"{median:.5g}", f"{min(values):.5g}", f"{max(values):.5g}", str(len(values)))
    return dict(zip(COLUMNS, (*key, *numbers), strict=True))


class Medians:
    """What was measured, by what it was; nan for what was not."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = {tuple(r[column] for column in COLUMNS[:5]): r for r in rows}

    def get(
        self,
        measure: str,
        contender: Contender,
        optimizer: str = "adam",
        batch: int = 128,
        hidden: int = 1000,
    ) -> float:
        key = (measure, contender.name, optimizer, str(batch), str(hidden))
        return float(self.rows[key]["median"]) if key in self.rows else math.nan

    def least(self, contenders: tuple[Contender, ...], *key: Any) -> float:
        """That of the fastest."""
        numbers = [self.get("epoch", contender, *key) for contender in contenders]
        return min((n for n in numbers if not math.isnan(n)), default=math.nan)

    def optimizers(self) -> list[str]:
        """Those that PyTorch has, too, at batch 128."""
        return [
            work.optimizer
            for work in works(fast=False)
            if (work.batch_size, work.hidden) == (128, 1000)
            and not math.isnan(self.least(TORCHES, work.optimizer))
        ]


@dataclass(frozen=True)
class Ratio:
    """Ours over theirs; `products` are the seconds that the matrix products take of ours."""

    measure: str
    against: str
    ours: float
    theirs: float
    aim: float  # what was to be reached
    products: float = math.nan

    def cells(self) -> list[str]:
        numbers = (self.ours / self.theirs, self.aim, self.products / self.theirs)
        return [self.measure, self.against, *map(number, numbers)]


def ratios(m: Medians) -> list[Ratio]:
    """The ratios that were to be reached, with the aims."""
    epoch, ours, products = (
        "s/epoch, adam, batch 128",
        m.get("epoch", OURS),
        m.get("epoch", PRODUCTS),
    )
    fastest = "PyTorch's fastest"
    found = [
        Ratio(epoch, contender.name, ours, m.get("epoch", contender), aim, products)
        for contender, aim in (
            (TORCH, 0.33),
            (TORCH_FUSED, 0.55),
            (JAX, 1.0),
            (SKLEARN, 0.13),
            (PRODUCTS, 1.2),
        )
    ]
    for opt in ("sgd", "adam"):
        theirs = m.least(TORCHES, opt, 1)
        alone = m.get("epoch", PRODUCTS, opt, 1)
        mine = m.get("epoch", OURS, opt, 1)
        found.append(Ratio(f"s/update, {opt}, batch 1", fastest, mine, theirs, 0.95, alone))
    for opt in m.optimizers():
        mine, theirs = m.get("epoch", OURS, opt), m.least(TORCHES, opt)
        found.append(Ratio(f"s/epoch, {opt}, batch 128", fastest, mine, theirs, 0.7, products))
    for name, measure, aims in (
        ("whole process, 1 epoch", "process, 1 epochs", (0.6, 0.45)),
        ("whole process, 10 epochs", "process, 10 epochs", (0.55, 0.8)),
    ):
        for contender, aim in zip((TORCH_FUSED, JAX), aims, strict=True):
            theirs = m.get(measure, contender)
            found.append(Ratio(name, contender.name, m.get(measure, OURS), theirs, aim))
    memory = m.get("memory", TORCH_FUSED)
    found.append(Ratio("peak memory", TORCH_FUSED.name, m.get("memory", OURS), memory, 0.6))
    plain, fused = m.get("epoch", PLAIN), m.get("epoch", TORCH_FUSED)
    found.append(Ratio(f"{epoch}, without numba", TORCH_FUSED.name, plain, fused, 0.95, products))
    return found


def table(header: list[str], lines: list[list[str]]) -> list[str]:
    """A table in Markdown."""
    rule = ["---"] * len(header)
    return ["| " + " | ".join(line) + " |" for line in (header, rule, *lines)] + [""]


def number(x: float) -> str:
    return "" if math.isnan(x) else "never" if math.isinf(x) else f"{x:.3g}"


def report(m: Medians, machine: str) -> str:
    """The page of tables."""
    aims = [ratio.cells() for ratio in ratios(m)]
    lines = ["# How fast, beside the frameworks", "", machine, ""]
    lines += [RATIOS]
    lines += ["", *table(["measure", "against", "ratio", "aim: at most", "products alone"], aims)]
    lines += ["Seconds for an epoch of 60,000 images:", ""]
    present = [c for c in EVERYONE if not math.isnan(m.get("epoch", c))]
    names = [c.name for c in present]
    networks = dict.fromkeys(
        (work.optimizer, work.batch_size, work.hidden) for work in works(fast=False)
    )
    lines += table(
        ["optimizer", "batch", "hidden", *names],
        [
            [
                key[0],
                f"{key[1]:,}",
                f"{key[2]:,}",
                *(number(m.get("epoch", c, *key)) for c in present),
            ]
            for key in networks
        ],
    )
    lines += ["Whole processes, Adam, batch 128; seconds, and MB at the peak:", ""]
    measures = ["process, 1 epochs", "process, 10 epochs", "to 97%", "to 98%", "memory"]
    present = [c for c in EVERYONE if not math.isnan(m.get(measures[0], c))]
    lines += table(
        ["", "1 epoch", "10 epochs", "to 97 %", "to 98 %", "peak MB"],
        [[c.name, *(number(m.get(measure, c)) for measure in measures)] for c in present],
    )
    return "\n".join(lines).rstrip() + "\n"


def figure(m: Medians, path: Path) -> None:
    """Four panels: batch size, hidden units, optimizers, and accuracy against seconds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    fig, ((by_batch, by_hidden), (by_optimizer, by_time)) = plt.subplots(2, 2, figsize=(13, 10))
    for axes, title, key, values in (
        (by_batch, "batch size", 1, (1, 8, 32, 128, 512, 4096, IMAGES)),
        (by_hidden, "hidden units", 2, (100, 300, 1000, 3000, 8000)),
    ):
        for c in EVERYONE:
            network: list[list[Any]] = [["adam", 128, 1000] for _ in values]
            for place, value in zip(network, values, strict=True):
                place[key] = value
            seconds = [m.get("epoch", c, *place) for place in network]
            style = {"linestyle": ":"} if c == PRODUCTS else {"marker": "o", "markersize": 4}
            if not all(math.isnan(s) for s in seconds):
                axes.plot(values, seconds, color=c.colour, label=c.name, **style)
        axes.set(xscale="log", yscale="log", xlabel=title, ylabel="seconds per epoch of 60,000")
        axes.set_title(f"Adam, by {title}")
        axes.grid(alpha=0.3)
    by_batch.legend(fontsize=8)
    optimizers = m.optimizers()
    places = range(len(optimizers))
    for name, colour, contenders in (
        ("nnscratch", OURS.colour, (OURS,)),
        ("PyTorch's fastest", TORCH.colour, TORCHES),
    ):
        seconds = [m.least(contenders, optimizer) for optimizer in optimizers]
        by_optimizer.plot(seconds, places, "o", color=colour, label=name)
    by_optimizer.set_yticks(places, optimizers, fontsize=8)
    by_optimizer.invert_yaxis()
    by_optimizer.set(xscale="log", xlabel="seconds per epoch of 60,000")
    by_optimizer.set_title("Optimizers, batches of 128")
    by_optimizer.grid(alpha=0.3)
    by_optimizer.legend(fontsize=8)
    for c in EVERYONE:
        epochs = [e for e in range(1, 16) if not math.isnan(m.get(f"seconds to epoch {e}", c))]
        times = [m.get(f"seconds to epoch {e}", c) for e in epochs]
        right = [100 * m.get(f"accuracy after epoch {e}", c) for e in epochs]
        if epochs:
            by_time.plot(times, right, marker="o", markersize=4, color=c.colour, label=c.name)
    by_time.set(xscale="log", xlabel="seconds since the process began", ylabel="test accuracy in %")
    by_time.set_title("Whole processes, Adam, batches of 128")
    by_time.grid(alpha=0.3)
    for axes in (by_optimizer, by_time):
        axes.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
        axes.minorticks_off()
    if by_time.lines:
        by_time.legend(fontsize=8, loc="lower right")
    fig.tight_layout()
    fig.savefig(path, dpi=110, metadata={"Software": None})


def machine(threads: int, rounds: int) -> str:
    """What the numbers belong to."""
    env = environment()
    packages = ("numpy", "numba", "torch", "jax", "jaxlib", "optax", "scikit-learn")
    versions = [f"{name} {version(name)}" for name in packages if version(name)]
    kernels = env["blas"][0]["architecture"]
    return (
        f"{env['processor']}, {env['cores']} cores, {threads} threads, {rounds} rounds; "
        f"Python {env['python']}, {', '.join(versions)}; OpenBLAS kernels {kernels}. "
        f"`{' '.join(['python', *sys.argv])}`"
    )


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


# --- command -------------------------------------------------------------------------------------

PARTS = {"updates": measure_updates, "processes": measure_processes}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", nargs="?", choices=PARTS, help="measure this part alone")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fast", action="store_true", help="few sizes and optimizers, two epochs")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    wanted = [arguments.part] if arguments.part else list(PARTS)
    path = arguments.out / "speed.csv"
    rows = [old for old in read(path) if part_of(old) not in wanted]
    for part in wanted:
        for found in PARTS[part](arguments.threads, arguments.rounds, arguments.fast):
            rows.append(found)
            with path.open("w", newline="") as file:  # after each, so that nothing is lost
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    medians = Medians(rows)
    page = report(medians, machine(arguments.threads, arguments.rounds))
    (arguments.out / "speed.md").write_text(page, encoding="utf-8")
    figure(medians, arguments.out / "speed.png")
    print(page)


def read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def part_of(row: dict[str, Any]) -> str:
    return "updates" if row["measure"] == "epoch" else "processes"


if __name__ == "__main__":
    main()
