"""What is taught of optimizers, and whether the numbers bear it out."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from .races import Race
from .troubles import (
    LEAST,
    LOWER,
    PLATEAUS,
    STARTS,
    VALLEY,
    VALLEY_TURNED,
    VALLEYS,
    ZIGZAG,
    ZIGZAG_TURNED,
    Costs,
    Number,
    Trouble,
    gradient_descent,
)

MOMENTUM = ("momentum", "nesterov")
PER_WEIGHT = ("adagrad", "rmsprop", "adadelta", "adam")
ASIDE = 10  # degrees; a gradient within them points at the minimum


def about_races(races: Sequence[Race]) -> Iterator[str]:
    """How each race went, and where the gradients of the first optimizer point."""
    for race in races:
        fast = [f"{p.optimizer.full_name} {p.arrived}" for p in race.order if p.arrived is not None]
        slow = [p.optimizer.full_name for p in race.order if p.arrived is None]
        missing = f"; not: {', '.join(slow)}" if slow else ""
        text = f"gradients to a millionth: {', '.join(fast) or 'none'}{missing}"
        yield f"{race.surface.name}: {text}; {race.departures}"
    angles = {race.surface.name: race.paths[0].angle for race in races}
    aside = [name for name, angle in angles.items() if angle > ASIDE]
    text = ", ".join(f"{name} {angle:.0f}" for name, angle in angles.items())
    yield (
        f"The gradient rarely points at the minimum: {_verdict(len(aside), len(races))}. "
        f"Median of the degrees between the two along the path of "
        f"{races[0].paths[0].optimizer.full_name}, {ASIDE} or less counting as pointing: {text}."
    )


def about_sgd(races: Sequence[Race], rates: str) -> Iterator[str]:
    """Whether it is slower than most of the others."""
    places = {race.surface.name: race.place("sgd") for race in races}
    known = {name: place for name, place in places.items() if place is not None}
    if known:
        slower = sum(place > (len(races[0].paths) + 1) / 2 for place in known.values())
        text = ", ".join(f"{name} {place}" for name, place in known.items())
        yield (
            f"SGD is slower than most, with {rates}: {_verdict(slower, len(known))}. "
            f"Its place among {len(races[0].paths)}: {text}."
        )


def about_troubles(costs: Costs) -> Iterator[str]:
    """What momentum and steps for each weight do about the troubles, SGD being the measure."""
    if "sgd" not in costs[VALLEY]:
        return
    numbers = [costs[trouble]["sgd"].number for trouble in VALLEYS.values()]
    steeper = sum(_more(b, a) for a, b in pairwise(numbers))
    theory = [gradient_descent(ratio) for ratio in VALLEYS]
    yield (
        f"SGD is slow near the minimum of a valley: {_verdict(steeper, len(numbers) - 1)}. "
        f"Gradients to a millionth with the condition numbers {_listed(VALLEYS)}: "
        f"{_listed(numbers)}; in theory {_listed(theory)}."
    )
    momentum = [name for name in MOMENTUM if name in costs[VALLEY]]
    per_weight = [name for name in PER_WEIGHT if name in costs[VALLEY]]
    if momentum:
        yield _by_starts("Momentum jumps over local minima", LOWER, costs, momentum)
        yield _by_starts("Momentum reaches the least minimum", LEAST, costs, momentum)
        yield _over_plateaus(costs, momentum)
    if per_weight:
        yield _against_zigzag("along the axes", ZIGZAG, VALLEY, costs, per_weight)
        yield _against_zigzag("in a turned valley", ZIGZAG_TURNED, VALLEY_TURNED, costs, per_weight)


def _by_starts(claim: str, trouble: Trouble, costs: Costs, names: Sequence[str]) -> str:
    """It holds for each that reaches the end from more starts than SGD, by two standard errors."""
    of = {name: costs[trouble][name].number or 0.0 for name in ("sgd", *names)}

    def error(name: str) -> float:
        return 2 * math.sqrt(sum(of[k] * (100 - of[k]) for k in (name, "sgd")) / STARTS)

    good = sum(of[name] - of["sgd"] > error(name) for name in names)
    text = ", ".join(f"{name} {share:.1f} %" for name, share in of.items())
    unsure = max(map(error, names))
    return (
        f"{claim}: {_verdict(good, len(names))}. Of {STARTS:,} starts: {text}; "
        f"differences up to {unsure:.1f} are within chance."
    )


def _over_plateaus(costs: Costs, names: Sequence[str]) -> str:
    """It holds for each that needs fewer gradients than SGD from every distance."""
    of = {
        name: [costs[trouble][name].number for trouble in PLATEAUS.values()]
        for name in ("sgd", *names)
    }
    good = sum(all(_more(b, a) for a, b in zip(of[name], of["sgd"], strict=True)) for name in names)
    text = "; ".join(f"{name} {_listed(numbers)}" for name, numbers in of.items())
    return (
        f"Momentum jumps over plateaus: {_verdict(good, len(names))}. "
        f"Gradients to a half from {_listed(PLATEAUS)} away: {text}."
    )


def _against_zigzag(
    where: str, zigzag: Trouble, speed: Trouble, costs: Costs, names: Sequence[str]
) -> str:
    """It holds for each that goes across at most half as far as SGD, and arrives sooner."""
    across, gradients = (
        {name: costs[trouble][name].number for name in ("sgd", *names)}
        for trouble in (zigzag, speed)
    )
    good = sum(
        _more(across["sgd"], 2 * (across[name] or math.inf))
        and _more(gradients["sgd"], gradients[name])
        for name in names
    )
    text = "; ".join(f"{name} {shown(across[name])}, {shown(gradients[name])}" for name in across)
    return (
        f"Steps for each weight cure zig-zag {where}: {_verdict(good, len(names))} "
        f"(half of the way across or less, and sooner there). Way across / shortest way, and "
        f"gradients to a millionth: {text}."
    )


def _verdict(good: int, of: int) -> str:
    if good in (0, of):
        return "holds" if good else "does not hold"
    return f"holds in {good} of {of}"


def _more(a: Number, b: Number) -> bool:
    """a > b, None being more than any number."""
    return (math.inf if a is None else a) > (math.inf if b is None else b)


def shown(number: Number) -> str:
    return "never" if number is None else f"{round(number, 2):.3g}"


def _listed(numbers: Iterable[Number]) -> str:
    return ", ".join(map(shown, numbers))
