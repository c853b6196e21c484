"""What a result depends on, as hashes: the code that made it, the images, the settings."""

import ast
import functools
import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from ..hyper import Part, described
from ..optim.base import Optimizer
from . import trials
from .trials import Trial

PACKAGE = Path(__file__).parents[1]
TABLE = PACKAGE / "optim" / "__init__.py"  # an optimizer more in it changes nothing for the others
LENGTH = 16  # hexadecimal digits


def of_code(optimizer: Optimizer) -> str:
    """The hash of all source that runs in a trial of the optimizer.

    That is the file `trials.py`, the files of the optimizer's classes, and what they import from
    this package; for an optimizer of the user's own also from beside its file. Comments,
    docstrings and line breaks do not count, nor do other optimizers. A file is read once: what
    runs does not change with it.
    """
    return _of_classes(tuple(_classes(optimizer)))


def of_trial(trial: Trial, stage: str) -> str:
    """The hash of a trial's settings, its stage in the study, and its code."""
    code = of_code(trial.optimizer)
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


def own_files(optimizer: Optimizer) -> dict[str, tuple[Path, list[Path]]]:
    """For each module that is none of this package's: its root, its file, and those it needs.

    The root is the folder from which the module and those that it imports are found.
    """
    found = {}
    for cls in _classes(optimizer):
        place = _place(cls)
        if not _is_ours(place.file):
            needed = {file for file in _closure({place}) if not _is_ours(file)} - {place.file}
            found[cls.__module__] = place.root, [place.file, *sorted(needed)]
    return found


@dataclass(frozen=True)
class Place:
    """A file of source, and the folder from which its absolute imports are looked for."""

    file: Path
    root: Path


def _place(cls: type) -> Place:
    file = Path(inspect.getfile(cls))
    return Place(file, file.parents[cls.__module__.count(".")])


def _classes(optimizer: Optimizer) -> Iterator[type[Optimizer]]:
    """The optimizer's classes, and those of the optimizer inside of it."""
    yield from (cls for cls in type(optimizer).__mro__ if issubclass(cls, Optimizer))
    base = getattr(optimizer, "base", None)
    if isinstance(base, Optimizer):
        yield from _classes(base)


@functools.cache
def _of_classes(classes: tuple[type[Optimizer], ...]) -> str:
    files = _closure({_place(trials.Trial), *map(_place, classes)})
    digest = hashlib.sha256()
    for name, source in sorted((file.name, _bare_source(file)) for file in files):
        digest.update(f"{name}\n{source}\n".encode())
    return digest.hexdigest()[:LENGTH]


def _closure(places: set[Place]) -> set[Path]:
    """The files, and all that they import of this package or from beside a user's file."""
    found: set[Path] = set()
    waiting = set(places)
    while waiting:
        place = waiting.pop()
        if place.file not in found:
            found.add(place.file)
            waiting |= {Place(file, place.root) for file in _imports(place)}
    return found


def _imports(place: Place) -> set[Path]:
    """The files that one file imports.

    This package imports itself relatively; what the __init__.py of its folders do does not count. A
    user's file has this package from where it is installed, and all else from its root.
    """
    is_ours, found = _is_ours(place.file), set[Path]()
    for node in _import_statements(_text(place.file)):
        if isinstance(node, ast.ImportFrom) and node.level:
            modules = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {p for m in modules for p in _files(place.file.parents[node.level - 1], m)}
        elif isinstance(node, ast.ImportFrom) and node.module and not is_ours:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {p for m in inner for p in _with_packages(place.root, m)}
        elif isinstance(node, ast.Import) and not is_ours:
            found |= {p for a in node.names for p in _with_packages(place.root, a.name)}
    if is_ours:
        return {path for path in found - {TABLE} if path.is_file()}
    return {path for path in found if path.is_file() and not _is_ours(path)}


def _files(folder: Path, module: str) -> set[Path]:
    path = folder.joinpath(*module.split("."))
    return {path.with_suffix(".py"), path / "__init__.py"}


def _with_packages(root: Path, module: str) -> set[Path]:
    """The files of the module and of the packages that it lies in."""
    names = module.split(".")
    return {p for k in range(len(names)) for p in _files(root, ".".join(names[: k + 1]))}


def _is_ours(file: Path) -> bool:
    return PACKAGE in file.parents


def _text(file: Path) -> str:
    return _text_of_ours(file) if _is_ours(file) else file.read_text(encoding="utf-8")


@functools.cache
def _text_of_ours(file: Path) -> str:
    return file.read_text(encoding="utf-8")


@functools.cache
def _import_statements(source: str) -> tuple[ast.Import | ast.ImportFrom, ...]:
    nodes = ast.walk(ast.parse(source))
    return tuple(node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


def _bare_source(file: Path) -> str:
    """The source without comments, docstrings and line breaks of one's own."""
    return _without_remarks(_text(file))


@functools.cache
def _without_remarks(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and _has_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> bool:
    return ast.get_docstring(node, clean=False) is not None
