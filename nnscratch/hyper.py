"""A part and its hyper-parameters, each stated once: default, range and meaning.

A part is an optimizer, an activation, an initializer, a loss or a schedule: a frozen dataclass
whose fields are made by `hyper`. Range checks, command-line flags and help read the fields.
"""

import dataclasses
import difflib
import functools
import math
import numbers
import re
import typing
from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

from .errors import UsageError


@dataclass(frozen=True)
class Interval:
    """A range of finite numbers, written as in mathematics: "[0, 1)" holds 0 and not 1."""

    text: str

    def __post_init__(self) -> None:
        self._ends()

    def __contains__(self, number: float) -> bool:
        try:
            number = float(number)
        except OverflowError:  # a whole number beyond the largest float
            return False
        opening, low, high, closing = self._ends()
        above = number >= low if opening == "[" else number > low
        below = number <= high if closing == "]" else number < high
        return math.isfinite(number) and above and below

    def _ends(self) -> tuple[str, float, float, str]:
        match = re.fullmatch(r"([\[(])(\S+), (\S+)([\])])", self.text)
        if match is None:
            raise ValueError(f"not an interval: {self.text!r}; write it like '[0, 1)'")
        return match[1], float(match[2]), float(match[3]), match[4]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Search:
    """Where a good value is looked for, as a distribution of numbers.

    "log [1e-4, 1]"         uniform in the logarithm
    "1 - log [1e-4, 1]"     one minus such a number, for what must stay below 1
    "log x 30"              uniform in the logarithm, from a 30th of the default to 30 times it
    "[0, 1]"                uniform
    "{0, 0.5, 0.9}"         one of these
    """

    text: str

    def __post_init__(self) -> None:
        self.at(0.5, 1.0)

    def at(self, u: float, default: float) -> float:
        """The value below which the share u, in [0, 1), of the distribution lies."""
        scale, numbers = self.read(default)
        if scale == "one of":
            return numbers[math.floor(u * len(numbers))]
        low, high = numbers
        if scale == "log":
            return low * math.pow(high / low, u)
        if scale == "1 - log":
            return 1 - low * math.pow(high / low, 1 - u)
        return low + u * (high - low)

    def read(self, default: float) -> tuple[str, list[float]]:
        """The scale, which is "one of", "log", "1 - log" or "", and its numbers or two ends."""
        if match := re.fullmatch(r"\{(.+)\}", self.text):
            return "one of", [float(choice) for choice in match[1].split(", ")]
        if match := re.fullmatch(r"log x (\S+)", self.text):
            factor = float(match[1])
            return "log", [default / factor, default * factor]
        match = re.fullmatch(r"(1 - log |log |)\[(\S+), (\S+)\]", self.text)
        if match is None:
            raise ValueError(f"no search range: {self.text!r}; write it like 'log [1e-4, 1]'")
        return match[1].strip(), [float(match[2]), float(match[3])]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Hyper:
    """One hyper-parameter, as help texts, flags and tests want to read it."""

    name: str
    kind: type  # float or int
    default: float
    interval: Interval
    meaning: str
    search: Search | None = None

    def check(self, value: object) -> float:
        """The value as a plain Python number; UsageError if it is none, or out of range.

        A Python number, because a NumPy float64 scalar would turn float32 arrays into float64.
        """
        fix = f"{self.name} is the {self.meaning}; the default is {self.default}"
        number: float = checked(self.name, value, self.kind, self.interval, fix)
        return number


def hyper(default: float, interval: str, meaning: str, search: str | None = None) -> Any:
    """A dataclass field for one hyper-parameter.

    `interval` is the allowed range; `meaning` a noun phrase that can follow "the"; `search` says
    where a comparison looks for a good value (see Search), None that it keeps the default. Raises
    ValueError for an interval or a search that is not written like one.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Descent(nn.Elementwise):
    ...     lr: float = nn.hyper(0.1, "(0, inf)", "step size", "log [1e-3, 1]")
    ...     @staticmethod
    ...     def rule(w, dw, *, lr):
    ...         return w - lr * dw
    >>> Descent(lr=0)
    Traceback (most recent call last):
        ...
    nnscratch.errors.UsageError: descent: lr must be a number in (0, inf), got 0 (fix: lr is ...
    """
    metadata: dict[str, Any] = {"interval": Interval(interval), "meaning": meaning}
    if search is not None:
        metadata["search"] = Search(search)
    return dataclasses.field(default=default, metadata=metadata)


