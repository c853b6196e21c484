"""What a study compares, as study.json keeps it beside the trials."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .fingerprint import of_settings
from .protocol import TIERS

FILE = "study.json"
FORMAT = 2  # one more whenever the fields or the protocol change


@dataclass(frozen=True)
class Competitor:
    """One optimizer of a study.

    opt        as it was asked for: a name of the registry, or FILE.py:CLASS
    defaults   its hyper-parameters before any tuning
    lr         its learning rate likewise, None if it has none
    seeds      number of final trials
    code       hash of the code that its trials run
    """

    opt: str
    defaults: dict[str, float]
    lr: float | None
    seeds: int
    code: str


@dataclass(frozen=True)
class Design:
    """A study: what is the same in all its trials, and what is compared.

    Two studies of the same `identity` may share a folder, and then they share trials.
    """

    tier: str
    epochs: int
    workload: dict[str, Any]
    images: dict[str, int]
    schedules: list[str]
    seeds: int
    baseline: str
    optimizers: dict[str, Competitor]
    command: str

    @property
    def tuning_epochs(self) -> int:
        return TIERS[self.tier].tuning_epochs(self.epochs)

    @property
    def identity(self) -> str:
        return of_settings({"tier": self.tier, "epochs": self.epochs, "workload": self.workload})

    def difference(self, other: "Design") -> str:
        """What makes the other one another study, in words."""
        mine, theirs = ({"tier": d.tier, "epochs": d.epochs, **d.workload} for d in (self, other))
        return ", ".join(
            f"{name.replace('_', ' ')} {_shown(value)} and not {_shown(theirs[name])}"
            for name, value in mine.items()
            if value != theirs[name]
        )

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, "identity": self.identity, **asdict(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Design":
        """The design that `to_json` wrote; ValueError for anything else."""
        fields = dict(content)
        if fields.pop("format", None) != FORMAT:
            raise ValueError("not a study of this version")
        identity = fields.pop("identity")
        competitors = {name: Competitor(**entry) for name, entry in fields["optimizers"].items()}
        design = cls(**fields | {"optimizers": competitors})
        if design.identity != identity:
            raise ValueError("it was changed by hand")
        return design


def _shown(value: Any) -> str:
    """A setting in words: a part by its name, sizes as 784-1000-10."""
    if isinstance(value, dict):
        return str(value["name"])
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def read(folder: Path) -> Design:
    """The design of the study in a folder; UsageError if there is none."""
    path = folder / FILE
    if not path.exists():
        what = f"{folder} holds no study"
        raise UsageError(what, f"give the folder in which nnscratch.compare left its {FILE}")
    try:
        return Design.from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        what = f"{path} cannot be read ({error.strerror})"
        raise UsageError(what, "give the folder of a study of nnscratch.compare") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"{path} describes no study ({error})"
        raise UsageError(what, "give another folder, or let nnscratch.compare make one") from None
