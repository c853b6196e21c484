"""Which errors have been published for multilayer perceptrons on MNIST, and which come out here?

    python experiments/published.py                  the table as it stands
    python experiments/published.py --choose simard  try a row's settings, on validation images
    python experiments/published.py --finish simard  train the best of them, read the test images
    python experiments/published.py --choose all --finish all

A row is a network that somebody has published, and the settings that were tried for it: flags of
the train command. `--choose` trains a network with each, on 50,000 images, and writes its error on
the 10,000 that were set aside to published_choices.csv. `--finish` takes the settings with the
lowest error (or the source's own, where there is nothing to choose), trains a network for each of
three seeds, on all 60,000 images unless the table says otherwise, and reads the test images once
with each. The errors go to published.csv, and the table to published.md. What stands in these files
is not trained again: who wants to see it happen deletes the lines of a row. The command of a
network is the train command that makes the same one, bit for bit with the same BLAS kernels; of
Nielsen's that are judged by the last 10,000 training images, and of a committee, it is this one.

Two networks are trained at a time, each on a core of its own: BLAS wins little by a second one.
"""

import csv
import io
import math
import shlex
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import nnscratch as nn
from nnscratch import blas, command_line
from nnscratch.errors import UsageError
from nnscratch.files import write_whole
from nnscratch.hyper import known_name
from nnscratch.settings import PROG, parse
from nnscratch.train import make_loader, make_model

HERE = Path(__file__).parent
RESULTS = HERE / "results"
WEIGHTS = HERE.parent / "runs" / "published"  # of the networks that are finished, for committees
SEEDS = (0, 1, 2)
CHOOSING = "--val-size 10000"
ALL = "--val-size 0"
ALL_ROWS = "all"
LAST = "last"  # images of the training set: they are Nielsen's validation images
HELD_BACK = 10_000  # of these
PROCESSES = 2
DATASET = "mnist"


@dataclass(frozen=True)
class Row:
    """A published network, and the settings that were tried for it.

    network    layers and tricks, in words
    source     who published an error; None where nobody did
    published  that error, in percent
    target     the largest mean error, in percent, with which the row is reached; None for a network
               that is there for a committee alone
    common     the flags that all settings share
    tried      the flags in which they differ
    images     the flag that says how many images are set aside when a network is finished
    judged_on  the images of the error: "test", "validation", or LAST, which then train no network
    """

    network: str
    source: str | None
    published: float | None
    target: float | None
    common: str
    tried: tuple[str, ...] = ("",)
    images: str = ALL
    judged_on: str = "test"

    @property
    def settings(self) -> list[str]:
        """The flags of each of the settings."""
        return [f"{self.common} {flags}".strip() for flags in self.tried]


@dataclass(frozen=True)
class CommitteeRow:
    """Some networks of other rows, which answer together: of each the first so many seeds."""

    network: str
    source: str
    published: float
    target: float
    of: Mapping[str, int]

    @property
    def members(self) -> list[tuple[str, int]]:
        """The row and the seed of each."""
        return [(row, seed) for row, count in self.of.items() for seed in range(count)]


