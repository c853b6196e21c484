"""What a result depends on, as hashes: the code that made it, the images, the settings."""

import ast
import functools
import hashlib
import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.split import Split
from ..hyper import Part
from ..optim.base import Optimizer
from ..runs import described
from . import trials
from .trials import Trial

PACKAGE = Path(__file__).parents[1]
TABLE = PACKAGE / "optim" / "__init__.py"  # an optimizer more in it changes nothing for the others
LENGTH = 16  # hexadecimal digits


def of_data(data: Mapping[str, Split]) -> str:
    """The hash of all images and labels, and of how they reach the network."""
    digest = hashlib.sha256()
    for name, split in data.items():
        digest.update(f"{name} {split.images.shape} {split.unit} {split.dtype}".encode())
        digest.update(np.ascontiguousarray(split.images).tobytes())
        digest.update(split.labels.astype("<i8").tobytes())
    return digest.hexdigest()[:LENGTH]


def of_code(optimizer: Optimizer) -> str:
    """The hash of all source that runs in a trial of the optimizer.

    That is the file `trials.py`, the files of the optimizer's classes, and what they import from
    this package. Comments, docstrings and line breaks do not count, nor do other optimizers. A
    file is read once: what runs does not change with it.
    """
    return _of_classes(tuple(_classes(optimizer)))


def of_trial(trial: Trial, stage: str, code: str) -> str:
    """The hash of a trial's settings, its stage in the study, and its code."""
    return of_settings({"trial": as_json(trial), "stage": stage, "code": code})


def of_settings(settings: Mapping[str, Any]) -> str:
    """The hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:LENGTH]


def as_json(value: Any) -> Any:
    """A record, and the parts inside of it, as JSON can hold them."""
    if isinstance(value, Part):
        return described(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    return list(value) if isinstance(value, tuple) else value


def files_of(optimizer: Optimizer) -> list[Path]:
    """The files of the optimizer's classes, and of those of the optimizer inside of it."""
    return list(dict.fromkeys(Path(inspect.getfile(cls)) for cls in _classes(optimizer)))


def _classes(optimizer: Optimizer) -> Iterator[type[Optimizer]]:
    yield from (cls for cls in type(optimizer).__mro__ if issubclass(cls, Optimizer))
    base = getattr(optimizer, "base", None)
    if isinstance(base, Optimizer):
        yield from _classes(base)


@functools.cache
def _of_classes(classes: Iterable[type[Optimizer]]) -> str:
    files = {Path(trials.__file__), *(Path(inspect.getfile(cls)) for cls in classes)}
    found: set[Path] = set()
    while files:
        file = files.pop()
        if file not in found:
            found.add(file)
            files |= _imports(file)
    digest = hashlib.sha256()
    for name, source in sorted((file.name, _bare_source(file)) for file in found):
        digest.update(f"{name}\n{source}\n".encode())
    return digest.hexdigest()[:LENGTH]


def _imports(file: Path) -> set[Path]:
    """The files of this package that a file of it imports."""
    found: set[Path] = set()
    if not _is_ours(file):
        return found
    for node in ast.walk(ast.parse(_text(file))):
        if isinstance(node, ast.ImportFrom) and node.level:
            place = file.parents[node.level - 1]
            modules = [node.module] if node.module else [alias.name for alias in node.names]
            for module in modules:
                path = place.joinpath(*module.split("."))
                found |= {path.with_suffix(".py"), path / "__init__.py"}
    return {path for path in found if path.is_file() and path != TABLE}


def _is_ours(file: Path) -> bool:
    return PACKAGE in file.parents


def _text(file: Path) -> str:
    return _text_of_ours(file) if _is_ours(file) else file.read_text(encoding="utf-8")


@functools.cache
def _text_of_ours(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _bare_source(file: Path) -> str:
    """The source without comments, docstrings and line breaks of one's own."""
    tree = ast.parse(_text(file))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[0].value.value = ""
    return ast.unparse(tree)


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
