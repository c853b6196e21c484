"""Draw a digit and see what a trained network makes of it: python -m nnscratch.demo RUN_DIR"""

import sys
import warnings
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from . import trained
from .command_line import Parser, add_number, folder, refuse_repeated, run
from .datasets import Split, load_dataset
from .demo_page import page
from .errors import DataError, NnscratchWarning, UsageError
from .files import write_whole
from .hyper import Interval

PROG = "python -m nnscratch.demo"
HOST = "127.0.0.1"  # nobody else reaches it
NAMES = (HOST, "localhost")  # under which the page is asked for
PORT = 8000
PORTS = 100  # that are tried, from there on
PATIENCE_SECONDS = 10.0  # with a browser that connects and asks for nothing


def main(argv: Sequence[str]) -> None:
    """Write the page of a trained network, and serve it until Ctrl-C."""
    parser = Parser(prog=PROG, description="Draw digits, and see what a network makes of them.")
    trained.add_arguments(parser)
    trained.add_data_dir(parser)
    text = "the page (default demo.html beside the network)"
    parser.add_argument("--out", type=folder, metavar="FILE", help=text)
    group = parser.add_argument_group("serving it to this machine")
    text = f"port; the first free one from {PORT} on if not given"
    add_number(group, "port", int, Interval("[1, 65535]"), text, None)
    group.add_argument("--no-serve", action="store_true", help="write the page and end")
    refuse_repeated(argv)
    given = parser.parse_args(argv)
    network = trained.read(given)
    content = page(network, _tested(network.dataset, given.data_dir)).encode()
    path = given.out or network.folder / "demo.html"
    write_whole(path, content)
    print(f"{path}, {len(content) / 1e6:.1f} MB: opens without network, also from the disk")
    if not given.no_serve:
        with serving(content, given.port) as server:
            address = f"http://{HOST}:{server.server_port}/"
            print(f"{address} shows it until Ctrl-C", flush=True)
            server.serve_forever()


def _tested(dataset: str, data_dir: Path | None) -> Split | None:
    """The test images of the data set that it learned from.

    If they are not there, a warning; an error if somebody said where they are.
    """
    try:
        return load_dataset(dataset, data_dir=data_dir, val_size=0).test
    except DataError as error:
        if data_dir is not None:
            raise
        message = f"the page has no test digits to choose from: {error.what} ({error.fix})"
        warnings.warn(message, NnscratchWarning, stacklevel=2)
        return None


class Handler(BaseHTTPRequestHandler):
    """Answers / with one page, and everything else with 404; logs nothing.

    A request for another host gets 421: some other page has given its own name this address, and
    would read the answer (DNS rebinding). The port may be another one, through a tunnel.
    """

    server_version = "nnscratch"
    sys_version = ""
    timeout = PATIENCE_SECONDS

    def __init__(self, content: bytes, *request: Any) -> None:
        self.content = content
        super().__init__(*request)

    def do_HEAD(self) -> None:
        status, kind, body = self._answer()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")  # the next run has the same address
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_GET = do_HEAD

    def _answer(self) -> tuple[HTTPStatus, str, bytes]:
        name = self.headers.get("Host", "").partition(":")[0].lower()
        if name not in NAMES:
            return HTTPStatus.MISDIRECTED_REQUEST, "text/plain", b"Ask for http://localhost\n"
        if self.path.partition("?")[0] != "/":
            return HTTPStatus.NOT_FOUND, "text/plain", b"There is one page here: /\n"
        return HTTPStatus.OK, "text/html", self.content

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Serves one page; that a browser went away meanwhile is no error."""

    def __init__(self, content: bytes, port: int) -> None:
        super().__init__((HOST, port), partial(Handler, content))

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def serving(content: bytes, port: int | None) -> Server:
    """A server at that port, or at the first that is free; UsageError if there is none."""
    refusal = ""
    for number in range(PORT, PORT + PORTS) if port is None else [port]:
        try:
            return Server(content, number)
        except OSError as error:
            refusal = f"port {number} cannot be had ({error.strerror})"
    raise UsageError(refusal, "choose another one with --port, or --no-serve")


if __name__ == "__main__":
    sys.exit(run(main))
