"""The player of races: one page that plays them, in a browser without network."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import nnscratch as nn
from nnscratch.landscape import Race, walk
from nnscratch.landscape.functions import Bowl, Saddle
from nnscratch.landscape.player import player

GRADIENTS = 60


@cache
def races() -> list[Race]:
    """Two surfaces, three optimizers, of which one leaves the bowl."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NNSCRATCH_ENGINE", "numpy")  # for two numbers nothing is to be compiled
        return held()


def held() -> list[Race]:
    rates = {"sgd": 0.1, "momentum": 0.02, "adam": 20.0}
    return [
        Race(
            tuple(walk(surface, nn.OPTIMIZERS[k](lr=lr), GRADIENTS) for k, lr in rates.items()),
            "",
        )
        for surface in (Bowl(), Saddle())
    ]


@cache
def text() -> str:
    return player([race.paths for race in races()], "Learning rates: <chosen> by hand.")


def data() -> list[dict]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text(), re.S)
    return json.loads(found[1])


def test_the_page_holds_every_path_with_its_ring_where_it_leaves() -> None:
    for race, held in zip(races(), data(), strict=True):
        assert held["name"] == race.surface.name
        assert held["last"] == GRADIENTS
        for path, kept in zip(race.paths, held["paths"], strict=True):
            assert len(kept["points"]) == len(kept["heights"]) == GRADIENTS + 1
            assert kept["points"][-1] == pytest.approx(path.points[-1].tolist(), rel=1e-3)
            assert (kept["exit"] is None) == (path.left is None)
            assert kept["left"] == path.left
    assert data()[0]["paths"][2]["left"] is not None


def test_the_page_needs_nothing_from_elsewhere_and_no_text_breaks_out_of_it() -> None:
    page = text()
    assert "&lt;chosen&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("</script>") == 2


# --- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("player") / "player.html"
    path.write_text(text(), encoding="utf-8")
    return path


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    """The page; afterwards nothing may have been complained of or asked for."""
    size(browser, 1100)
    browser.get(file.as_uri())
    yield browser
    assert browser.get_log("browser") == []
    asked = browser.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert [name for name in asked if not name.startswith("data:")] == []


def size(browser: Any, width: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )


def element(page: Any, name: str) -> Any:
    return page.find_element("id", name)


def taken(page: Any) -> int:
    return int(element(page, "count").text.split()[0])


def choose(page: Any, name: str, choice: str) -> None:
    from selenium.webdriver.support.select import Select

    Select(element(page, name)).select_by_visible_text(choice)


def pixels(page: Any, name: str) -> str:
    return page.execute_script("return document.getElementById(arguments[0]).toDataURL()", name)


def wait(page: Any, until: Any) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(page, 30, poll_frequency=0.02).until(until)


@pytest.mark.slow
def test_it_plays_pauses_and_plays_to_the_end(page: Any) -> None:
    play = element(page, "play")
    assert taken(page) == GRADIENTS  # the whole race is seen first
    choose(page, "speed", "60 gradients a second")
    play.click()
    assert play.text == "Pause"
    wait(page, lambda p: 0 < taken(p) < GRADIENTS)
    play.click()
    assert play.text == "Play"
    stopped, drawn = taken(page), pixels(page, "plan")
    assert 0 < stopped < GRADIENTS
    page.execute_async_script("setTimeout(arguments[0], 200)")
    assert (taken(page), pixels(page, "plan")) == (stopped, drawn)
    play.click()
    wait(page, lambda p: taken(p) == GRADIENTS)
    assert play.text == "Play"


@pytest.mark.slow
def test_the_speed_is_the_one_that_is_chosen(page: Any) -> None:
    seen = {}
    for speed in ("5 gradients a second", "60 gradients a second"):
        choose(page, "speed", speed)
        element(page, "play").click()
        page.execute_async_script("setTimeout(arguments[0], 500)")
        element(page, "play").click()
        seen[speed] = taken(page)
        page.execute_script("scrub.value = scrub.max; scrub.dispatchEvent(new Event('input'))")
    assert seen["60 gradients a second"] > 2 * seen["5 gradients a second"]


@pytest.mark.slow
def test_it_is_scrubbed_with_the_keyboard_alone(page: Any) -> None:
    from selenium.webdriver import ActionChains, Keys

    reached = []
    for _ in range(8):
        ActionChains(page).send_keys(Keys.TAB).perform()
        reached.append(page.execute_script("return document.activeElement.id"))
    assert reached[:4] == ["surface", "play", "speed", "scrub"]
    scrub = element(page, "scrub")
    scrub.send_keys(Keys.HOME)
    assert taken(page) == 0
    scrub.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert taken(page) == 2
    assert scrub.get_attribute("aria-valuetext") == f"2 of {GRADIENTS} gradients"
    element(page, "play").send_keys(Keys.SPACE)
    assert element(page, "play").text == "Pause"
    scrub.send_keys(Keys.HOME)  # who scrubs, pauses
    assert element(page, "play").text == "Play"


@pytest.mark.slow
def test_a_hidden_optimizer_is_gone_from_both_views_and_on_all_surfaces(page: Any) -> None:
    def boxes() -> dict[str, Any]:
        labels = page.find_elements("css selector", "#optimizers label")
        return {one.text.split(",")[0]: one.find_element("tag name", "input") for one in labels}

    wait(page, lambda p: p.execute_script("return picture.complete"))
    views = ("plan", "losses")
    whole = {name: pixels(page, name) for name in views}
    assert list(boxes()) == ["sgd", "momentum", "adam"]
    boxes()["adam"].click()
    assert all(pixels(page, name) != whole[name] for name in views)
    choose(page, "surface", "saddle")
    assert not boxes()["adam"].is_selected()
    boxes()["adam"].click()
    choose(page, "surface", "bowl")
    wait(page, lambda p: p.execute_script("return picture.complete"))
    wait(page, lambda p: all(pixels(p, name) == whole[name] for name in views))
    assert element(page, "formula").text == Bowl().formula
    left = page.find_element("css selector", "#optimizers label:last-child").text
    assert left.endswith("left the frame")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_in_both_schemes_and_nothing_sticks_out_at_400_pixels(
    page: Any, scheme: str
) -> None:
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    look = (
        "const body = getComputedStyle(document.body), view = getComputedStyle(plan);"
        "return [body.color, body.backgroundColor, view.backgroundColor]"
    )
    ink, paper, view = map(luminance, page.execute_script(look))
    assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) > 7  # WCAG 2.2, 1.4.6
    assert (ink > paper) == (scheme == "dark")
    assert view == 1.0  # on which the black of a path is black
    size(page, 400)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 400
    wide = (
        "return [...document.querySelectorAll('main *')].map(e => e.getBoundingClientRect().right)"
    )
    assert max(page.execute_script(wide)) <= 400


def luminance(color: str) -> float:
    """Of "rgb(r, g, b)", as WCAG 2.2 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.slow
def test_a_screen_reader_has_a_name_for_everything(page: Any) -> None:
    """As the browser's own accessibility tree has it."""
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored")
    ]
    for role, count in [("combobox", 2), ("slider", 1), ("button", 1), ("checkbox", 3)]:
        names = [name for found, name in named if found.lower() == role]
        assert len(names) == count, named
        assert all(names), role
    pictures = [name for role, name in named if role in ("img", "image")]
    assert pictures == [
        "the paths over contours of bowl",
        "f above its minimum after each gradient on bowl",
    ]
    assert ("group", "Optimizers shown") in named
