"""What a study shows, from its design and its trials."""

from collections.abc import Sequence
from dataclasses import dataclass

from .design import Design
from .doubts import doubts
from .ledger import Row
from .standings import Standing, standings


@dataclass(frozen=True)
class Analysis:
    """All standings, best first within each schedule, and what speaks against believing them."""

    design: Design
    standings: tuple[Standing, ...]
    doubts: tuple[str, ...]
    machines: tuple[str, ...]
    core_hours: float
    trials: int
    left_out: int  # trials of other optimizers, seeds, schedules or code than the design has

    def of_schedule(self, schedule: str) -> list[Standing]:
        return [standing for standing in self.standings if standing.schedule == schedule]


def analyse(design: Design, rows: Sequence[Row]) -> Analysis:
    """What the rows of the design's own code show; rows of other code play no part."""
    codes = {name: competitor.code for name, competitor in design.optimizers.items()}
    own = [
        row
        for row in rows
        if codes.get(row.optimizer) == row.code
        and row.schedule in design.schedules
        and (row.stage != "final" or row.seed <= design.optimizers[row.optimizer].seeds)
    ]
    ranked: list[Standing] = []
    doubted: list[str] = []
    for schedule in design.schedules:
        of_schedule = [row for row in own if row.schedule == schedule]
        found = standings(design, schedule, of_schedule)
        ranked += found
        doubted += doubts(design, schedule, found)
    machines = sorted({row.machine for row in own if row.outcome.status != "failed"})
    if len(machines) > 1:
        doubted.append(
            f"the trials ran on {len(machines)} kinds of machines: {'; '.join(machines)}"
        )
    return Analysis(
        design,
        tuple(ranked),
        tuple(doubted),
        tuple(machines),
        sum(row.wall_seconds for row in own) * design.workload["threads"] / 3600,
        len(own),
        len(rows) - len(own),
    )
