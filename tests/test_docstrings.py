"""The docstrings: every public name has a sentence, its errors, and an example that is true."""

import ast
import doctest
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest

import nnscratch as nn

PACKAGE = Path(nn.__file__).parent
VALUES = [name for name in nn.__all__ if isinstance(vars(nn).get(name), dict) or name == "State"]
EVERY_NAME = pytest.mark.parametrize("name", [name for name in nn.__all__ if name not in VALUES])
METHODS = FunctionType | property | staticmethod | classmethod
PARSER = doctest.DocTestParser()


# --- examples ------------------------------------------------------------------------------------


def examples() -> Iterator[doctest.DocTest]:
    """Those of every docstring in the package, public or not; no file is imported to find them."""
    for file in sorted(PACKAGE.rglob("*.py")):
        if ">>> " in (source := file.read_text(encoding="utf-8")):
            module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
            yield from _examples(module.removesuffix(".__init__"), ast.parse(source), file)


def _examples(name: str, node: Any, file: Path) -> Iterator[doctest.DocTest]:
    if ">>> " in (text := ast.get_docstring(node) or ""):
        yield PARSER.get_doctest(text, {}, name, str(file), node.body[0].lineno - 1)
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            yield from _examples(f"{name}.{child.name}", child, file)


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.name)
def test_what_an_example_shows_is_what_happens(
    example: doctest.DocTest, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NNSCRATCH_ENGINE", "numpy")  # numba takes a second to compile a rule
    example.globs = {"nn": nn, "np": np, "__name__": "__main__"}
    told: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=told.append)
    assert not failed, "".join(told)


# --- completeness --------------------------------------------------------------------------------


@EVERY_NAME
def test_every_public_name_has_a_sentence_and_an_example(name: str) -> None:
    text = inspect.cleandoc(getattr(nn, name).__doc__ or "")
    sentence = text.partition("\n")[0]
    assert re.fullmatch(r"[A-Z]((?!\. ).)+\.", sentence), sentence
    shown = " ".join(example.source + example.want for example in PARSER.get_examples(text))
    assert name.lower() in shown.lower()


def test_every_public_method_has_a_docstring() -> None:
    classes = [part for name in nn.__all__ if isinstance(part := getattr(nn, name), type)]
    found = {(c, name) for c in classes for name in vars(c) if not name.startswith("_")}
    methods = {(c, name) for c, name in found if isinstance(vars(c)[name], METHODS)}
    assert [f"{c.__name__}.{n}" for c, n in methods if not inspect.getdoc(getattr(c, n))] == []


def test_the_package_describes_its_registries_and_shows_them() -> None:
    text = inspect.cleandoc(nn.__doc__ or "")
    assert re.findall(r"^    ([A-Z]\w+)  +\w", text, re.MULTILINE) == VALUES
    shown = " ".join(example.source for example in PARSER.get_examples(text))
    assert re.search(r'nn\.[A-Z]+\["', shown)


@EVERY_NAME
def test_every_error_that_can_be_raised_is_named(name: str) -> None:
    part = getattr(nn, name)
    documented = [one for one in ours(part) if one.__name__ in nn.__all__]
    told = " ".join(text for one in documented for text in docstrings(one))
    assert {error for error in errors_made(part) if error not in told} == set()


def errors_made(part: Any) -> set[str]:
    """The public errors that a function or class makes, and all that it calls, as far as is known.

    Functions and classes that are called by name are followed; methods of arguments, and what is
    looked up in a registry, are not.
    """
    found: set[str] = set()
    waiting, seen = [part], {part}
    while waiting:
        for called in (c for one in ours(waiting.pop()) for c in calls(one)):
            if isinstance(called, type) and issubclass(called, nn.NnscratchError):
                found.add(next(c.__name__ for c in called.__mro__ if c.__name__ in nn.__all__))
            elif called not in seen:
                seen.add(called)
                waiting.append(called)
    return found


def ours(part: Any) -> list[Any]:
    """A function, or a class and those that it derives from, as far as they are this package's."""
    parts = part.__mro__ if isinstance(part, type) else [part]
    return [one for one in parts if str(getattr(one, "__module__", "")).startswith("nnscratch")]


@cache
def calls(part: Any) -> list[Any]:
    """The functions and classes of this package that the source of one calls by their names."""
    found = []
    for node in ast.walk(parsed(part)):
        if isinstance(node, ast.Call) and re.fullmatch(r"[\w.]+", ast.unparse(node.func)):
            first, *rest = ast.unparse(node.func).split(".")
            called = vars(sys.modules[part.__module__]).get(first)  # None for what is local
            for attribute in rest:
                called = getattr(called, attribute, None)
            if hasattr(called, "__name__") and ours(called):
                found.append(called)
    return found


def docstrings(part: Any) -> Iterator[str]:
    """That of a function or class, and those of its methods."""
    for node in ast.walk(parsed(part)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


def parsed(part: Any) -> ast.Module:
    return ast.parse(textwrap.dedent(inspect.getsource(part)))