MNIST = "--dataset mnist"  # and never digits instead
LARGE = "--init normal --std 1"  # Nielsen's large_weight_initializer
NIELSEN = (
    f"{MNIST} --hidden 30 --loss mean_squared_error --opt sgd --lr 3 --batch-size 10 --epochs 30"
)
NIELSEN_L2 = (
    f"{MNIST} --hidden 100 --loss sigmoid_cross_entropy --opt sgd --lr 0.1 --l2 1e-4 "
    f"--batch-size 10 --epochs 60 {LARGE}"
)
SCRATCH = (
    f"{MNIST} --hidden 50 --init normal --std 0.01 --opt sgd --lr 0.1 --batch-size 100 --epochs 17"
)
ADAM = f"{MNIST} --opt adam --schedule cosine"
DEEP = (
    f"{ADAM} --hidden 1024,1024,1024 --dropout 0.5 --input-dropout 0.2 --batch-size 128 --epochs 60"
)
SIMARD = (
    f"{MNIST} --hidden 800 --activation relu --init he_normal --opt momentum --batch-size 128 "
    "--schedule cosine --epochs 40"
)
BENT = f"{ADAM} --batch-size 128 --epochs 100"
SIMARD_BENT = f"{BENT} --hidden 800 --activation relu --init he_normal"
SIMARDS_IMAGES = "the same settings on 50,000 training images, as in the source"
AFFINE = "--rotation 10 --scaling 0.1 --shear 0.1"
ROWS: dict[str, Row | CommitteeRow] = {
    "nielsen_quadratic_large": Row(
        "784-30-10 sigmoid, quadratic cost, SGD 3.0, batches of 10, 30 epochs, weights N(0, 1)",
        "Nielsen 2015, chapter 1 (best epoch of the best of three runs)",
        4.58,
        4.98,
        f"{NIELSEN} {LARGE}",
        images=CHOOSING,
    ),
    "nielsen_quadratic": Row(
        "the same, its first weights chosen",
        "Nielsen 2015, chapter 1",
        4.58,
        4.98,
        NIELSEN,
        (LARGE, "--init lecun_normal", "--init glorot_uniform"),
        images=CHOOSING,
    ),
    "scratch_relu": Row(
        "784-50-10 ReLU, SGD 0.1, batches of 100, 10,200 updates",
        "Saito 2016, chapter 5 (10,000 updates)",
        3.10,
        3.40,
        f"{SCRATCH} --activation relu",
    ),
    "scratch_sigmoid": Row(
        "the same with sigmoid",
        "Saito 2016, whose chapter 5 has ReLU",
        3.10,
        3.40,
        SCRATCH,
    ),
    "nielsen_l2": Row(
        "784-100-10 sigmoid, cross-entropy, L2, batches of 10, 60 epochs, weights N(0, 1)",
        "Nielsen 2015, chapter 3 (best epoch)",
        1.96,
        2.16,
        NIELSEN_L2,
        judged_on=LAST,
    ),
    "nielsen_l2_drawn": Row(
        "the same on 10,000 training images drawn at random",
        "Nielsen 2015, chapter 3",
        1.96,
        2.16,
        NIELSEN_L2,
        images=CHOOSING,
        judged_on="validation",
    ),
    "lecun": Row(
        "784-1000-10 sigmoid, cross-entropy, no tricks",
        "LeCun et al. 1998 (squared error)",
        4.5,
        2.0,
        f"{ADAM} --batch-size 128 --epochs 30",
        ("--lr 0.0005", "--lr 0.001", "--lr 0.002", "--lr 0.004", "--lr 0.008"),
    ),
    "simard": Row(
        "784-800-10 ReLU, cross-entropy, no tricks",
        "Simard et al. 2003",
        1.6,
        1.6,
        SIMARD,
        ("--lr 0.01", "--lr 0.03", "--lr 0.1", "--lr 0.2", "--lr 0.4"),
    ),
    "simard_50000": Row(
        SIMARDS_IMAGES,
        "Simard et al. 2003",
        1.6,
        1.6,
        f"{SIMARD} --lr 0.2",
        images=CHOOSING,
    ),
    "keras": Row(
        "784-512-512-10 ReLU, dropout 0.2, RMSprop, 20 epochs",
        "Keras, examples/mnist_mlp.py",
        1.60,
        1.60,
        f"{MNIST} --hidden 512,512 --activation relu --dropout 0.2 --opt rmsprop --batch-size 128 "
        "--epochs 20",
        (
            "--lr 0.001",
            "--lr 0.0005",
            "--lr 0.001 --schedule cosine",
            "--lr 0.0005 --schedule cosine",
        ),
    ),
    "srivastava_logistic": Row(
        "784-1024-1024-1024-10 sigmoid, dropout",
        "Srivastava et al. 2014",
        1.35,
        1.45,
        DEEP,
        ("--lr 0.0005", "--lr 0.001", "--lr 0.002"),
    ),
    "srivastava_relu": Row(
        "784-1024-1024-1024-10 ReLU, dropout, max-norm",
        "Srivastava et al. 2014",
        1.06,
        1.25,
        f"{DEEP} --activation relu --init he_normal",
        ("--lr 0.001 --max-norm 2", "--lr 0.001 --max-norm 3.5", "--lr 0.0005 --max-norm 2"),
    ),
    "simard_affine": Row(
        "784-800-10 ReLU, affine distortions",
        "Simard et al. 2003",
        1.1,
        1.0,
        f"{SIMARD_BENT} --distortion affine",
        (AFFINE, "--rotation 15 --scaling 0.15 --shear 0.15"),
    ),
    "simard_affine_50000": Row(
        SIMARDS_IMAGES,
        "Simard et al. 2003",
        1.1,
        1.0,
        f"{SIMARD_BENT} --distortion affine --rotation 15 --scaling 0.15 --shear 0.15",
        images=CHOOSING,
    ),
    "simard_elastic": Row(
        "784-800-10 ReLU, elastic distortions",
        "Simard et al. 2003",
        0.7,
        0.7,
        f"{SIMARD_BENT} --distortion elastic",
        ("--intensity 24", "--intensity 34"),
    ),
    "simard_elastic_50000": Row(
        SIMARDS_IMAGES,
        "Simard et al. 2003",
        0.7,
        0.7,
        f"{SIMARD_BENT} --distortion elastic --intensity 24",
        images=CHOOSING,
    ),
    "lecture": Row(
        "784-1000-10 sigmoid, the lecture's network: batch normalization, affine and elastic "
        "distortions",
        None,
        None,
        0.6,
        f"{BENT} --distortion affine_elastic",
        (
            "",
            f"--intensity 24 {AFFINE}",
            "--intensity 16 --rotation 7.5 --scaling 0.075 --shear 0.075",
            f"--intensity 24 {AFFINE} --batch-norm",
            f"--intensity 24 {AFFINE} --batch-norm --lr 0.003",
            f"--intensity 24 {AFFINE} --batch-norm --smoothing 0.1",
        ),
    ),
    "committee": CommitteeRow(
        "five of these networks, which answer together",
        "Meier et al. 2011, 25 networks of 800 units",
        0.39,
        0.5,
        {"lecture": 5},
    ),
    "deep": Row(
        "two hidden layers, batch normalization, affine and elastic distortions",
        None,
        None,
        None,
        f"{BENT} --distortion affine_elastic --intensity 24 {AFFINE} --batch-norm",
        (
            "--hidden 1000,500",
            "--hidden 1000,500 --activation relu --init he_normal",
            "--hidden 1000,1000 --activation relu --init he_normal --dropout 0.2",
        ),
    ),
    "committee_mixed": CommitteeRow(
        "three networks of the row lecture and two of the row deep",
        "Meier et al. 2011",
        0.39,
        0.5,
        {"lecture": 3, "deep": 2},
    ),
}


