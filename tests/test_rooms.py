"""The plan of the building: every file is on the map, and stands only on what lies below it."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nnscratch"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def map_of_the_files() -> list[str]:
    """The Python files in the README's map, from the ground up."""
    section = README.split("## The files")[1].split("\n## ")[0]
    return list(re.findall(r"^\s*(\S+\.py) ", section, re.MULTILINE))


def imported(path: Path) -> set[str]:
    """The files of the package that a file imports, relative to the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        folder = path.parents[node.level - 1]
        if node.module:
            targets = [folder.joinpath(*node.module.split("."))]
        else:  # from . import name
            targets = [folder / alias.name for alias in node.names]
        for target in targets:
            files = [f for f in (target.with_suffix(".py"), target / "__init__.py") if f.is_file()]
            assert len(files) == 1, f"{path} imports {target}"
            found.add(str(files[0].relative_to(PACKAGE)))
    return found


FILES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


def test_every_file_is_on_the_map_once_and_every_file_on_the_map_exists() -> None:
    assert sorted(map_of_the_files()) == FILES


@pytest.mark.parametrize("file", FILES)
def test_a_file_imports_only_from_below(file: str) -> None:
    order = map_of_the_files()
    assert imported(PACKAGE / file) <= set(order[: order.index(file)])


def test_there_is_nothing_else_at_the_top() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}
    allowed = {
        "pyproject.toml",
        "nnscratch",
        "data",
        "experiments",
        "tests",
        "notebooks",
        "README.md",
    }
    assert {name for name in top if not name.startswith(".")} <= allowed


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not {Path(file).stem for file in FILES} & {"utils", "util", "helpers", "common", "core"}


def test_the_package_raises_and_never_asserts() -> None:
    """Under python -O an assert is gone."""
    for file in FILES:
        tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Assert)], file
