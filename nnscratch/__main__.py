"""The list of the commands: python -m nnscratch"""

import ast
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from .command_line import Parser, run
from .errors import UsageError
from .hyper import known_name

PROG = "python -m nnscratch"
FOLDER = Path(__file__).parent


def main(argv: Sequence[str]) -> None:
    """Print the commands, or tell how the one that was meant is typed."""
    if argv and not argv[0].startswith("-"):
        name = known_name(commands(), "command", argv[0])
        raise UsageError(
            "each command is a module of its own, and its name is joined with a dot",
            f"type {' '.join([f'{PROG}.{name}', *map(shlex.quote, argv[1:])])}",
        )
    Parser(prog=PROG, description="List the commands.").parse_args(argv)
    print(f"{as_text()}\nEach tells its flags with --help.")


def commands() -> dict[str, str]:
    """What each module of the package that has a `main` says of itself, by name.

    That is the first line of its docstring without what is to be typed. The files are read and
    not imported: an import takes a second and may have effects.
    """
    found = {}
    for path in sorted(FOLDER.glob("[!_]*.py")):
        module = ast.parse(path.read_bytes())
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in module.body):
            first_line = (ast.get_docstring(module) or "").partition("\n")[0]
            found[path.stem] = first_line.partition(f": {PROG}.")[0]
    return found


def as_text() -> str:
    """The list for a terminal: what is to be typed, and what it does."""
    found = commands()
    width = max(map(len, found))
    return "\n".join(f"{PROG}.{name:{width}}  {does}" for name, does in found.items())


if __name__ == "__main__":
    sys.exit(run(main))
