"""What pip is told: each package that is needed, from which version on, and in which extra.

That sdist and wheel hold every file, install and run is seen in `.ci/run`, which builds them.
"""

import ast
import importlib.metadata
import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import nnscratch

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {
    extra: [Requirement(text) for text in texts]
    for extra, texts in PROJECT["optional-dependencies"].items()
}
DEPENDENCIES = [Requirement(text) for text in PROJECT["dependencies"]]
FOR_DEVELOPERS = {"all", "test", "dev"}


def packages(extra: str) -> set[str]:
    """The names of all packages that an extra brings, also through other extras."""
    found = set()
    for wanted in EXTRAS[extra]:
        found |= set().union(*map(packages, wanted.extras)) or {wanted.name}
    return found


def test_the_installed_version_is_that_of_the_project() -> None:
    assert importlib.metadata.version("nnscratch") == PROJECT["version"]


def test_types_are_announced() -> None:
    assert Path(nnscratch.__file__).with_name("py.typed").is_file()


@pytest.mark.parametrize("wanted", [*DEPENDENCIES, *chain(*EXTRAS.values())], ids=str)
def test_each_package_has_an_oldest_version_and_no_newest(wanted: Requirement) -> None:
    operators = [clause.operator for clause in wanted.specifier]
    assert operators == ([] if wanted.name == "nnscratch" else [">="])


def test_all_brings_each_extra_for_users_and_test_brings_all() -> None:
    for_users = set().union(*map(packages, EXTRAS.keys() - FOR_DEVELOPERS))
    assert packages("all") == for_users
    assert packages("test") > for_users
    assert packages("dev") > packages("test")


def test_what_is_imported_is_a_dependency_or_an_extra() -> None:
    """And the other way round, but for the tools of [notebooks], which no module needs."""
    modules = {
        name.partition(".")[0]
        for path in (ROOT / "nnscratch").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        for name in imported(node)
    }
    owners = importlib.metadata.packages_distributions()
    third = modules - sys.stdlib_module_names
    used = {canonicalize_name(owners.get(name, [name])[0]) for name in third}
    declared = {wanted.name for wanted in DEPENDENCIES} | packages("all")
    assert used - declared == set()
    assert declared - used == packages("notebooks")


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [str(node.module)] if isinstance(node, ast.ImportFrom) and not node.level else []


def test_extras_that_are_named_exist() -> None:
    """As in `pip install "nnscratch[fast]"`, `pip install -e ".[fast]"`, and "the extra [fast]"."""
    named = re.compile(r"""(?:nnscratch|["']\.|extras? |\] and )\[([a-z,]+)\]""")
    pages = [*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *(ROOT / "nnscratch").rglob("*.py")]
    found = {
        extra
        for page in pages
        for match in named.finditer(page.read_text(encoding="utf-8"))
        for extra in match[1].split(",")
    }
    assert found >= {"fast", "test", "cluster", "safetensors"}  # one of each way
    assert found <= EXTRAS.keys()
