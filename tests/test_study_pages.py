"""The report of a study: every file of it, and the page in a browser without network."""

import csv
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from study_rows import design, finals, row

import nnscratch as nn
from nnscratch import report
from nnscratch.command_line import run
from nnscratch.runs import RunFolder
from nnscratch.study import design as designs
from nnscratch.study import figures, pages, tables
from nnscratch.study.analysis import Analysis, analyse
from nnscratch.study.ledger import Ledger

NAMES = [
    "sgd",
    "momentum",
    "nesterov",
    "adagrad",
    "rmsprop",
    "adadelta",
    "adam",
    "nesterov_lookahead",
    "lookahead",
    "schedule_free_adamw",
    "signsgd",
]


def made_up() -> tuple[designs.Design, list]:
    """Eleven optimizers under two schedules: of all accuracies, one diverges, some are slow."""
    rows = []
    for schedule in ("constant", "cosine"):
        for k, name in enumerate(NAMES):
            lr = nn.OPTIMIZERS[name]().rate
            rows += [
                row(name, "search", [0.3, 0.9 - 0.02 * k - 0.05 * abs(step)], lr=lr * 10**step,
                    schedule=schedule)
                for step in (-1, 0, 1)
            ]  # fmt: skip
            tests = [0.985 - 0.002 * k * k + 0.0003 * seed for seed in range(12)]
            rows += finals(name, tests, schedule=schedule)
    rows += [row("sgd", "final", [], seed=13, status="failed")]
    diverged = row("rmsprop", "final", [0.5], seed=2, status="diverged")
    rows = [
        diverged if (r.optimizer, r.seed, r.schedule) == ("rmsprop", 2, "constant") else r
        for r in rows
    ]
    full_names = {name: nn.OPTIMIZERS[name]().full_name for name in NAMES}
    asked = design(NAMES, schedules=["constant", "cosine"], baseline="nesterov")
    named = {full_names[name]: entry for name, entry in asked.optimizers.items()}
    return designs.Design(**vars(asked) | {"optimizers": named}), rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the study's trials, and its report."""
    path = tmp_path_factory.mktemp("report") / "study"
    path.mkdir()
    asked, rows = made_up()
    RunFolder(path).write_json(designs.FILE, asked.to_json())
    kept = Ledger(path / "trials.csv")
    for one in rows:
        kept.append(one)
    assert run(report.main, [str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analyse(*made_up())


@pytest.fixture(scope="module")
def drawn(analysis: Analysis) -> dict[str, Any]:
    return figures.figures(analysis)


# --- files -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_trials_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
    assert run(report.main, [str(folder)]) == 0
    assert {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.*")} == files


def test_every_figure_is_there_as_svg_and_png(folder: Path) -> None:
    kinds = ("accuracy", "best-of-k", "curves", "rates", "target")
    expected = {f"{s}-{kind}.{end}" for s in ("constant", "cosine") for kind in kinds
                for end in ("png", "svg")}  # fmt: skip
    assert {path.name for path in (folder / "figures").iterdir()} == expected
    assert set(pages.CAPTIONS) == set(kinds)
    for path in (folder / "figures").iterdir():
        start = path.read_bytes()[:200]
        assert start.startswith(b"\x89PNG" if path.suffix == ".png" else b"<?xml")


def test_the_summary_holds_the_standings_as_numbers(folder: Path, analysis: Analysis) -> None:
    with (folder / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(NAMES)
    for found, s in zip(rows, analysis.standings, strict=True):
        assert (found["optimizer"], found["schedule"]) == (s.optimizer, s.schedule)
        assert float(found["test_mean"]) == pytest.approx(s.test.mean, abs=1e-6)
        assert float(found["test_sd"]) == pytest.approx(s.test.sd, abs=1e-6)
        assert float(found["difference_mean"]) == pytest.approx(s.difference.mean, rel=1e-5)
        assert float(found["epochs_to_97"]) == s.reaches[0].epochs
        assert found["difference_verdict"] == s.difference.verdict
    assert any(math.isinf(float(found["epochs_to_98"])) for found in rows)
    as_json = json.loads((folder / "summary.json").read_text())
    assert [s["optimizer"] for s in as_json["standings"]] == [r["optimizer"] for r in rows]
    assert as_json["doubts"] == list(analysis.doubts)
    assert designs.Design.from_json(as_json["design"]) == analysis.design


def test_markdown_tables_have_a_cell_under_every_head(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    found = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert len(found) == 4
    for table in found:
        widths = {line.count("|") for line in table.splitlines()}
        assert len(widths) == 1
        assert len(table.splitlines()) == 2 + len(NAMES)
    for picture in re.findall(r"\]\((\S+\.png)\)", text):
        assert (folder / picture).is_file()
    assert "python -m nnscratch.compare --opts sgd,momentum" in text


def test_latex_tables_are_balanced_and_escaped(folder: Path) -> None:
    text = (folder / "report.tex").read_text()
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 4
    assert text.count("{") == text.count("}")
    assert r"nesterov\_lookahead" in text
    for line in text.splitlines():
        if line.endswith(r"\\"):
            assert not re.search(r"(?<!\\)[_%#]", line)
    for body, form in zip(
        re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.S),
        re.findall(r"\\begin\{tabular\}\{(\w+)\}", text),
        strict=True,
    ):
        assert {line.count(" & ") + 1 for line in body.strip().splitlines()} == {len(form)}


@pytest.fixture
def pdflatex() -> str:
    found = shutil.which("pdflatex")
    if not found:
        pytest.skip("install LaTeX to set the tables")
    return found


@pytest.mark.slow
def test_latex_sets_the_tables(folder: Path, tmp_path: Path, pdflatex: str) -> None:
    (tmp_path / "t.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n"
        + (folder / "report.tex").read_text()
        + "\\end{document}"
    )
    command = [pdflatex, "-halt-on-error", "-interaction=nonstopmode", "t.tex"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "t.pdf").read_bytes().startswith(b"%PDF")


def test_the_protocol_says_what_was_done(analysis: Analysis) -> None:
    text = " ".join(pages.protocol(analysis))
    for fact in (
        "784-1000-10 network, sigmoid units",
        "1,000 images to train, 200 to validate, 10,000 to test, in batches of 100",
        "10 learning rates, two a decade around the default, 3 epochs each with one seed",
        "The best 3 at full length, 4 epochs",
        "12 fresh seeds, 4 epochs each",
        "differences from nesterov",
    ):
        assert fact in text
    defaults = designs.Design(**vars(analysis.design) | {"tier": "defaults"})
    text = " ".join(pages.protocol(analyse(defaults, made_up()[1])))
    assert "No tuning" in text
    samples = designs.Design(**vars(analysis.design) | {"tier": "all"})
    assert "20 points of a scrambled Halton" in " ".join(
        pages.protocol(analyse(samples, made_up()[1]))
    )


# --- figures -----------------------------------------------------------------------------------


def test_an_optimizer_has_one_look_and_the_best_eight_have_a_colour_each(
    analysis: Analysis, drawn: dict[str, Any]
) -> None:
    looks = figures.looks(analysis)
    assert len({(o.color, o.dashes, o.marker) for o in looks.values()}) == len(NAMES)
    best = [s.optimizer for s in analysis.of_schedule("constant")[:8]]
    assert len({looks[name].color for name in best}) == 8
    for name, figure in drawn.items():
        for axes in figure.axes:
            for line in axes.get_lines():
                if line.get_label() in looks:
                    assert line.get_color() == looks[line.get_label()].color, name


def test_axes_name_their_quantity_and_its_unit(drawn: dict[str, Any]) -> None:
    axes = drawn["constant-curves"].axes
    assert [below.get_xlabel() for below in axes[4:]] == [
        "epochs",
        "updates",
        "gradients of an image",
        "training time (s)",
    ]
    assert axes[0].get_ylabel() == "validation error (%)"
    assert axes[4].get_ylabel() == "training loss of the epoch"


def test_a_target_that_nobody_reaches_is_no_figure() -> None:
    rows = finals("sgd", [0.5] * 12)
    for one in rows:
        one.outcome.val_accuracy[:] = [0.5] * 4
    drawn = figures.figures(analyse(design(["sgd"], tier="defaults"), rows))
    assert drawn.keys() == {"constant-accuracy", "constant-curves"}


def test_an_interval_that_leaves_the_axes_ends_in_an_arrow() -> None:
    """Of two seeds, the interval is thirteen times as wide as they are apart."""
    rows = finals("sgd", [0.97, 0.98]) + finals("adam", [0.98] * 2)
    drawn = figures.figures(analyse(design(["sgd", "adam"], seeds=2, tier="defaults"), rows))
    (axes,) = drawn["constant-accuracy"].axes
    arrows = [(line.get_marker(), line.get_ydata()[0]) for line in axes.get_lines()]
    assert {(m, y) for m, y in arrows if m in ("<", ">")} == {("<", 1), (">", 1)}


def test_the_curve_is_mean_and_range_over_seeds_that_came_to_their_end(analysis) -> None:
    (s,) = [s for s in analysis.of_schedule("constant") if s.optimizer == "rmsprop"]
    c = figures.curve(s, "val_accuracy", "gradients")
    ends = [r.outcome.val_accuracy[-1] for r in s.final if r.is_done]
    assert len(ends) == 11
    assert c.x == [1000, 2000, 3000, 4000]
    assert (c.low[-1], c.high[-1]) == (min(ends), max(ends))
    assert c.mean[-1] == pytest.approx(sum(ends) / 11)


def test_many_optimizers_are_cut_to_the_best_and_the_baseline(analysis: Analysis) -> None:
    standings = analysis.of_schedule("constant")
    shown = [s.optimizer for s in figures.drawn(analysis, standings)]
    assert len(shown) == 8
    assert shown[:7] == [s.optimizer for s in standings[:7]]
    last = designs.Design(**vars(analysis.design) | {"baseline": "signsgd"})
    again = analyse(last, made_up()[1])
    assert "signsgd" in [s.optimizer for s in figures.drawn(again, again.of_schedule("constant"))]


@pytest.mark.slow
def test_no_texts_of_a_figure_overlap(drawn: dict[str, Any]) -> None:
    """Tick labels of one axis, among each other."""
    for name, figure in drawn.items():
        figure.canvas.draw()
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                labels = [t for t in axis.get_ticklabels() if t.get_text() and t.get_visible()]
                if any(label.get_rotation() for label in labels):
                    continue
                boxes = [label.get_window_extent() for label in labels]
                low, high = sorted(axis.get_view_interval())
                inside = [
                    box
                    for box, tick in zip(boxes, axis.get_ticklocs(), strict=False)
                    if low <= tick <= high
                ]
                for a in inside:
                    assert not [b for b in inside if b is not a and a.overlaps(b)], name


# --- the page ----------------------------------------------------------------------------------


@pytest.fixture
def page(browser: Any, folder: Path) -> Any:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    opened(browser, folder)
    return browser


def opened(browser: Any, folder: Path) -> None:
    """Load the page, and wait for its last picture, also on a busy machine."""
    from selenium.webdriver.support.wait import WebDriverWait

    browser.get((folder / "report.html").as_uri())
    pictures = len(list((folder / "figures").glob("*.svg")))
    loaded = (
        "return document.readyState === 'complete'"
        " && [...document.images].filter(i => i.complete).length"
    )
    WebDriverWait(browser, 30).until(lambda b: b.execute_script(loaded) == pictures)


@pytest.mark.slow
def test_the_page_opens_without_network_and_without_a_complaint(page: Any) -> None:
    assert page.title == "11 optimizers: 784-1000-10 sigmoid on mnist"
    assert page.get_log("browser") == []
    requests = page.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name)"
    )
    assert [name for name in requests if not name.startswith("data:")] == []


@pytest.mark.slow
def test_every_figure_is_on_the_page(page: Any, folder: Path) -> None:
    shown = page.execute_script(
        "return [...document.images].map(i => [i.alt, i.complete, i.naturalWidth > 100])"
    )
    assert len(shown) == len(list((folder / "figures").glob("*.svg")))
    assert all(complete and wide for _, complete, wide in shown)
    assert {alt for alt, *_ in shown} == set(pages.CAPTIONS.values())


def column(page: Any, table: int, head: str) -> list[str]:
    return page.execute_script(
        """
        const table = document.querySelectorAll("table")[arguments[0]];
        const heads = [...table.tHead.rows[0].cells].map(cell => cell.innerText.trim());
        const k = heads.indexOf(arguments[1]);
        return [...table.tBodies[0].rows].map(row => row.cells[k].innerText);
        """,
        table,
        head,
    )


def click(page: Any, table: int, head: str) -> None:
    page.execute_script(
        """
        const table = document.querySelectorAll("table")[arguments[0]];
        const heads = [...table.tHead.rows[0].cells];
        heads.find(cell => cell.innerText.trim() === arguments[1]).firstElementChild.click();
        """,
        table,
        head,
    )


@pytest.mark.slow
def test_a_click_on_a_head_sorts_and_a_second_one_turns_it_round(page: Any) -> None:
    before = column(page, 0, "test %")
    assert [float(x) for x in before] == sorted(map(float, before), reverse=True)
    click(page, 0, "test %")
    assert column(page, 0, "test %") == sorted(before, key=float)
    click(page, 0, "test %")
    assert column(page, 0, "test %") == sorted(before, key=float, reverse=True)
    click(page, 0, "optimizer")
    assert column(page, 0, "optimizer") == sorted(column(page, 0, "optimizer"))
    click(page, 0, "lr")  # by size, not as text: 0.001 before 1, and 2.5e-3 between them
    rates = [float(x) for x in column(page, 0, "lr")]
    assert rates == sorted(rates)
    assert column(page, 2, "optimizer")[0] != column(page, 0, "optimizer")[0]  # only that table


@pytest.mark.slow
def test_what_was_never_reached_comes_last(page: Any) -> None:
    click(page, 1, "epochs to 98 %")
    found = column(page, 1, "epochs to 98 %")
    assert "inf" in found
    assert found.index("inf") == len(found) - found.count("inf")


@pytest.mark.slow
def test_the_page_can_be_read_on_a_phone(page: Any, folder: Path) -> None:
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 375, "height": 800, "deviceScaleFactor": 2, "mobile": True},
    )
    opened(page, folder)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 375
    sizes = page.execute_script(
        "return [...document.querySelectorAll('td, th, p, li, figcaption')]"
        ".map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 12
    width = page.execute_script("return document.images[0].getBoundingClientRect().width")
    assert width >= 600  # scrolled and not shrunk until nothing can be read


@pytest.mark.slow
def test_curves_can_be_hovered_hidden_and_set_against_time(page: Any) -> None:
    curves = page.execute_script(
        "const e = document.getElementById('curves-constant');"
        "return [e.data.filter(t => t.mode !== 'none').map(t => [t.name, t.visible]),"
        " e.layout.xaxis.title.text, e.data[0].hovertemplate]"
    )
    (traces, title, hover) = curves
    assert [name for name, _ in traces] == column(page, 0, "optimizer")
    assert [visible for _, visible in traces].count(True) == 8
    assert title == "epochs"
    assert "epoch" in hover
    assert "seeds" in hover
    page.execute_async_script(
        "const done = arguments[0];"
        "const legend = document.querySelector('#curves-constant .legendtoggle');"
        "for (const kind of ['mousedown', 'mouseup'])"
        "  legend.dispatchEvent(new MouseEvent(kind, {bubbles: true, button: 0}));"
        "setTimeout(done, 1000);"
    )
    hidden = page.execute_script(
        "return document.getElementById('curves-constant').data.map(t => [t.name, t.visible])"
    )
    first = traces[0][0]
    assert {visible for name, visible in hidden if name == first} == {"legendonly"}
    page.execute_async_script(
        "const done = arguments[0]; const e = document.getElementById('curves-constant');"
        "const button = e.layout.updatemenus[0].buttons[3];"
        "Plotly.update(e, button.args[0], button.args[1]).then(() => done());"
    )
    x, title = page.execute_script(
        "const e = document.getElementById('curves-constant');"
        "return [e.data[0].x, e.layout.xaxis.title.text]"
    )
    assert title == "training time (s)"
    assert list(x) == [0.5, 1, 1.5, 2]
    assert page.get_log("browser") == []


def test_without_plotly_the_page_has_its_figures_all_the_same(analysis, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    text = pages._as_html(analysis, {"constant-rates": b"<svg/>"})
    assert "plotly" not in text.lower()
    assert text.count("<img") == 1
    assert len(text) < 200_000


def test_names_cannot_break_out_of_the_page(monkeypatch) -> None:
    """An optimizer of one's own may have any name, and stands in tables, doubts and command."""
    for module in ("plotly", "plotly.offline", "plotly.graph_objects"):
        monkeypatch.setitem(sys.modules, module, None)
    asked, rows = made_up()
    evil = "<img src=x>|$x^{"
    rows = [type(r)(**vars(r) | {"optimizer": evil}) if r.optimizer == "sgd" else r for r in rows]
    named = {evil if k == "sgd" else k: v for k, v in asked.optimizers.items()}
    named["<b>none</b>"] = named[evil]
    changes = {"optimizers": named, "command": evil, "baseline": evil}
    analysis = analyse(designs.Design(**vars(asked) | changes), rows)
    assert "constant: <b>none</b> has no final trial" in analysis.doubts
    page = pages._as_html(analysis, {})
    assert "<img src=x>" not in page
    assert "<b>" not in page
    assert page.count("&lt;img src=x&gt;") > 4
    for table in re.findall(r"(?:^\|.*\n)+", pages._as_markdown(analysis, []), re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert r"$<$img src=x$>$|\$x\textasciicircum{}\{" in pages._as_latex(analysis)


def test_cells_and_sort_keys_agree(analysis: Analysis) -> None:
    """A cell shows the number that its column is sorted by, in percent, in milliseconds, ..."""
    unit = {"test %": 100, "sd": 100, "worst": 100, "best": 100, "validation %": 100}
    unit |= {"ms an update": 1e3}
    seen = 0
    for table in tables.tables(analysis, "constant"):
        for column in table.columns:
            for s in table.standings:
                key, text = column.key(s), column.text(s)
                if isinstance(key, str):
                    assert key == text
                elif re.fullmatch(r"[-+]?[\d,.]+", text):
                    shown = float(text.replace(",", ""))
                    assert shown == pytest.approx(
                        unit.get(column.head, 1) * key, rel=0.02, abs=0.006
                    )
                    seen += 1
    assert seen > 150


def test_a_report_that_cannot_be_written_says_so(folder: Path, monkeypatch, capsys) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    assert run(report.main, [str(folder)]) == 6
    assert "No space left" in capsys.readouterr().err
    assert io.StringIO((folder / "report.md").read_text()).readline().startswith("# 11 optimizers")