def requirement(kind: type, interval: Interval) -> str:
    """What is asked of a number, to be said after "must be"."""
    return f"{'a whole number' if kind is int else 'a number'} in {interval}"


def checked(name: str, value: object, kind: type, interval: Interval, fix: str) -> Any:
    """The value as a Python float or int; UsageError unless it is one, and in the interval."""
    wanted = numbers.Integral if kind is int else numbers.Real
    if isinstance(value, wanted) and not isinstance(value, bool) and value in interval:  # type: ignore[operator]
        return kind(value)
    raise UsageError(f"{name} must be {requirement(kind, interval)}, got {value!r}", fix)


class Part(ABC):
    """What every pluggable part is: named, frozen, checked when made, found by its name.

    The name is the class name in lower case unless the class body says `name = "..."`.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__.lower()

    def __new__(cls, *_: Any, **__: Any) -> Self:
        if any(isinstance(value, dataclasses.Field) for value in vars(cls).values()):
            raise UsageError(
                f"{cls.__name__} states hyper-parameters, but is no dataclass",
                "write @dataclass(frozen=True) above the class",
            )
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for hyper in hypers(type(self)).values():
            try:
                value = hyper.check(getattr(self, hyper.name))
            except UsageError as error:
                raise UsageError(f"{self.name}: {error.what}", error.fix) from None
            object.__setattr__(self, hyper.name, value)


AnyPart = TypeVar("AnyPart", bound=Part)


@functools.cache
def hypers(part: type[Part]) -> dict[str, Hyper]:
    """The hyper-parameters of a part, by name, in the order of the class body."""
    if not dataclasses.is_dataclass(part):
        return {}
    kinds = typing.get_type_hints(part)
    return {
        field.name: Hyper(field.name, kinds[field.name], field.default, **field.metadata)
        for field in dataclasses.fields(part)
        if "interval" in field.metadata
    }


def values(part: Part) -> dict[str, float]:
    """The hyper-parameters of one record, name -> value."""
    return {name: getattr(part, name) for name in hypers(type(part))}


def described(part: Part) -> dict[str, Any]:
    """A part as JSON can hold it: its name, its hyper-parameters, and the parts inside of it."""
    fields: Sequence[Any] = ()
    if dataclasses.is_dataclass(part):
        fields = dataclasses.fields(part)
    found = {field.name: getattr(part, field.name) for field in fields}
    parts = {name: described(value) for name, value in found.items() if isinstance(value, Part)}
    return {"name": part.name, **values(part), **parts}


def in_words(part: Part) -> str:
    """Its name, and its hyper-parameters if it has any: elu(alpha=0.5)."""
    numbers = ", ".join(f"{name}={value:g}" for name, value in values(part).items())
    return f"{part.name}({numbers})" if numbers else part.name


def rebuilt(part: type[AnyPart], description: Mapping[str, Any]) -> AnyPart:
    """The part of that class that `described` described, if no part is inside of it.

    UsageError if its numbers are others, or out of range.
    """
    numbers = {name: value for name, value in description.items() if name != "name"}
    if numbers.keys() != hypers(part).keys():
        what = f"{part.name} has {', '.join(numbers) or 'no numbers'}"
        raise UsageError(what, f"it should have {', '.join(hypers(part)) or 'none'}")
    return part(**numbers)


def known_name(registry: Mapping[str, Any], kind: str, name: str) -> str:
    """The registry's own spelling of a name; UsageError with a near one if it has none."""
    key = name.strip().lower().replace("-", "_")
    if key in registry:
        return key
    near = difflib.get_close_matches(key, registry, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown {kind} {name!r}", f"{guess}choices: {', '.join(registry)}")


def as_part(base: type[AnyPart], registry: Mapping[str, Any], part: str | AnyPart) -> AnyPart:
    """The part itself, or a new one with default hyper-parameters if only its name is given."""
    kind = base.__name__.lower()
    if isinstance(part, str):
        named: AnyPart = registry[known_name(registry, kind, part)]()
        return named
    if not isinstance(part, base):
        raise UsageError(
            f"{part!r} is no {kind}",
            f"give a name, or a record like {next(iter(registry.values()))()!r}",
        )
    return part
