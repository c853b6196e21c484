"""The health of each layer, from numbers worked out by hand, and --diagnose."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nnscratch as nn
from nnscratch import plots, train
from nnscratch.command_line import run
from nnscratch.diagnosis import LayerHealth, diagnose


def network(activation: str, biases: list[float]) -> nn.MLP:
    """One input, hidden units with z = x + bias, two outputs."""
    model = nn.MLP([1, len(biases), 2], activation, dtype="float64")
    model.parameters[0].w[...] = 1
    model.parameters[1].w[...] = biases
    return model


def test_sigmoid_units_are_saturated_where_the_slope_is_below_a_twentieth_of_a_quarter() -> None:
    """a (1 - a) = 0.0125 at z = +-4.369: of x = 4 and x = -4 with biases 0, 1, 100."""
    x = np.array([[4.0], [-4.0]])
    first, last = diagnose(network("sigmoid", [0, 1, 100]), x, np.array([0, 1]))
    assert first.saturated == pytest.approx((0 + 1 + 2) / 6)
    assert first.dead == pytest.approx(1 / 3)
    assert (last.saturated, last.dead) == (None, None)


def test_relu_units_are_off_below_zero_and_dead_where_they_are_off_for_every_image() -> None:
    x = np.array([[1.0], [-1.0], [-2.0]])
    first, _ = diagnose(network("relu", [0, 5, -7, 1.5]), x, np.array([0, 1, 0]))
    assert first.saturated == pytest.approx((2 + 0 + 3 + 1) / 12)
    assert first.dead == pytest.approx(1 / 4)


@pytest.mark.parametrize("name", list(nn.ACTIVATIONS))
def test_no_unit_is_saturated_where_its_activation_is_steepest(name) -> None:
    steep = 1.5 if name in ("gelu", "silu", "mish") else 0.1
    first, _ = diagnose(network(name, [0.0]), np.array([[steep]]), np.array([0]))
    assert (first.saturated, first.dead) == (0, 0)


def test_the_gradient_is_that_of_each_layer_with_its_bias(toy) -> None:
    model = nn.MLP([12, 5, 4, 3], seed=1)
    found = diagnose(model, toy.x[:50], toy.labels[:50])
    model.loss_and_grad(toy.x[:50], toy.labels[:50])
    gradients = {parameter.name: parameter.dw for parameter in model.parameters}
    for k, layer in enumerate(found, start=1):
        squares = (gradients[f"W{k}"] ** 2).sum() + (gradients[f"b{k}"] ** 2).sum()
        assert layer.gradient == pytest.approx(np.sqrt(squares), rel=1e-5)
        assert layer.update is None


def test_the_update_is_told_in_shares_of_the_weights_of_each_layer(toy) -> None:
    model = nn.MLP([12, 5, 3], seed=1)
    before = model.w.copy()
    model.matrices[0].w[...] *= 1.01
    model.matrices[1].w[...] *= 0.8
    found = diagnose(model, toy.x[:], toy.labels, before=before)
    assert [layer.update for layer in found] == pytest.approx([0.01, 0.2], rel=1e-4)
    model.w = 0
    found = diagnose(model, toy.x[:], toy.labels, before=model.w.copy())
    assert [layer.update for layer in found] == [None, None]


def test_many_images_pass_in_portions_and_count_alike() -> None:
    rng = np.random.default_rng(0)
    model = nn.MLP([4, 30, 3], "relu", seed=1, dtype="float64")
    model.parameters[1].w[:5] = -100
    x, labels = rng.normal(size=(2500, 4)), rng.integers(0, 3, 2500)
    first, _ = diagnose(model, x, labels)
    z = x @ model.parameters[0].w + model.parameters[1].w
    assert first.saturated == pytest.approx((z < 0).mean())
    assert first.dead == pytest.approx((z < 0).all(axis=0).mean())
    assert first.dead >= 5 / 30


def test_weights_of_another_network_are_refused(toy) -> None:
    with pytest.raises(nn.UsageError, match="before has shape"):
        diagnose(nn.MLP([12, 5, 3]), toy.x[:], toy.labels, before=np.zeros(4))


def test_a_layer_is_told_in_a_line() -> None:
    line = "gradient 1.20e-02  update/weight 3.0e-03  saturated 4.5%  dead 0.1%"
    assert str(LayerHealth(0.012, 0.003, 0.045, 0.001)) == line
    assert str(LayerHealth(0.012, None, None, None)) == "gradient 1.20e-02"


# --- the train command ---------------------------------------------------------------------------

SMALL = ["--dataset", "digits", "--hidden", "12,6", "--limit", "200", "--batch-size", "50"]


@pytest.fixture
def command(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *argv: run(train.main, [*SMALL, *argv])


@pytest.fixture
def undrawn(monkeypatch) -> None:
    """Figures take a second each, and not every test looks at them."""
    for name in ("curves", "health", "first_layer"):
        monkeypatch.setattr(plots, name, lambda *_: b"")


def history(folder: str) -> list[dict]:
    return [json.loads(line) for line in Path(folder, "history.jsonl").read_text().splitlines()]


def test_diagnose_leaves_numbers_in_the_history_and_figures(command, capsys) -> None:
    assert command("--epochs", "2", "--diagnose", "--out", "a") == 0
    for line in history("a"):
        assert len(line["layers"]) == 3
        assert all(layer["gradient"] > 0 and layer["update"] > 0 for layer in line["layers"])
        assert 0 <= line["layers"][0]["dead"] <= line["layers"][0]["saturated"] <= 1
    names = {path.name for path in Path("a/diagnosis").iterdir()}
    assert names == {"health.png", "first-layer-001.png", "first-layer-002.png"}
    for name in names:
        with Image.open(Path("a/diagnosis", name)) as picture:
            assert picture.width >= 900
    printed = capsys.readouterr().out
    assert printed.count("    layer 3  gradient") == 2


def test_diagnose_changes_nothing_of_the_training(command, undrawn, capsys) -> None:
    for opt in ("adam", "schedule_free_sgd", "sam"):
        assert command("--opt", opt, "--epochs", "2", "--diagnose", "--out", f"{opt}-a") == 0
        assert command("--opt", opt, "--epochs", "2", "--out", f"{opt}-b") == 0
        assert Path(f"{opt}-a/model.npz").read_bytes() == Path(f"{opt}-b/model.npz").read_bytes()
        assert [line["layers"] for line in history(f"{opt}-b")] == [None, None]


def test_the_update_is_that_of_the_last_batch_of_the_epoch(command, undrawn, capsys) -> None:
    """SGD: lr times the gradient of the last of the four batches, taken where it was taken."""
    assert command("--opt", "sgd", "--lr", "0.5", "--epochs", "1", "--diagnose", "--out", "a") == 0
    data = nn.load_dataset("digits", limit=200)
    model = nn.MLP([784, 12, 6, 10])
    for x, labels in nn.mini_batch(data.train, 50):
        model.loss_and_grad(x, labels)
        before = model.w.copy()
        model.w -= 0.5 * model.dw
    start = 0
    for matrix, layer in zip(model.matrices, history("a")[0]["layers"], strict=True):
        part = slice(start, start := start + matrix.w.size)
        expected = np.linalg.norm((model.w - before)[part]) / np.linalg.norm(before[part])
        assert layer["update"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_its_diagnosis(command, capsys) -> None:
    assert command("--epochs", "3", "--diagnose", "--out", "whole") == 0
    assert command("--epochs", "2", "--diagnose", "--out", "a") == 0
    assert run(train.main, ["--resume", "a", "--epochs", "3"]) == 0
    assert [line["layers"] for line in history("a")] == [
        line["layers"] for line in history("whole")
    ]
    assert Path("a/diagnosis/health.png").read_bytes() == (
        Path("whole/diagnosis/health.png").read_bytes()
    )


def test_a_run_may_be_diagnosed_from_the_middle_on(command, undrawn, capsys) -> None:
    assert command("--epochs", "1", "--out", "a") == 0
    assert run(train.main, ["--resume", "a", "--epochs", "2", "--diagnose"]) == 0
    assert [line["layers"] is None for line in history("a")] == [True, False]


def test_with_one_update_an_epoch_and_no_validation_it_works_too(command, undrawn, capsys) -> None:
    argv = ["--loader", "batch", "--val-size", "0", "--epochs", "2", "--diagnose", "--out", "a"]
    assert run(train.main, ["--dataset", "digits", "--hidden", "5", *argv]) == 0
    assert all(layer["update"] > 0 for line in history("a") for layer in line["layers"])


def test_figures_that_cannot_be_drawn_cost_a_warning_and_not_the_run(
    command, capsys, monkeypatch
) -> None:
    def broken(*_):
        raise RuntimeError("no fonts")

    monkeypatch.setattr(plots, "health", broken)
    assert command("--epochs", "1", "--diagnose", "--out", "a") == 0
    assert "no figure: matplotlib says RuntimeError: no fonts" in capsys.readouterr().err
    assert history("a")[0]["layers"] is not None


def test_a_damaged_diagnosis_in_a_checkpoint_is_refused() -> None:
    from nnscratch.checkpoint import _record
    from nnscratch.errors import UsageError

    layers = [asdict(LayerHealth(0.1, 0.2, 0.3, None))]
    entry = asdict(nn.Record(1, 2, 3, 0.1, 0.5, 1.0, True)) | {"layers": layers}
    assert _record(entry).layers == [LayerHealth(0.1, 0.2, 0.3, None)]
    del entry["layers"]
    assert _record(entry).layers is None
    for wrong in ({"gradient": "x"}, {"gradient": None}, {"dead": -1.0}):
        with pytest.raises(UsageError):
            _record(entry | {"layers": [layers[0] | wrong]})
    with pytest.raises(TypeError):
        _record(entry | {"layers": [{"gradient": 0.1}]})


def test_the_figure_of_health_shows_each_layer_on_each_panel(monkeypatch) -> None:
    records = [
        nn.Record(k, k, k, 0.1, 0.5, 1.0, True, layers=[
            LayerHealth(0.1 * k, 0.001, 0.2, 0.1), LayerHealth(0.2, None, None, None)
        ])
        for k in (1, 2)
    ]  # fmt: skip
    assert plots.health(records, "a title").startswith(b"\x89PNG")
    legends = []

    def kept(figure, kind: str) -> bytes:
        legends.append([text.get_text() for text in figure.legends[0].get_texts()])
        return b""

    monkeypatch.setattr(plots, "as_bytes", kept)
    no_update = [replace(records[0], layers=[LayerHealth(0.1, None, 0.2, 0.1)] * 2)]
    plots.health(no_update, "the first epoch of a network that began at zero")
    assert legends == [["layer 1", "layer 2", "a rule of thumb"]]


def test_inputs_that_are_no_square_image_are_not_drawn_as_one() -> None:
    with pytest.raises(nn.UsageError, match="20 inputs are no square image"):
        plots.first_layer(nn.MLP([20, 3]), "")