@dataclass(frozen=True)
class Job:
    """One network to train, and the images that judge it."""

    row: str
    settings: str
    seed: int
    judged_on: str

    def run(self) -> dict[str, object]:
        """Train it on one core, and then look once at those images."""
        blas.set_threads(1)
        began = time.perf_counter()
        asked = parse([*shlex.split(self.settings), "--seed", str(self.seed)])
        data = nn.load_dataset(
            asked.dataset, seed=asked.seed, val_size=asked.val_size, limit=asked.limit
        )
        if self.judged_on == LAST:
            train, last = data.train[:-HELD_BACK], data.train[-HELD_BACK:]
            data = replace(data, train=train, val=last)
        loader = make_loader(asked, data)
        model = make_model(asked, data.train.x.shape[1], data.classes)
        split = data.test if self.judged_on == "test" else data.val
        train_loss, found = math.nan, nn.Evaluation(math.inf, 0.0)
        with suppress(nn.DivergedError):  # settings that diverge were tried, too
            for record in nn.fit(model, asked.opt, loader, asked.epochs, schedule=asked.schedule):
                train_loss = record.train_loss
                if record.epoch % 10 == 0:
                    print(f"{self.row} {self.seed}: epoch {record.epoch}", flush=True)
            found = model.evaluate(split.x, split.labels)
        command = f"{PROG} {self.settings} --seed {self.seed} --threads 1"
        if self.judged_on == LAST:  # the train command draws its validation images
            command = f"python experiments/published.py --finish {self.row}"
        if self.judged_on == "test":
            WEIGHTS.mkdir(parents=True, exist_ok=True)
            nn.save_model(weights_of(self.row, self.seed), model)
        return {
            "row": self.row,
            "settings": self.settings,
            "seed": self.seed,
            "images": len(data.train),
            "epochs": asked.epochs,
            "train_loss": f"{train_loss:.5f}",
            "judged_on": self.judged_on,
            "loss": f"{found.loss:.5f}",
            "error": f"{100 * (1 - found.accuracy):.2f}",
            "seconds": f"{time.perf_counter() - began:.0f}",
            "command": command,
        }


