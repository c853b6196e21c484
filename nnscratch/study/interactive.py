"""Curves to hover over, for those who have the extra [report], which is plotly."""

from typing import Any

from .analysis import Analysis
from .figures import AGAINST, curve, drawn, looks

AXES = {"responsive": True, "displaylogo": False}


def library() -> str:
    """A script element with all of plotly, to stand once in a page; empty without plotly."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        return ""
    return f"<script>{get_plotlyjs()}</script>"


def curves(analysis: Analysis, schedule: str) -> str:
    """Validation accuracy against what is chosen, as an element; empty without plotly.

    Hovering shows epoch, mean and the range over seeds; a click on a name hides the optimizer.
    """
    try:
        import plotly.graph_objects as go
    except ImportError:
        return ""
    standings = analysis.of_schedule(schedule)
    look = looks(analysis)
    visible = drawn(analysis, standings)
    figure: Any = go.Figure()
    places: dict[str, list[list[float]]] = {against: [] for against in AGAINST}
    for s in standings:
        of_all = {against: curve(s, "val_accuracy", against) for against in AGAINST}
        c = of_all["epochs"]
        if not c.x:
            continue
        mean, low, high = ([100 * y for y in ys] for ys in (c.mean, c.low, c.high))
        shared = {
            "legendgroup": s.optimizer,
            "visible": True if s in visible else "legendonly",
            "name": s.optimizer,
        }
        figure.add_scatter(
            x=c.x,
            y=mean,
            mode="lines+markers",
            line={"color": look[s.optimizer].color},
            customdata=list(zip(c.x, low, high, strict=True)),
            hovertemplate="epoch %{customdata[0]}: %{y:.2f} %, seeds %{customdata[1]:.2f} to "
            "%{customdata[2]:.2f} %",
            **shared,
        )
        figure.add_scatter(
            x=c.x + c.x[::-1],
            y=high + low[::-1],
            fill="toself",
            mode="none",
            fillcolor=look[s.optimizer].color,
            opacity=0.15,
            hoverinfo="skip",
            showlegend=False,
            **shared,
        )
        for against, found in of_all.items():
            places[against] += [found.x, found.x + found.x[::-1]]
    buttons = [
        {
            "label": label,
            "method": "update",
            "args": [{"x": places[against]}, {"xaxis.title.text": label}],
        }
        for against, (label, _) in AGAINST.items()
    ]
    figure.update_layout(
        template="plotly_white",
        height=520,
        margin={"l": 60, "r": 10, "t": 60, "b": 50},
        xaxis={"title": {"text": "epochs"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "validation accuracy (%)"}},
        hovermode="closest",
        legend={"orientation": "h", "y": -0.2},
        updatemenus=[
            {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.14, "showactive": True}
        ],
    )
    div: str = figure.to_html(
        full_html=False, include_plotlyjs=False, div_id=f"curves-{schedule}", config=AXES
    )
    return div
