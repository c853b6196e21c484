"""The report of a study: tables and figures as CSV, JSON, Markdown, LaTeX and HTML."""

import base64
import csv
import html
import io
import math
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from ..files import writing
from ..looks import as_bytes
from ..runs import RunFolder
from . import figures as drawing
from . import interactive
from .analysis import Analysis
from .estimate import duration
from .grid import MOST
from .inference import LEVEL
from .protocol import TIERS
from .standings import NEAR_BEST, TIE
from .tables import Table, flat, tables

PAGE = Path(__file__).with_name("page.html")
CAPTIONS = {
    "accuracy": "Test error of every seed, mean and interval",
    "curves": "Progress against epochs, updates, gradients and seconds",
    "target": "What it takes to reach a validation accuracy",
    "rates": "How much a wrong learning rate costs",
    "best-of-k": "What tuning buys",
}


def write(folder: RunFolder, analysis: Analysis) -> None:
    """Write or replace all files of the report; the trials stay, and figures of an earlier one go.

    summary.csv, summary.json   a row for each optimizer and schedule
    figures/                    each figure as SVG and PNG
    report.md, report.tex       protocol, tables; for a write-up
    report.html                 all of it in one file that needs no network
    """
    rows = [flat(standing) for standing in analysis.standings]
    folder.write("summary.csv", _as_csv(rows))
    folder.write_json("summary.json", _as_json(analysis, rows))
    drawn = drawing.figures(analysis)
    pictures = folder.inner("figures")
    svgs = {}
    for name, figure in drawn.items():
        svgs[name] = as_bytes(figure, "svg")
        pictures.write(f"{name}.svg", svgs[name])
        pictures.write(f"{name}.png", as_bytes(figure, "png"))
    for path in pictures.path.iterdir():  # of what was asked for before
        if path.stem not in drawn and path.stem.endswith(tuple(f"-{kind}" for kind in CAPTIONS)):
            with writing(path):
                path.unlink()
    folder.write("report.md", _as_markdown(analysis, list(drawn)).encode())
    folder.write("report.tex", _as_latex(analysis).encode())
    folder.write("report.html", _as_html(analysis, svgs).encode())


def title(analysis: Analysis) -> str:
    return f"{len(analysis.design.optimizers)} optimizers: {drawing.task(analysis)}"


def protocol(analysis: Analysis) -> list[str]:
    """What was done, in words: a paragraph a step."""
    design = analysis.design
    tier, workload, images = TIERS[design.tier], design.workload, design.images
    sizes = "-".join(map(str, workload["sizes"]))
    steps = [
        f"Task: a {sizes} network, {workload['activation']['name']} units, "
        f"{workload['loss']['name']}, {workload['init']['name']}, float32; "
        f"{images['train']:,} images to train, {images['val']:,} to validate, {images['test']:,} "
        f"to test, in batches of {workload['batch_size']:,}.",
        "Paired: trials of the same seed begin with the same weights and see the same batches in "
        "the same order, whatever their optimizer.",
    ]
    if tier.rates:
        steps.append(
            f"Tuning: {tier.rates} learning rates, two a decade around the default, "
            f"{drawing.epochs(design.tuning_epochs)} each with one seed; more of them while the "
            f"best one lies at the edge, up to {MOST}. "
            + (
                f"The best {tier.full} at full length, {drawing.epochs(design.epochs)}, and beside "
                "the best of these its neighbours, until it has been compared with both. "
                if design.tuning_epochs < design.epochs
                else ""
            )
            + "All other hyper-parameters keep their defaults, weight decay among them."
        )
    elif tier.samples:
        steps.append(
            f"Tuning: {tier.samples} points of a scrambled Halton sequence over the search ranges "
            f"of the hyper-parameters, {drawing.epochs(design.tuning_epochs)} each with one seed. "
            "Those without a search range, such as weight decay, keep their defaults."
        )
    else:
        steps.append("No tuning: every optimizer has its default hyper-parameters.")
    fewer = {c.seeds for c in design.optimizers.values()} - {design.seeds}
    steps += [
        "Every choice is made by validation accuracy after the last epoch (the loss among "
        "equals). Test images are read once, by the final trials: the chosen setting with "
        f"{design.seeds} fresh seeds"
        + (f" ({min(fewer)} for matrix methods)" if fewer else "")
        + f", {drawing.epochs(design.epochs)} each.",
        f"Tests: differences from {design.baseline} over common seeds, with Student's 95 % "
        "interval; Wilcoxon's signed-rank test, exact, corrected after Holm for all optimizers "
        f"with {design.seeds} seeds under one schedule. A mean difference within {TIE:g} points, "
        f"known to {TIE:g} points, is a tie; a corrected p below {LEVEL:g} and an interval on one "
        "side of 0 make it better or worse; all else is open. Intervals and p are over seeds at "
        "the chosen setting: how well it was chosen, with one seed, is not in them. Neighbours in "
        "the ranking are not tested against each other.",
        "A trial that diverges counts with the accuracy of guessing. Times to a target are medians "
        "over seeds, looked at after each epoch, and inf unless more than half of the seeds reach "
        "it; good rates are those within "
        f"{NEAR_BEST:g} points of the best. Seconds are training time on "
        f"{workload['threads']} thread{'s' if workload['threads'] > 1 else ''}, at the pace of the "
        "fastest epoch: in the others a trial waited for its neighbours.",
    ]
    return steps


