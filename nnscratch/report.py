"""Make the report of a study anew from its trials: python -m nnscratch.report DIR"""

import sys
from collections.abc import Sequence
from pathlib import Path

from .command_line import Parser, folder, run
from .runs import RunFolder
from .study import design, ledger
from .study.analysis import Analysis, analyse
from .study.pages import write
from .study.protocol import TIERS
from .study.tables import points, signed

PROG = "python -m nnscratch.report"


def main(argv: Sequence[str]) -> None:
    """Read study.json and trials.csv, and write all that follows from them; nothing is trained."""
    parser = Parser(prog=PROG, description="Make the report of a study anew from its trials.")
    parser.add_argument("folder", type=folder, metavar="DIR", help="folder of the study")
    path: Path = parser.parse_args(argv).folder
    design.read(path)  # before the folder is written to
    write_report(RunFolder(path))


def write_report(folder: RunFolder) -> None:
    """Write the report into the study's folder, and print what it comes down to."""
    trials = folder.path / "trials.csv"
    rows = ledger.read(trials) if trials.exists() else []
    analysis = analyse(design.read(folder.path), rows)
    write(folder, analysis)
    print(conclusion(analysis))
    print(f"report {folder.path / 'report.html'}")


def conclusion(analysis: Analysis) -> str:
    """The ranking as lines for a terminal, and every doubt."""
    tier = TIERS[analysis.design.tier]
    lines = [f"tier {tier.name}: {tier.meaning}"]
    for schedule in analysis.design.schedules:
        standings = analysis.of_schedule(schedule)
        width = max((len(s.optimizer) for s in standings), default=0)
        lines.append(
            f"schedule {schedule}: test accuracy, sd over seeds, difference from "
            f"{analysis.design.baseline} in points"
        )
        for s in standings:
            d = s.difference
            lines.append(
                f"  {s.optimizer:{width}}  {100 * s.test.mean:6.2f} %  {points(s.test.sd, 2):>5}  "
                f"{signed(d.mean):>6} [{signed(d.low)}, {signed(d.high)}]  {d.verdict}"
                + (f"  {s.diverged} diverged" if s.diverged else "")
            )
    lines += [f"DOUBT  {doubt}" for doubt in analysis.doubts]
    if analysis.left_out:
        lines.append(
            f"{analysis.left_out} more trials are kept and not shown: of optimizers, seeds, "
            "schedules or code that were not asked for this time"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run(main))
