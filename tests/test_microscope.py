"""One weight under the microscope, against fit, and against formulas written out here."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest

import nnscratch as nn
from nnscratch.microscope import line_by_line
from nnscratch.optim import Elementwise

FORMULAS = [name for name, cls in nn.OPTIMIZERS.items() if issubclass(cls, Elementwise)]
OTHERS = ["lamb", "muon", "swats", "prodigy", "lookahead", "sam", "kfac"]


@pytest.fixture
def model() -> nn.MLP:
    return nn.MLP([12, 5, 3], seed=1)


def trace(model, toy, optimizer, steps: int = 6, weight=("W1", 4, 2)) -> nn.Trace:
    return nn.microscope(
        optimizer, steps, model=model, loader=nn.mini_batch(toy, 100, seed=2), weight=weight
    )


def test_adam_is_as_the_paper_writes_it(model, toy) -> None:
    rows = trace(model, toy, nn.OPTIMIZERS["adam"](lr=0.01)).rows
    assert list(rows[0]) == ["t", "w", "g", "m", "v", "m_hat", "v_hat", "moved"]
    m = v = 0.0
    for row in rows:
        g, t = row["g"], row["t"]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        expected = [m, v, m_hat, v_hat, -0.01 * m_hat / (math.sqrt(v_hat) + 1e-8)]
        assert list(row.values())[3:] == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("name", [*FORMULAS, *OTHERS])
def test_the_weight_goes_where_a_training_takes_it(name, model, toy) -> None:
    rows = trace(model, toy, name).rows
    loader, by_fit = nn.mini_batch(toy, 100, seed=2), []
    progress = nn.Progress()
    for _ in nn.fit(model, name, loader, 2, every=1, progress=progress):
        by_fit.append(float(progress.gradient_point(model)[4 * 5 + 2]))
    if name == "sam":  # two updates for a batch
        rows = rows[1::2]
    for row, w in zip(rows, by_fit, strict=False):
        assert row["w"] + row["moved"] == pytest.approx(w, rel=1e-6)
    for row, following in itertools.pairwise(rows):
        if name != "sam":
            assert row["w"] + row["moved"] == pytest.approx(following["w"], rel=1e-6)


def test_a_weight_beyond_the_largest_norm_is_shortened_as_in_a_training(toy) -> None:
    limited = nn.MLP([12, 5, 3], seed=1, regularization=nn.Regularization(max_norm=0.3))
    sgd = nn.OPTIMIZERS["sgd"](lr=0.5)
    rows = trace(limited, toy, sgd).rows
    by_fit = [
        float(limited.w[4 * 5 + 2])
        for _ in nn.fit(limited, sgd, nn.mini_batch(toy, 100, seed=2), 2, every=1)
    ]
    assert [row["w"] for row in rows[1:]] == pytest.approx(by_fit[: len(rows) - 1], rel=1e-6)
    assert any(row["w"] + row["moved"] != now["w"] for row, now in itertools.pairwise(rows))


@pytest.mark.parametrize("name", FORMULAS)
def test_the_lines_come_to_the_weight_that_the_update_leaves(name, model, toy) -> None:
    seen = trace(model, toy, name)
    for row, lines in zip(seen.rows, seen.lines, strict=True):
        ends = [line.values["w"] for line in lines if "w" in line.values]
        assert ends[-1] == pytest.approx(row["w"] + row["moved"], rel=1e-6)


def test_a_formula_is_written_with_its_numbers() -> None:
    arrays = {"w": 1.0, "dw": -2.0, "v": 0.5}
    numbers = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0}
    lines = line_by_line(
        nn.OPTIMIZERS["momentum"].rule, {k: np.float64(x) for k, x in arrays.items()}, numbers
    )
    assert [line.text.splitlines() for line in lines[1:]] == [
        ["v = momentum * v - lr * dw", "  = 0.9 * 0.5 - 0.1 * (-2)", "  = 0.65"],
        ["w = w + v", "  = 1 + 0.65", "  = 1.65"],
    ]
    assert [line.matters for line in lines] == [False, True, True]


def test_what_a_rule_returns_without_a_name_is_a_line_too() -> None:
    def rule(w, dw, m, *, lr):
        return w - m, lr * w

    arrays = {name: np.float64(x) for name, x in {"w": 3.0, "dw": 0.0, "m": 1.0}.items()}
    (line,) = line_by_line(rule, arrays, {"lr": 0.5})
    assert line.text.splitlines()[0] == "(w, m) = (w - m, lr * w)"
    assert line.values == {"w": 2.0, "m": 1.5}  # both of the old w


def test_weight_decay_is_shown_where_there_is_some(model, toy) -> None:
    assert "dw" not in trace(model, toy, "momentum").rows[0]
    decayed = trace(model, toy, nn.OPTIMIZERS["momentum"](weight_decay=0.1)).rows[0]
    assert decayed["dw"] == pytest.approx(decayed["g"] + 0.1 * decayed["w"], rel=1e-5)


def test_an_optimizer_without_a_formula_shows_its_state(model, toy) -> None:
    seen = trace(model, toy, "lookahead")
    assert {"base.m", "base.v", "slow"} <= set(seen.rows[0])
    assert seen.written(1) == ""


OUTSIDE = 0.9


@dataclass(frozen=True)
class Remembering(Elementwise):
    """A rule with a name from outside, which only Python itself can run."""

    lr: float = nn.hyper(0.1, "(0, inf)", "step size")

    @staticmethod
    def rule(w, dw, m, *, lr):
        m = OUTSIDE * m + dw
        return w - lr * m, m


@pytest.mark.filterwarnings("ignore:.*runs without numba")
def test_a_rule_that_is_no_formula_shows_its_state(model, toy) -> None:
    rows = trace(model, toy, Remembering()).rows
    assert list(rows[0]) == ["t", "w", "g", "m", "moved"]
    assert rows[1]["m"] == pytest.approx(0.9 * rows[0]["g"] + rows[1]["g"], rel=1e-5)


def test_a_split_in_the_place_of_a_loader_is_told(model, toy) -> None:
    with pytest.raises(nn.UsageError, match="loader is"):
        nn.microscope("sgd", 1, model=model, loader=toy)


def test_sam_takes_two_gradients_of_the_same_batch(model, toy) -> None:
    rows = trace(model, toy, nn.OPTIMIZERS["sam"](radius=1e-7), steps=4).rows
    assert rows[1]["g"] == pytest.approx(rows[0]["g"], rel=1e-3)
    assert rows[2]["g"] != pytest.approx(rows[0]["g"], rel=1e-3)


def test_without_a_place_it_is_the_weight_of_the_largest_first_gradient(model, toy) -> None:
    seen = trace(model, toy, "sgd", weight=None)
    loader = nn.mini_batch(toy, 100, seed=2)
    model.loss_and_grad(*next(iter(loader)))
    dW1 = model.parameters[0].dw
    row, column = np.unravel_index(np.abs(dW1).argmax(), dW1.shape)
    assert seen.weight == f"W1[{row}, {column}]"
    assert seen.rows[0]["g"] == float(dW1[row, column])


@pytest.mark.parametrize("place", [("b1", 3), ("W2", 4, 2), ("b2", 0)])
@pytest.mark.parametrize("name", ["adam", "lamb", "kfac"])
def test_every_place_is_found_in_whatever_the_optimizer_sees(name, place, model, toy) -> None:
    seen = trace(model, toy, name, weight=place)
    assert seen.weight == f"{place[0]}[{', '.join(map(str, place[1:]))}]"
    parameter = next(one for one in model.parameters if one.name == place[0])
    assert seen.rows[0]["w"] == float(parameter.w[place[1:]])
    model.loss_and_grad(*next(iter(nn.mini_batch(toy, 100, seed=2))))
    assert seen.rows[0]["g"] == pytest.approx(float(parameter.dw[place[1:]]), rel=1e-5)


def test_model_and_loader_stay_as_they_are(model, toy) -> None:
    loader, w = nn.mini_batch(toy, 100), model.w.copy()
    nn.microscope("adam", 7, model=model, loader=loader)
    assert loader.epochs_begun == 0
    np.testing.assert_array_equal(model.w, w)


def test_the_network_for_the_images_is_made_if_none_is_given(toy) -> None:
    seen = nn.microscope("sgd", 1, loader=nn.mini_batch(toy, 100), weight=("W1", 11, 999))
    assert seen.weight == "W1[11, 999]"


def test_the_table_has_a_line_for_each_step(model, toy) -> None:
    title, heads, *lines = str(trace(model, toy, "adam")).splitlines()
    assert title.startswith("W1[4, 2] under adam: lr 0.001, beta1 0.9")
    assert heads.split() == ["t", "w", "g", "m", "v", "m_hat", "v_hat", "moved"]
    assert [line.split()[0] for line in lines] == list("123456")


def test_the_figure_has_a_panel_for_each_quantity(model, toy) -> None:
    seen = trace(model, toy, "adam")
    figure = seen.figure()
    assert [axes.get_ylabel() for axes in figure.axes] == list(seen.rows[0])[1:]
    assert list(figure.axes[2].lines[0].get_ydata()) == [row["m"] for row in seen.rows]


def test_a_pixel_that_is_always_black_has_its_lines_too(model, toy) -> None:
    black = nn.Split(np.where(np.arange(12) == 0, 0, toy.images), toy.labels, unit=255.0)
    for name in ("adam", "sgd"):
        seen = nn.microscope(
            name, 2, model=model, loader=nn.mini_batch(black, 100), weight=("W1", 0, 0)
        )
        assert "w = " in seen.written(2)
        assert all(row["moved"] == 0 for row in seen.rows)
    assert {"m", "v"} <= set(trace(model, toy, "adam").rows[0])


def test_the_settings_of_the_optimizer_inside_are_told(model, toy) -> None:
    assert "radius 0.05, base.lr 0.001, base.beta1 0.9" in trace(model, toy, "sam").optimizer


def test_a_place_may_come_from_numpy(model, toy) -> None:
    place = ("W1", *np.unravel_index(7, (12, 5)))
    assert trace(model, toy, "sgd", weight=place).weight == "W1[1, 2]"


def test_a_rate_that_is_far_too_large_is_told(model, toy) -> None:
    with pytest.raises(nn.DivergedError, match="training diverged"):
        trace(nn.MLP([12, 5, 3], "relu"), toy, nn.OPTIMIZERS["sgd"](lr=1e30))


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"weight": ("W3", 0, 0)}, "no weight"),
        ({"weight": ("W1", 12, 0)}, "no weight"),
        ({"weight": ("W1", 0)}, "no weight"),
        ({"weight": ()}, "no weight"),
        ({"weight": ("W1", 0.5, 1)}, "no weight"),
        ({"weight": ("W1", -1, 1)}, "no weight"),
        ({"steps": 0}, "steps"),
        ({"optimizer": "newton"}, "newton needs what the network does not give"),
    ],
)
def test_wrong_arguments_are_told(changed, what: str, model, toy) -> None:
    with pytest.raises(nn.UsageError, match=what):
        trace(model, toy, **({"optimizer": "adam"} | changed))


def test_a_step_that_was_not_traced_is_told(model, toy) -> None:
    with pytest.raises(nn.UsageError, match="step"):
        trace(model, toy, "adam").written(7)