def repeat(analysis: Analysis) -> list[str]:
    """How to do it again, and what it cost."""
    return [
        f"{analysis.trials:,} trials, {duration(3600 * analysis.core_hours)} of one core, on "
        f"{'; '.join(analysis.machines)}.",
        f"Data: {analysis.design.workload['data']}. Code of each trial: the column code of "
        "trials.csv.",
    ]


def _as_csv(rows: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue().encode()


def _as_json(analysis: Analysis, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The rows, with null for what is no finite number, and what stands around them."""
    finite = [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in rows
    ]
    return {
        "design": analysis.design.to_json(),
        "standings": finite,
        "doubts": list(analysis.doubts),
        "machines": list(analysis.machines),
        "core_hours": round(analysis.core_hours, 4),
        "trials": analysis.trials,
    }


def _as_markdown(analysis: Analysis, names: Sequence[str]) -> str:
    parts = [f"# {title(analysis)}"]
    parts += [f"**Doubt:** {doubt}." for doubt in analysis.doubts]
    for schedule in analysis.design.schedules:
        parts.append(f"## Schedule: {schedule}")
        for table in tables(analysis, schedule):
            parts += [f"### {table.title}", markdown(table)]
        for name in names:
            if name.startswith(f"{schedule}-"):
                caption = CAPTIONS[name.removeprefix(f"{schedule}-")]
                parts.append(f"![{caption}](figures/{name}.png)")
    parts += ["## Protocol", "\n".join(f"- {step}" for step in protocol(analysis))]
    parts += ["## To repeat it", f"    {analysis.design.command}", *repeat(analysis)]
    return "\n\n".join(parts) + "\n"


def markdown(table: Table) -> str:
    """The table as GitHub's Markdown has it."""
    rule = ["---" if column.is_words else "--:" for column in table.columns]
    heads = [column.head for column in table.columns]
    rows = [[cell.replace("|", "\\|") for cell in row] for row in (heads, rule, *table.cells)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _as_latex(analysis: Analysis) -> str:
    """A tabular for each table; they need \\usepackage{booktabs,graphicx}."""
    parts = ["% \\usepackage{booktabs,graphicx}"]
    for schedule in analysis.design.schedules:
        for table in tables(analysis, schedule):
            form = "".join("l" if column.is_words else "r" for column in table.columns)
            heads = " & ".join(_tex(column.head) for column in table.columns)
            rows = [" & ".join(_tex(cell) for cell in row) + r" \\" for row in table.cells]
            caption = f"{table.title}. {title(analysis)}, {schedule} schedule."
            parts.append(
                "\n".join(
                    [
                        r"\begin{table}",
                        rf"  \caption{{{_tex(caption)}}}",
                        rf"  \resizebox{{\linewidth}}{{!}}{{\begin{{tabular}}{{{form}}}",
                        r"    \toprule",
                        rf"    {heads} \\",
                        r"    \midrule",
                        *(f"    {row}" for row in rows),
                        r"    \bottomrule",
                        r"  \end{tabular}}",
                        r"\end{table}",
                    ]
                )
            )
    return "\n\n".join(parts) + "\n"


TEX = {character: f"\\{character}" for character in "_%&#{}$"}
TEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
TEX |= {"<": "$<$", ">": "$>$"}


def _tex(text: str) -> str:
    return "".join(TEX.get(character, character) for character in text)


def _as_html(analysis: Analysis, svgs: dict[str, bytes]) -> str:
    parts = [interactive.library()]
    if analysis.doubts:
        doubts = "".join(f"<li>{html.escape(doubt)}</li>" for doubt in analysis.doubts)
        parts.append(f'<section class="doubts"><h2>Doubts</h2><ul>{doubts}</ul></section>')
    for schedule in analysis.design.schedules:
        parts.append(f"<h2>Schedule: {html.escape(schedule)}</h2>")
        parts += [_html_table(table) for table in tables(analysis, schedule)]
        parts.append(interactive.curves(analysis, schedule))
        for name, svg in svgs.items():
            if name.startswith(f"{schedule}-"):
                caption = CAPTIONS[name.removeprefix(f"{schedule}-")]
                data = base64.b64encode(svg).decode()
                parts.append(
                    f'<figure><div class="wide"><img alt="{caption}" '
                    f'src="data:image/svg+xml;base64,{data}"></div>'
                    f"<figcaption>{caption}.</figcaption></figure>"
                )
    steps = "".join(f"<li>{html.escape(step)}</li>" for step in protocol(analysis))
    parts.append(f"<h2>Protocol</h2><ol>{steps}</ol>")
    words = "".join(f"<p>{html.escape(line)}</p>" for line in repeat(analysis))
    command = html.escape(analysis.design.command)
    parts.append(f"<h2>To repeat it</h2><pre>{command}</pre>{words}")
    page = Template(PAGE.read_text(encoding="utf-8"))
    return page.substitute(title=html.escape(title(analysis)), body="\n".join(parts))


def _html_table(table: Table) -> str:
    heads = "".join(
        f'<th scope="col"><button type="button">{html.escape(column.head)}</button></th>'
        for column in table.columns
    )
    rows = []
    for s in table.standings:
        cells = "".join(
            f'<td class="{"text" if c.is_words else "number"}" data-key="{_key(c.key(s))}">'
            f"{html.escape(c.text(s))}</td>"
            for c in table.columns
        )
        rows.append(f"<tr>{cells}</tr>")
    return (
        f'<h3>{html.escape(table.title)}</h3><div class="wide"><table><thead><tr>{heads}</tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _key(key: float | str) -> str:
    if isinstance(key, str):
        return html.escape(key)
    return "Infinity" if math.isinf(key) or math.isnan(key) else repr(float(key))
