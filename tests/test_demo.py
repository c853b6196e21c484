"""The demo: one page that draws, sees and answers, and the command that serves it."""

import base64
import http.client
import io
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnscratch as nn
from nnscratch import demo
from nnscratch.command_line import run
from nnscratch.demo_page import page as page_of
from nnscratch.formats import native
from nnscratch.formats.native import Saved
from nnscratch.handwriting import as_digits, as_mnist
from nnscratch.trained import Trained

RATE = 0.01  # where the slider of the learning rate stands at first


def small(**settings: Any) -> nn.MLP:
    """784-12-8-10 with weights, biases and statistics that leave no unit at rest."""
    model = nn.MLP([784, 12, 8, 10], **{"dtype": "float64", **settings})
    rng = np.random.default_rng(3)
    model.w += 0.1 * rng.normal(size=model.w.shape)
    for name, moving in model.moving.items():
        moving[...] = (
            rng.normal(size=len(moving)) if name[0] == "m" else rng.gamma(2, size=len(moving))
        )
    return model


def text_of(
    model: nn.MLP, tested: nn.Split | None = None, *, dataset: str = "mnist", unit: float = 255.0
) -> str:
    return page_of(Trained(model, dataset, unit, Path()), tested)


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    return json.loads(found[1])


def ten_digits() -> nn.Split:
    """Thirty noisy images, three of each digit."""
    images = np.random.default_rng(5).integers(0, 256, (30, 784))
    return nn.Split(images.astype(np.uint8), np.arange(30) % 10, unit=255.0)


# --- the page, without a browser -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_page_holds_every_bit_of_the_weights(dtype: str) -> None:
    model = small(dtype=dtype)
    data = data_of(text_of(model))
    assert base64.b64decode(data["w"]) == model.w.tobytes()
    assert data["dtype"] == dtype


LIMITED = nn.Regularization(dropout=0.5, input_dropout=0.2, l2=0.1, max_norm=2)
NORMED = {
    "normed": {"batch_norm": True, "activation": "relu"},
    "normed, no bias": {"batch_norm": True, "bias": False, "loss": "mean_squared_error"},
    "dropout": {"regularization": LIMITED},
    "both": {"batch_norm": True, "regularization": LIMITED, "activation": "tanh"},
}


