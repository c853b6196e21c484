"""Downloading MNIST, against servers on this machine that behave and misbehave."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from test_datasets import FILE, IMAGES, LABEL_FILE, LABELS, idx_bytes

import nnscratch as nn
from nnscratch import cache
from nnscratch.datasets import mnist

FILES = (FILE, LABEL_FILE)
PACKED = {
    f"{FILE.name}.gz": gzip.compress(idx_bytes(IMAGES)),
    f"{LABEL_FILE.name}.gz": gzip.compress(idx_bytes(LABELS)),
}
Reply = Callable[[BaseHTTPRequestHandler, str], None]


class Server:
    """A mirror with a reply of its own to GET; it counts what it is asked."""

    def __init__(self, reply: Reply) -> None:
        asked = self.asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(200)
                self.end_headers()

            def do_GET(self) -> None:
                asked.append(self.path)
                reply(self, self.path.rpartition("/")[2])

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/mnist/"


@pytest.fixture
def serve() -> Iterator[Callable[[Reply], Server]]:
    servers: list[Server] = []

    def start(reply: Reply) -> Server:
        servers.append(Server(reply))
        return servers[-1]

    yield start
    for server in servers:
        server.server.shutdown()
        server.server.server_close()


def send(request: BaseHTTPRequestHandler, body: bytes, length: int | None = None) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(body) if length is None else length))
    request.end_headers()
    request.wfile.write(body)


def good(request: BaseHTTPRequestHandler, name: str) -> None:
    send(request, PACKED[name])


def web_page(request: BaseHTTPRequestHandler, name: str) -> None:
    send(request, b"<!DOCTYPE html><p>Please log in to this network.")


def other_bytes(request: BaseHTTPRequestHandler, name: str) -> None:
    send(request, gzip.compress(idx_bytes(IMAGES[::-1])))


def cut(request: BaseHTTPRequestHandler, name: str) -> None:
    send(request, PACKED[name][:20], length=len(PACKED[name]))


def forbidden(request: BaseHTTPRequestHandler, name: str) -> None:
    request.send_error(403)


def stall(request: BaseHTTPRequestHandler, name: str) -> None:
    send(request, PACKED[name][:10], length=len(PACKED[name]))
    time.sleep(20)


def garbled(request: BaseHTTPRequestHandler, name: str) -> None:
    request.wfile.write(b"ICY 200 what is this\r\n\r\n")


def bad_chunks(request: BaseHTTPRequestHandler, name: str) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")


def test_the_files_arrive_whole_and_are_read(serve, tmp_path: Path, capsys) -> None:
    server = serve(good)
    mnist.download(tmp_path / "new" / "cache", FILES, [server.url])
    images, labels = mnist.read(tmp_path / "new" / "cache", FILES)
    assert (images == IMAGES).all()
    assert (labels == LABELS).all()
    assert sorted(p.name for p in (tmp_path / "new" / "cache").iterdir()) == sorted(PACKED)
    assert server.url in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Retry downloading")
@pytest.mark.parametrize("bad", [web_page, other_bytes, cut, forbidden, stall, garbled, bad_chunks])
def test_whatever_one_mirror_does_the_other_is_tried(bad, serve, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(mnist, "STALL_SECONDS", 0.3)
    first, second = serve(bad), serve(good)
    began = time.monotonic()
    mnist.download(tmp_path, FILES, [first.url, second.url])
    assert (mnist.read(tmp_path, FILES)[0] == IMAGES).all()
    assert first.asked
    assert len(second.asked) == 2
    assert time.monotonic() - began < 15


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Retry downloading")
@pytest.mark.parametrize("bad", [web_page, other_bytes, cut, forbidden, garbled])
def test_with_no_good_mirror_nothing_is_left_and_each_reason_is_told(bad, serve, tmp_path) -> None:
    first, second = serve(bad), serve(bad)
    with pytest.raises(nn.DataError) as error:
        mnist.download(tmp_path, FILES, [first.url, second.url])
    assert first.url in error.value.what
    assert second.url in error.value.what
    assert "data/mnist" in error.value.fix
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(serve, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(nn.DataError, match="cannot be written"):
        mnist.download(tmp_path / "file" / "cache", FILES, [serve(good).url])


def test_mirrors_are_asked_over_https_only() -> None:
    assert len(mnist.MIRRORS) == 2
    assert all(mirror.startswith("https://") for mirror in mnist.MIRRORS)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_refused_connection_is_noticed_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(nn.DataError, match="no mirror of it answers"):
        mnist.download(tmp_path, FILES, [f"http://127.0.0.1:{unused_port()}/"] * 2)
    assert time.monotonic() - began < 2


@pytest.mark.slow
def test_a_name_server_that_never_answers_is_given_up_within_ten_seconds(
    tmp_path, monkeypatch
) -> None:
    """No time limit of a socket covers the look-up of a name."""
    over = threading.Event()

    def look_up(*_: object, **__: object) -> None:
        over.wait(60)
        raise socket.gaierror("no answer")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    began = time.monotonic()
    with pytest.raises(nn.DataError, match="no mirror of it answers"):
        mnist.download(tmp_path, FILES, mnist.MIRRORS)
    assert time.monotonic() - began < 10
    over.set()


def test_a_garbled_greeting_is_no_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"220 mail.example.org ESMTP\r\n")

        threading.Thread(target=talk, daemon=True).start()
        with pytest.raises(nn.DataError, match="no mirror of it answers"):
            mnist.download(tmp_path, FILES, [f"http://127.0.0.1:{server.getsockname()[1]}/"])


@pytest.mark.slow
def test_a_server_that_accepts_and_says_nothing_is_given_up_within_ten_seconds(tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(nn.DataError, match="no mirror of it answers"):
            mnist.download(tmp_path, FILES, [f"http://127.0.0.1:{silent.getsockname()[1]}/"] * 2)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("platform", "variable", "where"),
    [
        ("darwin", {"HOME": "/home/kim"}, "/home/kim/Library/Caches/nnscratch"),
        ("win32", {"LOCALAPPDATA": "/kim/local"}, "/kim/local/nnscratch"),
        ("win32", {"HOME": "/home/kim", "LOCALAPPDATA": ""}, "/home/kim/nnscratch"),
        ("linux", {"HOME": "/home/kim"}, "/home/kim/.cache/nnscratch"),
        ("linux", {"XDG_CACHE_HOME": "/cache"}, "/cache/nnscratch"),
        ("linux", {"XDG_CACHE_HOME": "here", "HOME": "/home/kim"}, "/home/kim/.cache/nnscratch"),
    ],
)
def test_files_are_kept_where_the_system_keeps_such_files(
    platform: str, variable: dict[str, str], where: str, monkeypatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cache.sys, "platform", platform)
    assert cache.user_cache() == Path(where)