def weights_of(row: str, seed: int) -> Path:
    return WEIGHTS / f"{row}-{seed}.npz"


class Results:
    """The rows of a CSV file, which grows as networks are finished."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = self._read()

    def _read(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def add(self, result: Mapping[str, object]) -> None:
        self.rows = self._read()  # another process may have added some
        self.rows.append({name: str(value) for name, value in result.items()})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_whole(self.path, text.getvalue().encode())

    def of(
        self, row: str, seed: int | None = None, settings: str | None = None
    ) -> list[dict[str, str]]:
        """Those of a row, and of that seed and those settings if they are given."""
        return [
            found
            for found in self.rows
            if found["row"] == row
            and (seed is None or found["seed"] == str(seed))
            and (settings is None or found["settings"] == settings)
        ]


def train_all(jobs: Sequence[Job], results: Results) -> None:
    """Train the networks side by side, and keep each result as it comes.

    What fails is raised when the others are kept.
    """
    failures = []
    pool = ProcessPoolExecutor(PROCESSES, get_context("spawn"))  # a fork would share BLAS's threads
    try:
        for future in as_completed([pool.submit(job.run) for job in jobs]):
            try:
                result = future.result()
            except Exception as error:
                failures.append(error)
                continue
            results.add(result)
            print(" ".join(str(result[name]) for name in ("row", "error", "command")), flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
    if failures:
        raise failures[0]


def choose(name: str, row: Row, choices: Results) -> None:
    """Train a network with each of the settings that have not been tried yet."""
    jobs = [Job(name, f"{flags} {CHOOSING}", 0, "validation") for flags in row.settings]
    train_all([job for job in jobs if not choices.of(name, settings=job.settings)], choices)


def chosen(name: str, row: Row, choices: Results) -> str:
    """The settings with the lowest validation error; of equal ones, the lowest loss."""
    if len(row.settings) == 1:
        return row.settings[0]
    tried = {flags: choices.of(name, settings=f"{flags} {CHOOSING}") for flags in row.settings}
    if lacking := [flags for flags, found in tried.items() if not found]:
        what = f"{len(lacking)} of the settings of {name} have not been tried"
        raise UsageError(what, f"python experiments/published.py --choose {name}")

    def rank(flags: str) -> tuple[float, float]:
        (found,) = tried[flags]
        return float(found["error"]), float(found["loss"])

    return min(tried, key=rank)


def finish(name: str, row: Row, choices: Results, finished: Results, seeds: Iterable[int]) -> None:
    """Train the networks of a row that are not finished yet."""
    flags = f"{chosen(name, row, choices)} {row.images}"
    jobs = [Job(name, flags, seed, row.judged_on) for seed in seeds]
    for found in finished.of(name):
        if found["settings"] != flags:
            what = f"{name} was finished with other settings: {found['settings']}"
            raise UsageError(what, f"delete its lines in {finished.path}")
    train_all([job for job in jobs if not finished.of(name, job.seed)], finished)


def gather(name: str, committee: CommitteeRow, choices: Results, finished: Results) -> None:
    """Let the networks of the committee answer together, once."""
    for row_name, count in committee.of.items():
        row = ROWS[row_name]
        assert isinstance(row, Row)
        finish(row_name, row, choices, finished, range(count))
    if finished.of(name):
        return
    paths = [weights_of(*member) for member in committee.members]
    if missing := [path.stem for path in paths if not path.exists()]:
        what = f"the weights of {', '.join(missing)} are not in {WEIGHTS}"
        raise UsageError(what, f"delete their lines in {finished.path}, to train them again")
    members = nn.Committee(paths)
    test = nn.load_dataset(DATASET, val_size=0).test
    found = members.evaluate(test.x, test.labels)
    trained = [finished.of(*member)[0] for member in committee.members]
    finished.add(
        trained[0]
        | {
            "row": name,
            "settings": "; ".join(dict.fromkeys(member["settings"] for member in trained)),
            "seed": " ".join(f"{row}-{seed}" for row, seed in committee.members),
            "train_loss": "",
            "loss": f"{found.loss:.5f}",
            "error": f"{100 * (1 - found.accuracy):.2f}",
            "seconds": sum(int(member["seconds"]) for member in trained),
            "command": f"python experiments/published.py --finish {name}",
        }
    )


def table(choices: Results, finished: Results) -> str:
    """All rows as a table in Markdown; means over the seeds with their standard deviation."""
    lines = [
        "| row | network | published | ours | wanted | verdict | tried | chosen | minutes |",
        "| --- | --- | --: | --: | --: | --- | --: | --- | --: |",
    ]
    for name, row in ROWS.items():
        tried, chosen_flags = "", ""
        if isinstance(row, Row):
            found = [result for seed in SEEDS for result in finished.of(name, seed)]
            is_finished = len(found) == len(SEEDS)
            tried = "1"
            if len(row.settings) > 1:
                tried = str(len({result["settings"] for result in choices.of(name)}))
            if is_finished and len(row.settings) > 1:
                flags = found[0]["settings"].removeprefix(row.common).removesuffix(row.images)
                chosen_flags = f"`{flags.strip()}`"
        else:
            found = finished.of(name)
            is_finished = bool(found)
        ours, verdict, minutes = "", "not finished", ""
        if is_finished:
            errors = [float(result["error"]) for result in found]
            mean = statistics.fmean(errors)
            spread = f" ± {statistics.stdev(errors):.2f}" if len(errors) > 1 else ""
            ours = f"{mean:.2f}{spread}"
            if row.target is None:
                verdict = ""
            else:
                is_reached = mean < row.target or math.isclose(mean, row.target)
                verdict = "reached" if is_reached else "**missed**"
            minutes = f"{statistics.fmean(float(result['seconds']) for result in found) / 60:.1f}"
        cells = [
            name,
            f"{row.network} ({row.source})" if row.source else row.network,
            f"{row.published:.2f}" if row.published else "",
            ours,
            f"{row.target:.2f}" if row.target else "",
            verdict,
            tried,
            chosen_flags,
            minutes,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def named(asked: Sequence[str], rows: Mapping[str, object]) -> list[str]:
    if ALL_ROWS in asked:
        return list(rows)
    return [known_name(rows, "row", name) for name in asked]


def main(argv: Sequence[str]) -> None:
    parser = command_line.Parser(
        prog="python experiments/published.py", description=(__doc__ or "").partition("\n")[0]
    )
    choosable = {
        name: row for name, row in ROWS.items() if isinstance(row, Row) and len(row.tried) > 1
    }
    text = f"try the settings of these rows: {ALL_ROWS}, {', '.join(choosable)}"
    parser.add_argument("--choose", nargs="+", default=(), metavar="ROW", help=text)
    text = f"finish these rows: {ALL_ROWS}, {', '.join(ROWS)}"
    parser.add_argument("--finish", nargs="+", default=(), metavar="ROW", help=text)
    asked = parser.parse_args(argv)
    choices = Results(RESULTS / "published_choices.csv")
    finished = Results(RESULTS / "published.csv")
    for name in named(asked.choose, choosable):
        choose(name, choosable[name], choices)
    for name in named(asked.finish, ROWS):
        row = ROWS[name]
        if isinstance(row, CommitteeRow):
            gather(name, row, choices, finished)
        else:
            finish(name, row, choices, finished, SEEDS)
    text = table(choices, finished)
    print(text)
    write_whole(RESULTS / "published.md", f"{text}\n".encode())


if __name__ == "__main__":
    sys.exit(command_line.run(main))
