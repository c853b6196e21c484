"""The hyper-parameters of parts inside of parts, under names like optimizer__base__lr."""

import dataclasses
from typing import Any

from .hyper import AnyPart, Part, values


def nested(part: Part) -> dict[str, Any]:
    """The numbers of a part, its parts, and theirs: lr, base, base__lr, ..."""
    found: dict[str, Any] = dict(values(part))
    for outer, inner in vars(part).items():
        if isinstance(inner, Part):
            found[outer] = inner
            found |= {f"{outer}__{name}": value for name, value in nested(inner).items()}
    return found


def with_nested(part: AnyPart, name: str, value: Any) -> AnyPart:
    """Another record of that part, in which what `nested` calls so has that value.

    Raises UsageError for a number out of its range. The name has to be one of those.
    """
    outer, _, rest = name.partition("__")
    if rest:
        value = with_nested(getattr(part, outer), rest, value)
    return dataclasses.replace(part, **{outer: value})  # type: ignore[type-var]
