"""The figure of a run: what is drawn, and that nothing covers anything else."""

import pytest

import nnscratch as nn
from nnscratch import plots


def history(epochs: int, val: bool = True, first_loss: float = 2.0) -> list[nn.Record]:
    return [
        nn.Record(
            epoch=k,
            update=10 * k,
            examples=100 * k,
            lr=0.1,
            train_loss=first_loss / k,
            seconds=1.0,
            ends_epoch=True,
            val_loss=1.5 / k if val else None,
            val_accuracy=1 - 0.5 / k if val else None,
        )
        for k in range(1, epochs + 1)
    ]


def series(axes) -> dict[str, tuple[list[float], list[float]]]:
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines
    }


def test_losses_and_accuracies_are_drawn_against_epochs(drawn) -> None:
    png = plots.curves(history(3), "title", 0.8125)
    assert png.startswith(b"\x89PNG")
    losses, accuracies = drawn[0].axes
    assert series(losses) == {
        "training, during the epoch": ([1, 2, 3], [2, 1, pytest.approx(2 / 3)]),
        "validation, after it": ([1, 2, 3], [1.5, 0.75, 0.5]),
    }
    assert series(accuracies) == {
        "validation": ([1, 2, 3], [50, 75, pytest.approx(250 / 3)]),
        "test, at the end: 81.25 %": ([3], [81.25]),
    }
    assert (losses.get_ylabel(), accuracies.get_ylabel()) == ("loss per image", "accuracy (%)")
    assert losses.get_xlabel() == accuracies.get_xlabel() == "epoch"


def test_without_validation_only_what_is_known_is_drawn(drawn) -> None:
    plots.curves(history(100, val=False), "title", 0.9)
    losses, accuracies = drawn[0].axes
    assert list(series(losses)) == ["training, during the epoch"]
    assert list(series(accuracies)) == ["test, at the end: 90.00 %"]
    assert losses.get_xlim() == accuracies.get_xlim()


@pytest.mark.parametrize(("first_loss", "scale"), [(2.0, "linear"), (1e9, "log")])
def test_losses_of_very_different_size_get_a_logarithmic_axis(first_loss, scale, drawn) -> None:
    plots.curves(history(3, first_loss=first_loss), "title", 0.9)
    assert drawn[0].axes[0].get_yscale() == scale


@pytest.mark.parametrize("epochs", [1, 2, 10, 100])
@pytest.mark.parametrize("title", ["short", "784-300-200-100-50-50-30-30-20-10 sigmoid, " * 4])
def test_no_text_lies_on_another_and_none_is_cut_off(epochs: int, title: str, drawn) -> None:
    plots.curves(history(epochs), title, 0.9745)
    figure = drawn[0]
    renderer = figure.canvas.get_renderer()
    boxes = [figure._suptitle.get_window_extent(renderer)]
    for axes in figure.axes:
        boxes += [axes.get_window_extent(renderer), axes.get_legend().get_window_extent(renderer)]
    whole = figure.bbox
    for k, box in enumerate(boxes):
        assert whole.x0 <= box.x0
        assert box.x1 <= whole.x1
        assert box.y1 <= whole.y1
        assert not any(box.shrunk(0.98, 0.9).overlaps(other) for other in boxes[k + 1 :])