@pytest.mark.parametrize("name", NORMED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_normalization_is_part_of_the_weights_of_the_page(name: str, dtype: str) -> None:
    """What the page holds answers as the network does: x W + b, layer by layer."""
    model = small(**NORMED[name], dtype=dtype)
    text = text_of(model)
    data = data_of(text)
    plain = nn.MLP(data["sizes"], model.activation, loss=model.loss, bias=data["bias"], dtype=dtype)
    plain.w = np.frombuffer(base64.b64decode(data["w"]), dtype)
    x = np.random.default_rng(1).random((20, 784)).astype(dtype)
    limit = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(plain.predict_proba(x), model.predict_proba(x), rtol=0, atol=limit)
    about = text.partition('id="about">')[2].partition("<")[0]
    assert ("with batch normalization, which is folded into" in about) is model.batch_norm
    assert f"{len(plain.w):,} weights in {dtype}" in about


def test_two_test_images_of_each_digit_can_be_chosen() -> None:
    tested = ten_digits()
    examples = data_of(text_of(small(), tested))["examples"]
    assert [example["label"] for example in examples] == [k for k in range(10) for _ in "ab"]
    for example in examples:
        assert example["label"] == tested.labels[example["number"]]
        pixels = base64.b64decode(example["pixels"])
        assert pixels == tested.images[example["number"]].tobytes()


def test_the_page_names_nothing_elsewhere() -> None:
    text = text_of(small(), ten_digits())
    assert "http" not in text.replace("http-equiv", "")
    assert not re.search(r"\bsrc=|url\(|@import", text)


def test_the_page_says_what_the_network_learned_from_and_knows_no_other_images() -> None:
    assert "trained on mnist" in text_of(small())
    assert "trained on digits" in text_of(small(), dataset="digits")
    smoothed = nn.LOSSES["softmax_cross_entropy"](smoothing=0.1)
    assert "softmax_cross_entropy, smoothing 0.1, trained" in text_of(small(loss=smoothed))
    assert "softmax_cross_entropy, trained" in text_of(small())
    with pytest.raises(nn.UsageError, match="unknown data set of digits 'fashion'"):
        text_of(small(), dataset="fashion")


@pytest.mark.parametrize("sizes", [[64, 20, 10], [784, 20, 26]], ids=["inputs", "outputs"])
def test_a_network_of_other_sizes_is_refused(sizes: list[int]) -> None:
    with pytest.raises(nn.UsageError, match=f"{sizes[0]} inputs and {sizes[-1]} outputs"):
        text_of(nn.MLP(sizes))


def test_an_activation_of_ones_own_is_refused_by_its_name() -> None:
    class Cube(nn.Activation):
        def forward(self, z: np.ndarray, a: np.ndarray) -> None:
            np.power(z, 3, out=a)

        def backward(self, da: np.ndarray, z: np.ndarray, a: np.ndarray, dz: np.ndarray) -> None:
            dz[...] = da * 3 * z**2

    with pytest.raises(nn.UsageError, match="cube is an activation or a loss of your own"):
        text_of(small(activation=Cube()))


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is left of a run on the digits set, as far as this command reads it."""
    (tmp_path / native.FILE).write_bytes(native.to_bytes(Saved(small(), "digits", 255.0)))
    return tmp_path


def test_the_command_writes_the_page_beside_the_network(folder: Path, capsys: Any) -> None:
    assert run(demo.main, [str(folder), "--no-serve"]) == 0
    tested = nn.load_dataset("digits").test
    text = text_of(small(), tested, dataset="digits")
    assert (folder / "demo.html").read_text() == text
    assert str(folder / "demo.html") in capsys.readouterr().out


def test_the_page_goes_where_out_says(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    assert run(demo.main, [str(folder / native.FILE), "--no-serve", "--out", str(out)]) == 0
    assert out.exists()
    assert not (folder / "demo.html").exists()


def test_without_a_network_the_command_says_so(tmp_path: Path, capsys: Any) -> None:
    assert run(demo.main, [str(tmp_path), "--no-serve"]) == nn.CheckpointError.exit_code
    assert "no trained network" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_the_test_images_the_page_is_written_with_a_warning(
    folder: Path, monkeypatch: Any
) -> None:
    (folder / native.FILE).write_bytes(native.to_bytes(Saved(small(), "mnist", 255.0)))
    monkeypatch.setenv("NNSCRATCH_DATA", str(folder / "nowhere"))
    with pytest.warns(nn.NnscratchWarning, match="no test digits"):
        demo.main([str(folder), "--no-serve"])
    assert data_of((folder / "demo.html").read_text())["examples"] == []


def test_the_test_images_are_taken_from_where_data_dir_says(
    folder: Path, monkeypatch: Any, capsys: Any
) -> None:
    (folder / native.FILE).write_bytes(native.to_bytes(Saved(small(), "mnist", 255.0)))
    asked = []

    def load(name: str, *, data_dir: Path | None, val_size: int) -> nn.Dataset:
        asked.append((name, data_dir))
        return nn.Dataset("mnist", 10, ten_digits(), ten_digits(), ten_digits())

    with monkeypatch.context() as patch:
        patch.setattr(demo, "load_dataset", load)
        assert run(demo.main, [str(folder), "--no-serve", "--data-dir", "images"]) == 0
    assert asked == [("mnist", Path("images"))]
    assert len(data_of((folder / "demo.html").read_text())["examples"]) == 20
    nowhere = str(folder / "nowhere")
    assert run(demo.main, [str(folder), "--no-serve", "--data-dir", nowhere]) == 3
    assert "nowhere is no folder" in capsys.readouterr().err


@pytest.fixture
def server() -> Iterator[demo.Server]:
    with demo.serving(b"<p>the page", None) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield found
        finally:
            found.shutdown()
            thread.join()


def ask(
    server: demo.Server, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_the_server_has_one_page_and_no_files(server: demo.Server, capfd: Any) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert ask(server, "/") == (200, b"<p>the page")
    assert ask(server, "/?again") == (200, b"<p>the page")
    assert ask(server, "/", "HEAD") == (200, b"")
    here = str(Path.cwd())
    for path in ("/README.md", "/demo.html", "/../../etc/passwd", "/%2e%2e/", here):
        status, body = ask(server, path)
        assert (status, here.encode() in body) == (404, False)
    assert ask(server, "/", "POST")[0] == 501
    assert capfd.readouterr() == ("", "")


def test_a_page_elsewhere_that_gave_its_name_this_address_reads_nothing(
    server: demo.Server,
) -> None:
    port = server.server_port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "LocalHost", "localhost:9"):
        assert ask(server, "/", headers={"Host": host}) == (200, b"<p>the page")
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "", "[::1]"):
        status, body = ask(server, "/", headers={"Host": host})
        assert (status, b"the page" in body) == (421, False)


def test_a_browser_that_goes_away_is_no_error(capfd: Any) -> None:
    with demo.serving(b" " * 50_000_000, None) as found:
        thread = threading.Thread(target=found.handle_request)
        thread.start()
        with socket.create_connection(found.server_address[:2]) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            connection.recv(1000)
        thread.join()
        workers = [one for one in threading.enumerate() if "process_request" in one.name]
        for worker in workers:
            worker.join(10)
    assert capfd.readouterr() == ("", "")


def test_a_port_that_is_taken_is_refused_if_it_was_asked_for(server: demo.Server) -> None:
    taken = server.server_port
    with pytest.raises(nn.UsageError, match=f"port {taken} cannot be had"):
        demo.serving(b"", taken)
    with demo.serving(b"", None) as other:
        assert other.server_port > taken


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_serves_until_it_is_stopped(folder: Path, stop: int, code: int) -> None:
    command = [sys.executable, "-m", "nnscratch.demo", str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command,
        stdout=pipe,
        stderr=pipe,
        text=True,
        # behind nohup or & SIGINT is ignored, and who is started inherits that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            assert process.stdout is not None
            assert "demo.html" in process.stdout.readline()
            address = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
            assert address is not None
            connection = http.client.HTTPConnection(address[0], timeout=10)
            connection.request("GET", "/")
            assert connection.getresponse().read() == (folder / "demo.html").read_bytes()
            connection.close()
            os.kill(process.pid, stop)
            _, told = process.communicate(timeout=20)
        finally:
            process.kill()  # else it would be waited for without end
    assert process.returncode == code
    assert "Traceback" not in told


# --- in a browser: the numbers -------------------------------------------------------------------


@dataclass
class Page:
    """A page in the browser, as somebody uses it."""

    browser: Any

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def element(self, name: str) -> Any:
        return self.browser.find_element("id", name)

    def all(self, selector: str) -> list[Any]:
        return self.browser.find_elements("css selector", selector)

    def wait(self, until: Any) -> Any:
        from selenium.webdriver.support.wait import WebDriverWait

        return WebDriverWait(self.browser, 20, poll_frequency=0.02).until(lambda _: until())

    def settle(self) -> None:
        """Until the page has shown what was done last."""
        self.browser.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        )

    def says(self, beginning: str) -> None:
        """Wait until the sentence that a screen reader reads begins so."""
        self.wait(lambda: self.element("says").text.startswith(beginning))

    def answers(self) -> list[float]:
        """The shares that the table has, in percent."""
        cells = self.all("#chances td:last-child")
        return [float(cell.text.removesuffix("%")) for cell in cells if "%" in cell.text]

    def keys(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.browser).send_keys(*keys).perform()

    def draw(self, *strokes: Sequence[tuple[float, float]]) -> None:
        """With the mouse, in shares of the paper."""
        from selenium.webdriver.common.actions.action_builder import ActionBuilder

        actions = ActionBuilder(self.browser, duration=8)
        for stroke in strokes:
            for k, (x, y) in enumerate(self.places(stroke)):
                actions.pointer_action.move_to_location(round(x), round(y))
                if k == 0:
                    actions.pointer_action.pointer_down()
            actions.pointer_action.pointer_up()
        actions.perform()

    def places(self, stroke: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """Where the points of a stroke lie in the window."""
        box = self.run(
            "const box = paper.getBoundingClientRect(); return [box.left, box.top, box.width]"
        )
        return [(box[0] + x * box[2], box[1] + y * box[2]) for x, y in stroke]


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens pages; afterwards none may have been complained of, or have asked for anything."""

    def shown(text: str, width: int = 1100) -> Page:
        size(browser, width)
        file = tmp_path / "demo.html"
        file.write_text(text, encoding="utf-8")
        browser.get(file.as_uri())
        return Page(browser)

    browser.get("about:blank")
    browser.get_log("browser")
    yield shown
    assert browser.get_log("browser") == []
    asked = browser.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert [name for name in asked if not name.startswith("data:")] == []
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def size(browser: Any, width: int, height: int = 900) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )


