"""Show the layers of a network as a table: python -m nnscratch.summary [RUN_DIR]"""

import sys
from collections.abc import Sequence

from .command_line import Parser, folder, run
from .settings import parse
from .train import make_model
from .trained import CLASSES, PIXELS, load

PROG = "python -m nnscratch.summary"


def main(argv: Sequence[str]) -> None:
    """Print the table of a trained network, or of the one that the train command would make."""
    parser = Parser(
        prog=PROG,
        usage=f"{PROG} [-h] [RUN_DIR | FLAGS]",
        description="Show the layers of a network as a table, with their parameters counted.",
        epilog="FLAGS are those of python -m nnscratch.train, such as --hidden 300,100 --init "
        "he_normal --no-bias: the table is then of the network that it would train.",
    )
    text = "folder of a run, or the file of a network: .npz, .safetensors"
    parser.add_argument("run", nargs="?", type=folder, metavar="RUN_DIR", help=text)
    if argv and (argv[0] in ("-h", "--help") or not argv[0].startswith("-")):
        model = load(parser.parse_args(argv).run).model
    else:
        model = make_model(parse(argv), PIXELS, CLASSES)
    print(model.summary())


if __name__ == "__main__":
    sys.exit(run(main))
