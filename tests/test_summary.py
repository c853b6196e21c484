"""The table of the layers: what it counts and says, as a method and as a command."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.neural_network import MLPClassifier

import nnscratch as nn
from nnscratch import summary, train
from nnscratch.command_line import run


def rows(text: str) -> list[list[str]]:
    """The cells of each line but the last, which is of the memory."""
    return [re.split(r"\s{2,}", line) for line in text.splitlines()[:-1]]


def table(capsys, *argv: str) -> str:
    assert run(summary.main, list(argv)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.rstrip("\n")


def failure(capsys, *argv: str) -> tuple[int, str, str]:
    code = run(summary.main, list(argv))
    out, err = capsys.readouterr()
    assert out == ""
    what, fix = err.splitlines()
    return code, what.removeprefix("nnscratch: error: "), fix.removeprefix("fix: ")


def test_the_network_of_the_main_job_has_795010_parameters(capsys) -> None:
    assert table(capsys).splitlines() == [
        "layer    output shape  activation  init            parameters",
        "input    (None, 784)                                        0",
        "dense 1  (None, 1000)  sigmoid     glorot_uniform     785,000",  # 784 * 1000 + 1000
        "dense 2  (None, 10)    softmax     glorot_uniform      10,010",  # 1000 * 10 + 10
        "total                                                 795,010",
        "3,180,040 bytes of float32, and as many for the gradient",  # 4 * 795,010
    ]


@pytest.mark.parametrize("hidden", [(1,), (30, 20), (7, 5, 3)])
def test_the_parameters_are_as_many_as_scikit_learn_has(hidden: tuple[int, ...], capsys) -> None:
    theirs = MLPClassifier(hidden).partial_fit(np.eye(10, 784), range(10), classes=range(10))
    counts = [W.size + b.size for W, b in zip(theirs.coefs_, theirs.intercepts_, strict=True)]
    shown = rows(table(capsys, "--hidden", ",".join(map(str, hidden))))
    assert [int(row[-1].replace(",", "")) for row in shown[2:-1]] == counts
    assert shown[-1] == ["total", f"{sum(counts):,}"]
    assert [row[1] for row in shown[1:-1]] == [f"(None, {n})" for n in (784, *hidden, 10)]


def test_parts_are_named_with_their_numbers_and_the_last_layer_has_the_losss_output() -> None:
    model = nn.MLP(
        [4, 3, 2],
        nn.ACTIVATIONS["elu"](alpha=0.5),
        nn.INITIALIZERS["normal"](std=0.02),
        "sigmoid_cross_entropy",
        bias=False,
        dtype="float64",
    )
    text = model.summary()
    assert rows(text)[2:] == [
        ["dense 1", "(None, 3)", "elu(alpha=0.5)", "normal(std=0.02)", "12"],
        ["dense 2", "(None, 2)", "sigmoid", "normal(std=0.02)", "6"],
        ["total", "18"],
    ]
    assert text.endswith("144 bytes of float64, and as many for the gradient")


def test_batch_normalization_is_counted_with_what_it_learns_in_the_place_of_the_bias(
    capsys,
) -> None:
    """gamma and beta of each hidden unit; the means and variances are not learned."""
    flags = ["--batch-norm", "--hidden", "30,20", "--dropout", "0.5", "--l2", "0.001"]
    *layers, memory, limits = table(capsys, *flags).splitlines()
    assert limits == "regularization: l2 0.001, dropout 0.5"
    assert memory.endswith(" bytes of float32, and as many for the gradient")
    shown = [re.split(r"\s{2,}", line) for line in layers]
    counts = [784 * 30 + 30 + 30, 30 * 20 + 20 + 20, 20 * 10 + 10]
    assert [int(row[-1].replace(",", "")) for row in shown[2:]] == [*counts, sum(counts)]
    assert [row[2] for row in shown[2:-1]] == ["batch_norm, sigmoid"] * 2 + ["softmax"]
    assert len({len(line) for line in layers}) == 1
    without = rows(table(capsys, "--batch-norm", "--no-bias", "--hidden", "30,20"))
    assert int(without[-1][-1].replace(",", "")) == sum(counts) - 10


@pytest.mark.parametrize("loss", list(nn.LOSSES))
def test_the_output_is_the_function_that_the_table_names(loss: str) -> None:
    model = nn.MLP([3, 4], loss=loss, seed=1)
    x = np.random.default_rng(0).normal(size=(5, 3))
    z = x @ model.parameters[0].w
    named = {
        "softmax": np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
        "sigmoid": 1 / (1 + np.exp(-z)),
    }
    name = rows(model.summary())[2][2]
    np.testing.assert_allclose(model.predict_proba(x), named[name], rtol=1e-5)


def test_a_loss_of_ones_own_needs_no_name_for_its_output() -> None:
    @dataclass(frozen=True)
    class Mine(nn.LOSSES["mean_squared_error"].__base__):
        def output(self, z, a): ...
        def forward(self, z, labels, a): ...
        def backward(self, a, labels, dz): ...
        def sampled_backward(self, a, rng, dz): ...

    assert rows(nn.MLP([3, 2], loss=Mine()).summary())[2][2] == "the loss's own"


def test_columns_stand_below_each_other_however_wide_they_are() -> None:
    lines = nn.MLP([9, 10_000, 2], "leaky_relu", "uniform").summary().splitlines()[:-1]
    assert len({len(line) for line in lines}) == 1
    starts = {line.index("(None") for line in lines if "(None" in line}
    assert starts == {lines[0].index("output")}


@pytest.mark.parametrize("more", [[], ["--batch-norm", "--dropout", "0.2"]], ids=["", "normed"])
def test_a_trained_network_is_shown_from_its_folder_and_from_its_file(
    more: list[str], tmp_path: Path, capsys
) -> None:
    folder, file = tmp_path / "run", tmp_path / "alone.npz"
    flags = ["--dataset", "digits", "--hidden", "6", "--activation", "relu", "--init", "he_normal"]
    flags += more
    assert run(train.main, [*flags, "--epochs", "1", "--out", str(folder), "--quiet"]) == 0
    nn.save_model(file, nn.load_model(folder))
    from_folder = table(capsys, str(folder))
    assert from_folder == table(capsys, str(file)) == table(capsys, *flags)
    result = json.loads((folder / "result.json").read_text())
    assert ["total", f"{result['weights']:,}"] in rows(from_folder)
    if more:
        row = ["batch_norm, relu", "he_normal", f"{784 * 6 + 6 + 6:,}"]
        assert from_folder.endswith("regularization: dropout 0.2")
    else:
        row = ["relu", "he_normal", f"{784 * 6 + 6:,}"]
    assert rows(from_folder)[2][2:] == row


def test_what_pytorch_wrote_is_shown_once_its_activation_is_said(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    """The line that says what to do is Python, and it does."""
    path = tmp_path / "theirs.safetensors"
    save_file({"0.weight": np.ones((10, 784), np.float32)}, path)
    code, what, fix = failure(capsys, str(path))
    assert (code, "does not say which activation" in what) == (2, True)
    monkeypatch.chdir(tmp_path)
    exec(fix.partition(": ")[2], {"nn": nn, "path": path})
    assert "7,840" in table(capsys, "whole.npz")
    nn.save_model("ours.safetensors", nn.load_model("whole.npz"))
    assert table(capsys, "ours.safetensors") == table(capsys, "whole.npz")


def test_help_says_which_flags_there_are(capsys) -> None:
    for asked in ("-h", "--help"):
        with pytest.raises(SystemExit) as left:
            run(summary.main, [asked])
        assert left.value.code == 0
        assert "--hidden 300,100" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["nowhere"], 4, "there is no network nowhere"),
        (["nowhere.npz"], 4, "there is no network nowhere.npz"),
        (["."], 4, "there is no trained network in ."),
        ([".", "--hidden", "3"], 2, "unrecognized arguments: --hidden 3"),
        (["--hidden", "0"], 2, "--hidden: must be a whole number in [1, inf), got '0'"),
        (["--hiden", "3"], 2, "unknown flag --hiden"),
        (["--activation", "relo"], 2, "unknown activation 'relo'"),
        (["--hidden", "3", "--hidden", "4"], 2, "--hidden is given twice"),
    ],
    ids=["no ending", "no file", "no run", "both", "no units", "misspelt", "unknown", "twice"],
)
def test_what_cannot_be_shown_is_refused_in_two_lines(
    argv, code, said, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    found, what, fix = failure(capsys, *argv)
    assert (found, what) == (code, said)
    assert fix


def test_the_command_can_be_typed() -> None:
    program = [sys.executable, "-m", "nnscratch.summary", "--hidden", "2", "--no-bias"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{784 * 2 + 2 * 10:,}" in done.stdout