@pytest.fixture(scope="module")
def trained(mnist: nn.Dataset) -> nn.MLP:
    """The network of the main job after one epoch."""
    model = nn.MLP([784, 1000, 10])
    loader = nn.mini_batch(mnist.train, 128, seed=0)
    for _ in nn.fit(model, nn.OPTIMIZERS["adam"](lr=4e-3), loader, epochs=1):
        pass
    return model


@pytest.fixture(scope="module")
def text(trained: nn.MLP, mnist: nn.Dataset) -> str:
    return text_of(trained, mnist.test)


@pytest.fixture
def page(show: Any, text: str) -> Page:
    return show(text)


@pytest.mark.slow
def test_it_answers_as_the_network_does_to_a_thousand_test_digits(
    page: Page, trained: nn.MLP, mnist: nn.Dataset
) -> None:
    digits = mnist.test.images[:1000]
    script = """
        const text = atob(arguments[0]), answers = [];
        for (let at = 0; at < text.length; at += 784) {
          const pixels = Float64Array.from({length: 784}, (_, k) => text.charCodeAt(at + k));
          answers.push(nnscratch.predict(pixels.map(byte => byte / 255)));
        }
        return answers;
    """
    answers = np.array(page.run(script, base64.b64encode(digits.tobytes()).decode()))
    ours = trained.predict_proba(mnist.test.x[:1000])
    assert answers.shape == (1000, 10)
    assert np.abs(answers - ours).max() < 1e-4
    assert (answers.argmax(axis=1) == mnist.test.labels[:1000]).mean() > 0.9


LOSS_NAMES = list(nn.LOSSES)
NETWORKS = {
    **{
        f"{name}-{LOSS_NAMES[k % 3]}": {"activation": name, "loss": LOSS_NAMES[k % 3]}
        for k, name in enumerate(nn.ACTIVATIONS)
    },
    "other slope": {"activation": nn.ACTIVATIONS["leaky_relu"](slope=0.3), "bias": False},
    "other alpha": {"activation": nn.ACTIVATIONS["elu"](alpha=0.4), "loss": LOSS_NAMES[1]},
    "no bias": {"loss": LOSS_NAMES[2], "bias": False},
    "dropout": {"regularization": nn.Regularization(dropout=0.5, input_dropout=0.2)},
    "smoothed": {"loss": nn.LOSSES["softmax_cross_entropy"](smoothing=0.1)},
}


def loss_of(model: nn.MLP, x: np.ndarray, label: int) -> float:
    """The loss with all units at work; its gradient is left in dw."""
    plain = nn.MLP(model.sizes, model.activation, loss=model.loss, bias=model.bias, dtype="float64")
    plain.w = model.w
    loss = plain.loss_and_grad(x, np.array([label]))
    model.dw = plain.dw
    return loss


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_answers_and_steps_as_ours_to_the_last_digits(show: Any, name: str) -> None:
    page, model = show(text_of(small(**NETWORKS[name]))), small(**NETWORKS[name])
    rng = np.random.default_rng(1)
    for label in (0, 9):
        x = 6 * rng.random((1, 784)) * (rng.random((1, 784)) < 0.2)  # sums of some size
        assert page.run("return nnscratch.predict(arguments[0])", x[0].tolist()) == pytest.approx(
            model.predict_proba(x)[0], abs=1e-12
        )
        script = "return nnscratch.step(arguments[0], arguments[1], 0.05)"
        step = page.run(script, x[0].tolist(), label)
        before, start = model.predict_proba(x)[0], model.w.copy()
        loss = loss_of(model, x, label)
        predicted = loss - 0.05 * float(model.dw @ model.dw)
        model.w -= 0.05 * model.dw
        after = model.predict_proba(x)[0]
        later = loss_of(model, x, label)
        model.w = start
        assert step["before"] == pytest.approx(before, abs=1e-12)
        assert step["after"] == pytest.approx(after, abs=1e-12)
        assert np.abs(after - before).max() > 1e-4
        assert step["losses"] == pytest.approx([loss, later], rel=1e-9)
        assert step["predicted"] == pytest.approx(predicted, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", NORMED)
def test_a_normalized_network_answers_in_the_browser_and_can_take_a_step(
    show: Any, name: str
) -> None:
    """The step is one of the weights that the page holds, and mends the answer."""
    model = small(**NORMED[name])
    page = show(text_of(model))
    rng = np.random.default_rng(1)
    x = rng.random((1, 784)) * (rng.random((1, 784)) < 0.2)
    found = page.run("return nnscratch.predict(arguments[0])", x[0].tolist())
    assert found == pytest.approx(model.predict_proba(x)[0], abs=1e-12)
    label = int(np.argmin(found))
    script = "return nnscratch.step(arguments[0], arguments[1], 1e-4)"
    step = page.run(script, x[0].tolist(), label)
    assert step["after"][label] > step["before"][label]
    assert step["losses"][1] == pytest.approx(step["predicted"], abs=0.02 * step["losses"][0])
    assert "batch normalization" in page.element("about").text or not model.batch_norm


@pytest.mark.slow
@pytest.mark.parametrize("unit", [255.0, 1.0], ids=["divided", "raw"])
def test_networks_without_hidden_layer_or_with_raw_pixels_work_too(show: Any, unit: float) -> None:
    model = nn.MLP([784, 10], dtype="float64")
    page = show(text_of(model, unit=unit))
    page.draw([(0.5, 0.2), (0.5, 0.8)])
    page.settle()
    seen = np.array(page.run("return nnscratch.seen()"), dtype=float)
    assert seen.max() == pytest.approx(255 / unit)
    answers = model.predict_proba(seen[np.newaxis])[0]
    assert page.answers() == pytest.approx(100 * answers, abs=0.06)
    assert page.element("layer").text.strip() == "outputs, 10 units"
    assert not page.element("examples").is_displayed()  # there are none


# --- in a browser: drawing -----------------------------------------------------------------------

CIRCLE = [
    (0.5 + 0.2 * math.sin(t), 0.5 - 0.3 * math.cos(t)) for t in np.linspace(0, 2 * math.pi, 25)
]
DRAWN = {
    0: [CIRCLE],
    1: [[(0.53, 0.2), (0.5, 0.5), (0.47, 0.8)]],
    4: [[(0.35, 0.2), (0.3, 0.5), (0.65, 0.5)], [(0.65, 0.2), (0.62, 0.8)]],
    7: [[(0.3, 0.2), (0.5, 0.2), (0.7, 0.2), (0.6, 0.45), (0.5, 0.65), (0.45, 0.8)]],
}


@pytest.mark.slow
@pytest.mark.parametrize("digit", DRAWN)
def test_a_digit_that_is_drawn_with_the_mouse_is_read(page: Page, digit: int) -> None:
    assert page.answers() == []
    page.draw(*DRAWN[digit])
    page.says(f"This looks like {digit}, ")
    assert np.argmax(page.answers()) == digit
    assert sum(page.answers()) == pytest.approx(100, abs=0.5)
    page.element("clear").click()
    page.says("Nothing is drawn yet.")
    assert page.run("return nnscratch.seen()") is None


@pytest.mark.slow
def test_the_answer_is_there_while_the_line_is_drawn(page: Page) -> None:
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    actions = ActionBuilder(page.browser, duration=8)
    stroke = page.places(DRAWN[1][0])
    actions.pointer_action.move_to_location(*map(round, stroke[0])).pointer_down()
    actions.pointer_action.move_to_location(*map(round, stroke[-1]))
    actions.perform()
    page.says("This looks like 1")  # the button is still down
    actions = ActionBuilder(page.browser)
    actions.pointer_action.pointer_up()
    actions.perform()


@pytest.mark.slow
def test_escape_ends_the_line_under_way(page: Page) -> None:
    from selenium.webdriver import Keys
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    actions = ActionBuilder(page.browser, duration=8)
    here, there = [(round(x), round(y)) for x, y in page.places([(0.3, 0.3), (0.7, 0.7)])]
    actions.pointer_action.move_to_location(*here).pointer_down().move_to_location(*there)
    actions.perform()
    page.keys(Keys.ESCAPE)
    actions = ActionBuilder(page.browser, duration=8)
    actions.pointer_action.move_to_location(*here).pointer_up()
    actions.perform()
    page.settle()
    assert page.run("return nnscratch.seen()") is None


@pytest.mark.slow
def test_undo_takes_back_one_stroke(page: Page) -> None:
    page.draw(DRAWN[4][0])
    page.settle()
    first = page.run("return nnscratch.seen()")
    page.draw(DRAWN[4][1])
    page.settle()
    assert page.run("return nnscratch.seen()") != first
    page.element("undo").click()
    page.settle()
    assert page.run("return nnscratch.seen()") == first


@pytest.mark.slow
def test_a_digit_is_drawn_and_cleared_with_the_keyboard_alone(page: Page) -> None:
    from selenium.webdriver import Keys

    while page.run("return document.activeElement.id") != "paper":
        page.keys(Keys.TAB)
    page.keys(*[Keys.ARROW_UP] * 6, Keys.SPACE)
    assert page.element("told").get_property("textContent") == (
        "Pen down, 50 % from the left, 20 % from the top"
    )
    page.keys(*[Keys.ARROW_DOWN] * 12, Keys.SPACE)
    page.says("This looks like 1")
    page.keys(*[Keys.ARROW_LEFT] * 3)  # the pen is up
    page.settle()
    assert page.run("return nnscratch.seen().filter(ink => ink > 0).length") < 100
    page.keys(Keys.ESCAPE)
    page.says("Nothing is drawn yet.")


@pytest.mark.slow
def test_a_digit_is_drawn_with_a_finger(show: Any, text: str) -> None:
    page = show(text, width=360)
    send = page.browser.execute_cdp_cmd
    send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        for k, (x, y) in enumerate(page.places(DRAWN[7][0])):
            kind = "touchMove" if k else "touchStart"
            send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.says("This looks like 7")
    finally:
        send("Emulation.setTouchEmulationEnabled", {"enabled": False})


@pytest.mark.slow
def test_a_finger_that_goes_up_draws_and_does_not_scroll(show: Any, text: str) -> None:
    """The page is long: a finger that goes up anywhere else moves it."""
    page = show(text, width=360)
    page.run("scrollTo(0, 60)")
    page.settle()
    send = page.browser.execute_cdp_cmd
    send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        for k, (x, y) in enumerate(page.places([(0.5, share) for share in (0.8, 0.6, 0.4, 0.2)])):
            kind = "touchMove" if k else "touchStart"
            send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.says("This looks like 1")
        assert page.run("return scrollY") == 60
    finally:
        send("Emulation.setTouchEmulationEnabled", {"enabled": False})


@pytest.mark.slow
def test_a_test_digit_is_chosen_with_the_keyboard_and_its_truth_is_told(
    page: Page, mnist: nn.Dataset
) -> None:
    from selenium.webdriver import Keys

    while page.run("return document.activeElement.ariaLabel ?? ''") != "Test image 0, a 7":
        page.keys(Keys.TAB)
    page.keys(Keys.ENTER)
    page.says("This looks like 7")
    assert page.element("says").text.endswith("In truth it is 7.")
    assert page.run("return nnscratch.seen()") == pytest.approx(mnist.test.x[0], abs=1e-7)
    page.draw(*DRAWN[1])  # takes its place
    page.says("This looks like 1")
    assert "truth" not in page.element("says").text


# --- in a browser: what is shown -----------------------------------------------------------------


def choose_example(page: Page, label: int) -> None:
    page.all("#examples button")[2 * label].click()
    page.settle()


@pytest.mark.slow
def test_a_unit_shows_its_weights_and_to_which_digit_it_pushes(page: Page, trained: nn.MLP) -> None:
    weights = {p.name: p.w for p in trained.parameters}
    choose_example(page, 3)
    page.run("unit.select()")
    page.element("unit").send_keys("417")
    page.settle()
    incoming, outgoing = weights["W1"][:, 416], weights["W2"][416]
    assert float(page.element("heaviest-plus").text) == pytest.approx(
        np.abs(incoming).max(), abs=5e-4
    )
    told = page.element("unit-says").text
    assert f"most towards {outgoing.argmax()} (+{outgoing.max():.3f}" in told
    assert f"away from {outgoing.argmin()} (\u2212{-outgoing.min():.3f}" in told
    # each pixel of the picture has the colour of its sign
    colours = page.run(
        "const {width} = weights, cell = width / 28;"
        "const {data} = weights.getContext('2d').getImageData(0, 0, width, width);"
        "const at = k => (Math.floor(k / 28) * cell + 1) * width + k % 28 * cell + 1;"
        "return Array.from({length: 784}, (_, k) => [...data.slice(4 * at(k), 4 * at(k) + 4)])"
    )
    for weight, (red, _, blue, _) in zip(incoming, colours, strict=True):
        if abs(weight) > 0.1 * np.abs(incoming).max():
            assert (red > blue) == (weight > 0)


@pytest.mark.slow
def test_the_field_of_the_unit_may_hold_anything_and_then_says_what_is_shown(show: Any) -> None:
    from selenium.webdriver import Keys

    page = show(text_of(small(), ten_digits()))  # 12 units
    choose_example(page, 3)
    field = page.element("unit")
    for typed, shown, still in [("2.5", 2, "2.5"), ("99", 9, "99"), ("1e1", 10, "1e1")]:
        page.run("unit.select()")
        field.send_keys(typed)
        page.settle()
        assert page.element("unit-says").text.startswith(f"Unit {shown}: ")
        assert field.get_property("value") == still
        field.send_keys(Keys.TAB)
        assert field.get_property("value") == str(shown)
    page.run("layer.value = 1; layer.dispatchEvent(new Event('change'))")  # 8 units
    page.settle()
    assert field.get_property("value") == "1"
    assert page.element("unit-says").text.startswith("Unit 1: ")


@pytest.mark.slow
@pytest.mark.parametrize("weight", [-1.0, 0.0])
def test_units_that_push_away_have_no_bar(show: Any, weight: float) -> None:
    model = small(activation="sigmoid")
    model.parameters[-2].w[...] = weight
    page = show(text_of(model, ten_digits()))
    page.run("layer.value = 1; layer.dispatchEvent(new Event('change'))")
    choose_example(page, 3)
    assert len(page.all("#top tbody tr")) == 8
    bars = "return [...document.querySelectorAll('#top .bars div')].map(bar => bar.style.width)"
    assert page.run(bars) == ["0%"] * 8


@pytest.mark.slow
def test_the_units_that_push_hardest_are_listed_in_order_and_open_on_a_click(
    page: Page, trained: nn.MLP, mnist: nn.Dataset
) -> None:
    weights = {p.name: p.w for p in trained.parameters}
    choose_example(page, 3)
    x = np.array(page.run("return nnscratch.seen()"))
    a = 1 / (1 + np.exp(-(x @ weights["W1"] + weights["b1"])))
    pushes = a * weights["W2"][:, trained.predict(x[np.newaxis])[0]]
    rows = [row.text.split() for row in page.all("#top tbody tr")]
    assert [int(row[0]) - 1 for row in rows] == (-pushes).argsort()[:8].tolist()
    assert [float(row[-1]) for row in rows] == pytest.approx(np.sort(pushes)[:-9:-1], abs=6e-4)
    page.all("#top button")[2].click()
    page.settle()
    assert page.element("unit").get_property("value") == rows[2][0]
    assert page.element("unit-says").text.startswith(f"Unit {rows[2][0]}: z = ")


@pytest.mark.slow
def test_pointing_at_a_unit_shows_it_and_going_away_shows_the_chosen_one(page: Page) -> None:
    from selenium.webdriver import ActionChains

    units = page.element("units")
    cell = units.size["width"] / 40  # columns, of a thousand units
    page.run("arguments[0].scrollIntoView({block: 'center'})", units)
    half = [-units.size["width"] / 2, -units.size["height"] / 2]
    place = [round(half[0] + 2.5 * cell), round(half[1] + 1.5 * cell)]
    ActionChains(page.browser).move_to_element_with_offset(units, *place).perform()
    page.settle()
    assert page.element("unit-says").text.startswith("Unit 43")
    ActionChains(page.browser).move_to_element(page.element("units-head")).perform()
    page.settle()
    assert page.element("unit-says").text.startswith("Unit 1.")


@pytest.mark.slow
def test_deeper_layers_show_what_each_pixel_adds(show: Any) -> None:
    """Their sums' derivatives by the pixels, against differences."""
    model = small(activation="tanh")
    page = show(text_of(model, ten_digits()))
    choose_example(page, 4)
    page.run("layer.value = 1; layer.dispatchEvent(new Event('change'))")
    page.settle()
    x = np.array(page.run("return nnscratch.seen()"))
    first, *_ = page.all("#layer option")
    assert first.text == "hidden layer 1, 12 units"

    def sums(x: np.ndarray) -> np.ndarray:
        w = {p.name: p.w for p in model.parameters}
        return np.tanh(x @ w["W1"] + w["b1"]) @ w["W2"] + w["b2"]

    differences = [(sums(x + d)[0] - sums(x - d)[0]) / 2e-4 for d in 1e-4 * np.eye(784)]
    shown = float(page.element("heaviest-plus").text)
    assert shown == pytest.approx(np.abs(differences).max(), abs=6e-4)


def loss_told(page: Page) -> list[float]:
    """Before, after, and as a plane would have it."""
    told = re.findall(r" to (\S+?)[;,]| from (\S+)", page.element("step-says").text)
    return [float((a or b).replace("\u2212", "-")) for a, b in told]


@pytest.mark.slow
def test_a_step_is_shown_then_applied_and_taken_back(
    page: Page, trained: nn.MLP, mnist: nn.Dataset
) -> None:
    choose_example(page, 3)
    x = np.float32(page.run("return nnscratch.seen()"))[np.newaxis]
    before = page.answers()
    page.all("#labels input")[8].click()  # it is to learn that this 3 is an 8
    page.settle()
    model = nn.MLP([784, 1000, 10])
    model.w = trained.w
    loss = model.loss_and_grad(x, np.array([8]))
    model.w -= RATE * model.dw
    after = 100 * model.predict_proba(x)[0]
    assert page.answers() == before  # nothing is changed yet
    assert loss_told(page)[0] == pytest.approx(loss, abs=1e-3)
    assert loss_told(page)[1] == pytest.approx(model.evaluate(x, np.array([8])).loss, abs=1e-3)
    cells = [cell.text for cell in page.all("#steps td:nth-child(4)")]
    assert [float(cell.removesuffix("%")) for cell in cells] == pytest.approx(after, abs=0.01)
    page.element("apply").click()
    page.settle()
    assert page.answers() == pytest.approx(after, abs=0.06)
    assert "1 step applied" in page.element("step-says").text
    page.element("reset").click()
    page.settle()
    assert page.answers() == before
    assert not page.element("reset").is_enabled()


@pytest.mark.slow
def test_a_longer_step_changes_more(page: Page) -> None:
    from selenium.webdriver import Keys

    choose_example(page, 5)
    page.all("#labels input")[6].click()
    seen = []
    for key in (Keys.HOME, Keys.END):
        page.element("rate").send_keys(key)
        page.settle()
        seen.append((page.element("rate-value").text, loss_told(page)))
    (low, small_step), (high, large_step) = seen
    assert (low, high) == ("0.001", "1")
    assert small_step[0] == large_step[0] > small_step[1] > large_step[1]


# --- in a browser: centring ----------------------------------------------------------------------


@pytest.mark.slow
def test_the_ink_fits_20_pixels_and_its_centre_of_mass_is_in_the_middle(show: Any) -> None:
    """Wherever it was drawn and however large; the limits are those of MNIST's own images."""
    page = show(text_of(small()))
    rows, columns = np.mgrid[:280, :280]
    for height, width, top, left in [(120, 60, 10, 200), (33, 70, 240, 5), (260, 200, 0, 0)]:
        inside = (rows - top - height / 2) ** 2 / (height / 2) ** 2 + (
            columns - left - width / 2
        ) ** 2 / (width / 2) ** 2 < 1
        script = "return nnscratch.centred(arguments[0], 280)"
        ink = inside & (columns - left < width * 0.8)  # lopsided
        seen = np.reshape(page.run(script, ink.ravel().astype(int).tolist()), (28, 28))
        tall, wide = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        assert max(np.ptp(tall), np.ptp(wide)) == 19
        cell = max(np.ptp(np.flatnonzero(ink.any(1))), np.ptp(np.flatnonzero(ink.any(0)))) + 1
        # but for the rounding of the shorter side to whole pixels
        assert seen.sum() == pytest.approx(ink.sum() * (20 / cell) ** 2, rel=0.06)
        assert seen.max() == pytest.approx(1)
        mass = seen.sum()
        assert abs(seen.sum(axis=1) @ np.arange(28) / mass - 14) <= 0.5 + 1e-9
        assert abs(seen.sum(axis=0) @ np.arange(28) / mass - 14) <= 0.5 + 1e-9


def ring(height: float, width: float, thick: float) -> np.ndarray:
    rows, columns = np.mgrid[:280, :280] - 139.5
    within = [
        (rows / (height / 2 - off)) ** 2 + (columns / (width / 2 - off)) ** 2 < 1
        for off in (0, thick)
    ]
    return within[0] & ~within[1]


def bars(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Of top, left, height and width."""
    picture = np.zeros((280, 280), bool)
    for top, left, height, width in boxes:
        picture[top : top + height, left : left + width] = True
    return picture


INKS = {  # most of them with a centre of mass between two pixels, and sides that end in a half
    "bar": bars((40, 40, 100, 10)),
    "thin bar": bars((40, 40, 40, 5)),
    "wide bar": bars((90, 30, 25, 200)),
    "square": bars((40, 40, 100, 100)),
    "cross": bars((40, 120, 200, 22), (129, 40, 22, 182)),
    "ell": bars((20, 40, 150, 20), (150, 40, 20, 110)),
    "zero": ring(160, 100, 12),
    "large zero": ring(200, 130, 12),
    "small zero": ring(120, 78, 12),
    "circle": ring(111, 111, 17),
}


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["mnist", "digits"])
def test_the_same_ink_becomes_the_same_picture_here_and_in_the_predict_command(
    show: Any, dataset: str
) -> None:
    page = show(text_of(small(), dataset=dataset))
    centre = {"mnist": as_mnist, "digits": as_digits}[dataset]
    for name, ink in INKS.items():
        script = "return nnscratch.centred(arguments[0], 280)"
        seen = np.reshape(page.run(script, ink.ravel().astype(int).tolist()), (28, 28))
        assert np.abs(seen - centre(1.0 - ink) / 255).max() <= 1 / 255, name


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["mnist", "digits"])
def test_a_drawing_is_centred_as_the_predict_command_centres_its_picture(
    show: Any, dataset: str
) -> None:
    from PIL import Image

    page = show(text_of(small(), dataset=dataset))
    centre = {"mnist": as_mnist, "digits": as_digits}[dataset]
    ell = [[(0.3, 0.2), (0.33, 0.8), (0.55, 0.74)]]
    for strokes in (DRAWN[7], ell):  # whose sides and centres are far from a half pixel
        page.element("clear").click()
        page.draw(*strokes)
        page.settle()
        with Image.open(io.BytesIO(page.element("paper").screenshot_as_png)) as picture:
            grey = np.asarray(picture.convert("L"), float)[4:-4, 4:-4] / 255  # without its border
        seen = np.reshape(page.run("return nnscratch.seen()"), (28, 28))
        assert np.abs(centre(grey) / 255 - seen).mean() < 0.01
        assert (seen > 0.5).sum() > 20


# --- in a browser: for everybody -----------------------------------------------------------------

LUMINANCE = """
    const luminance = color => color.match(/[\\d.]+/g).slice(0, 3)
      .map(part => part / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
      .reduce((sum, c, k) => sum + [0.2126, 0.7152, 0.0722][k] * c, 0);
    const contrast = (one, other) => {
      const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    };
    const behind = element => {
      for (; element; element = element.parentElement) {
        const color = getComputedStyle(element).backgroundColor;
        if (color !== "rgba(0, 0, 0, 0)") return color;
      }
    };
"""
CONTRASTS = (
    LUMINANCE
    + """
    const seen = [...document.querySelectorAll("body *")].filter(element =>
      element.checkVisibility() && !element.disabled && !element.closest("script") &&
      [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
    return seen.map(element =>
      [element.outerHTML.slice(0, 80), contrast(getComputedStyle(element).color, behind(element))]);
"""
)
EDGES = (
    LUMINANCE
    + """
    return [...document.querySelectorAll("button, select, input[type=number], .picture")]
      .filter(element => element.checkVisibility() && !element.disabled)
      .map(element => [element.outerHTML.slice(0, 80),
        contrast(getComputedStyle(element).borderTopColor, behind(element.parentElement))]);
"""
)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("by", ["system", "choice"])
def test_it_can_be_read_in_both_schemes(page: Page, scheme: str, by: str) -> None:
    other = {"light": "dark", "dark": "light"}[scheme]
    media = [{"name": "prefers-color-scheme", "value": scheme if by == "system" else other}]
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    if by == "choice":
        page.element("scheme").send_keys(scheme)
    choose_example(page, 2)
    texts = page.run(CONTRASTS)
    assert len(texts) > 100
    assert [(text, ratio) for text, ratio in texts if ratio < 4.5] == []  # WCAG 2.2, 1.4.3
    edges = page.run(EDGES)
    assert len(edges) > 20
    assert [(text, ratio) for text, ratio in edges if ratio < 3] == []  # WCAG 2.2, 1.4.11
    # the canvases follow the scheme: the corner of what the network sees is empty
    corner = page.run("return [...seen.getContext('2d').getImageData(1, 1, 1, 1).data]")
    assert (sum(corner[:3]) > 3 * 128) == (scheme == "light")


@pytest.mark.slow
def test_nothing_sticks_out_of_a_phone(show: Any, text: str) -> None:
    page = show(text, width=360)
    choose_example(page, 2)
    assert page.run("return document.documentElement.scrollWidth") <= 360
    rights = "return [...document.querySelectorAll('main *')].filter(e => e.checkVisibility())"
    rights += ".map(e => [e.getBoundingClientRect().right, e.outerHTML.slice(0, 80)])"
    assert [one for one in page.run(rights) if one[0] > 360] == []


@pytest.mark.slow
def test_a_screen_reader_has_a_name_for_everything(page: Page) -> None:
    """As the browser's own accessibility tree has it."""
    choose_example(page, 2)
    nodes = page.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    names: dict[str, list[str]] = {}
    for node in nodes:
        if not node.get("ignored"):
            name = node.get("name", {}).get("value", "")
            names.setdefault(node["role"]["value"].lower(), []).append(name)
    wanted = {"application": 1, "slider": 2, "spinbutton": 1, "radio": 10, "combobox": 2}
    assert {role: len(names[role]) for role in wanted} == wanted
    assert len(names["button"]) == 2 + 20 + 8 + 2
    for role in [*wanted, "button", "image", "table", "group", "region"]:
        assert all(names[role]), (role, names[role])
    assert "Drawing area" in names["application"]
    assert sum(name.startswith("What the network sees") for name in names["image"]) == 1
    assert "It should be" in names["group"]
    live = page.run("return says.getAttribute('aria-live') + told.getAttribute('role')")
    assert live == "politestatus"


@pytest.mark.slow
def test_no_other_script_runs_and_nothing_can_be_sent(page: Page) -> None:
    blocked = page.browser.execute_async_script(
        "const done = arguments[0], blocked = [];"
        "document.addEventListener('securitypolicyviolation', event => {"
        "  blocked.push(event.effectiveDirective); if (blocked.length === 2) done(blocked); });"
        "const foreign = document.createElement('script');"
        "foreign.textContent = 'window.foreign = true';"
        "document.body.append(foreign);"
        "fetch('https://example.com/').catch(() => {});"
    )
    assert sorted(blocked) == ["connect-src", "script-src-elem"]
    assert page.run("return window.foreign") is None
    page.browser.get_log("browser")  # where both are complained of
