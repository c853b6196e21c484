"""The evaluate command: what it measures, draws and leaves behind, and how it refuses."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix

import nnscratch as nn
from nnscratch import confusion, evaluate, train
from nnscratch.command_line import run
from nnscratch.formats import native
from nnscratch.gallery import gallery


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on digits that still makes mistakes."""
    path = tmp_path_factory.mktemp("runs") / "run"
    flags = ["--dataset", "digits", "--hidden", "20", "--epochs", "6", "--quiet"]
    assert run(train.main, [*flags, "--out", str(path)]) == 0
    return path


@pytest.fixture
def folder(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of it, to be written into."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


def evaluated(capsys, *argv: str) -> dict[str, Any]:
    """The line of JSON, and nothing else."""
    assert run(evaluate.main, [*argv, "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert (out.count("\n"), err) == (1, "")
    return json.loads(out)


def failure(capsys, *argv: str) -> tuple[int, str, str]:
    code = run(evaluate.main, list(argv))
    out, err = capsys.readouterr()
    assert out == ""
    what, fix = err.splitlines()
    return code, what.removeprefix("nnscratch: error: "), fix.removeprefix("fix: ")


def truth(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The labels of the test images, and the network's probabilities for them."""
    test = nn.load_dataset("digits").test
    return test.labels, nn.load_model(folder).predict_proba(test.x)


# --- what it measures ----------------------------------------------------------------------------


def test_its_numbers_are_those_of_scikit_learn_and_of_the_run(folder: Path, capsys) -> None:
    found = evaluated(capsys, str(folder))
    labels, shares = truth(folder)
    answers = shares.argmax(axis=1)
    result = json.loads((folder / "result.json").read_text())
    assert found["test_accuracy"] == result["test_accuracy"] == accuracy_score(labels, answers)
    assert found["test_loss"] == result["test_loss"]
    assert found["test_loss"] == pytest.approx(-np.log(shares[range(297), labels]).mean(), rel=1e-5)
    assert found["confusion"] == confusion_matrix(labels, answers).tolist()
    theirs = classification_report(labels, answers, output_dict=True)
    for k, of_class in enumerate(found["classes"]):
        wanted = theirs[str(k)]
        names = {"precision": "precision", "recall": "recall", "f1": "f1-score"}
        for ours, name in names.items():
            assert of_class[ours] == pytest.approx(wanted[name])
        assert of_class["images"] == wanted["support"]
    assert (found["dataset"], found["images"]) == ("digits", 297)
    low, high = found["interval_95"]
    z, n, p = 1.959964, 297, found["test_accuracy"]  # Wilson 1927
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    assert (low + high) / 2 == pytest.approx(middle, rel=1e-6)
    assert low < p < high


def test_the_worst_mistakes_are_those_with_the_least_for_the_truth(folder: Path, capsys) -> None:
    labels, shares = truth(folder)
    wrong = np.flatnonzero(shares.argmax(axis=1) != labels)
    for_truth = shares[wrong, labels[wrong]]
    assert len(wrong) > 10
    worst = evaluated(capsys, str(folder), "--worst", "7")["worst"]
    assert [m["image"] for m in worst] == wrong[for_truth.argsort()][:7].tolist()
    for mistake in worst:
        k = mistake["image"]
        assert mistake["label"] == labels[k]
        assert mistake["answer"] == shares[k].argmax()
        assert mistake["probability"] == pytest.approx(shares[k].max(), rel=1e-5)
        assert mistake["loss"] == pytest.approx(-np.log(shares[k, labels[k]]), rel=1e-3)
    everything = evaluated(capsys, str(folder), "--worst", "1000")["worst"]
    assert len(everything) == len(wrong)


@pytest.mark.parametrize("loss", list(nn.LOSSES))
def test_a_network_that_saw_raw_pixels_in_double_precision_sees_them_again(
    loss: str, tmp_path: Path, capsys
) -> None:
    flags = ["--dataset", "digits", "--hidden", "5", "--epochs", "1", "--raw-pixels", "--quiet"]
    flags += ["--dtype", "float64", "--loss", loss, "--out", str(tmp_path / "raw")]
    assert run(train.main, flags) == 0
    found = evaluated(capsys, str(tmp_path / "raw"))
    result = json.loads((tmp_path / "raw" / "result.json").read_text())
    for name in ("test_loss", "test_accuracy"):
        assert found[name] == result[name]


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_a_network_with_batch_normalization_and_dropout_answers_as_at_the_end_of_its_run(
    ending: str, tmp_path: Path, capsys
) -> None:
    """All units at work, and with the means and variances of the training."""
    folder, file = tmp_path / "run", tmp_path / f"it{ending}"
    flags = ["--dataset", "digits", "--hidden", "30", "--epochs", "3", "--batch-norm", "--quiet"]
    flags += ["--dropout", "0.2", "--smoothing", "0.1", "--batch-size", "50", "--out", str(folder)]
    assert run(train.main, flags) == 0
    result = json.loads((folder / "result.json").read_text())
    assert result["test_accuracy"] > 0.5
    nn.save_model(file, nn.load_model(folder))
    for argv in ([str(folder)], [str(file), "--dataset", "digits"]):
        found = evaluated(capsys, *argv)
        assert found["test_accuracy"] == result["test_accuracy"]
        assert found["test_loss"] == result["test_loss"]


def test_a_class_that_is_never_answered_has_no_precision(tmp_path: Path, capsys) -> None:
    model = nn.MLP([784, 10], init="zeros")
    model.w[-10:] = np.arange(10) == 3  # biases: it answers 3, whatever it sees
    nn.save_model(tmp_path / "three.npz", model)
    assert run(evaluate.main, [str(tmp_path / "three.npz"), "--dataset", "digits"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [line.split() for line in lines]
    labels = nn.load_dataset("digits").test.labels
    right = np.mean(labels == 3)
    assert lines[0].startswith(f"test accuracy {100 * right:.2f} % on digits (95 % interval ")
    assert ["0", "-", "0.00", "0.00", str(np.sum(labels == 0))] in cells
    f1 = 2 * right / (1 + right)
    row = ["3", f"{100 * right:.2f}", "100.00", f"{100 * f1:.2f}", str(np.sum(labels == 3))]
    assert row in cells
    as_json = json.loads((tmp_path / "evaluation.json").read_text())
    assert as_json["classes"][0]["precision"] is None


# --- what it tells -------------------------------------------------------------------------------


def test_the_matrix_and_the_largest_confusions_are_told(folder: Path, capsys) -> None:
    assert run(evaluate.main, [str(folder)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = json.loads((folder / "evaluation.json").read_text())
    counts = np.array(found["confusion"])
    printed = out.split("truth  taken for\n")[1].splitlines()
    assert printed[0].split() == [str(k) for k in range(10)]
    for k in range(10):
        row = [int(cell.replace(".", "0")) for cell in printed[k + 1].split()]
        assert row == [k, *counts[k]]
    off = counts * (1 - np.eye(10, dtype=int))
    told = re.findall(r"^(\d) taken for (\d): (\d+) times?$", out, re.MULTILINE)
    assert [int(times) for *_, times in told] == sorted(off.ravel(), reverse=True)[:5]
    assert all(off[int(a), int(b)] == int(times) for a, b, times in told)
    for file in ("evaluation.json", "confusion.png", "mistakes.png"):
        assert file in out.splitlines()[-1]
        assert (folder / file).stat().st_size > 1000


def test_another_accuracy_in_the_same_folder_is_warned_of(folder: Path, capsys) -> None:
    result = json.loads((folder / "result.json").read_text())
    file = folder / "result.json"
    file.write_text(json.dumps(result | {"test_accuracy": 0.25}))
    assert run(evaluate.main, [str(folder), "--quiet"]) == 0
    warned = capsys.readouterr().err
    assert warned.startswith("nnscratch: warning: ")
    assert "result.json" in warned
    assert "says 25.00 %" in warned
    assert warned.count("\n") == 1
    file.write_text(json.dumps(result | {"test_accuracy": 0.25, "dataset": "mnist"}))
    assert run(evaluate.main, [str(folder), "--quiet"]) == 0  # of other images: nothing to compare
    assert capsys.readouterr().err == ""


def test_with_out_it_is_the_run_of_the_network_that_is_compared(
    folder: Path, tmp_path: Path, capsys
) -> None:
    """And not one that happens to lie where the figures go."""
    result = json.loads((folder / "result.json").read_text())
    wrong = json.dumps(result | {"test_accuracy": 0.25})
    out = tmp_path / "out"
    out.mkdir()
    (out / "result.json").write_text(wrong)
    evaluated(capsys, str(folder), "--out", str(out))  # asserts that nothing is warned of
    (folder / "result.json").write_text(wrong)
    assert run(evaluate.main, [str(folder), "--out", str(tmp_path / "new"), "--quiet"]) == 0
    assert f"result.json of {folder} says 25.00 %" in capsys.readouterr().err


def test_a_network_without_mistakes_has_no_picture_of_them(tmp_path: Path, monkeypatch, capsys):
    """One that reads the class off the first ten pixels."""
    images = np.zeros((100, 784), np.uint8)
    labels = np.arange(100) % 10
    images[np.arange(100), labels] = 255
    split = nn.Split(images, labels, unit=255.0)
    data = nn.Dataset("digits", 10, split, split, split)
    monkeypatch.setattr(evaluate, "load_dataset", lambda *_, **__: data)
    model = nn.MLP([784, 10], init="zeros")
    model.parameters[0].w[:10] = 20 * np.eye(10)
    nn.save_model(tmp_path / "right.npz", model)
    (tmp_path / "mistakes.png").write_text("of a worse network")
    assert run(evaluate.main, [str(tmp_path / "right.npz"), "--dataset", "digits"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("test accuracy 100.00 %")
    assert "taken for 1" not in out
    assert not (tmp_path / "mistakes.png").exists()
    assert json.loads((tmp_path / "evaluation.json").read_text())["worst"] == []


def test_out_is_where_it_writes(folder: Path, tmp_path: Path, capsys) -> None:
    before = {path.name for path in folder.iterdir()}
    evaluated(capsys, str(folder), "--out", str(tmp_path / "a" / "b"))
    assert {path.name for path in folder.iterdir()} == before
    written = {path.name for path in (tmp_path / "a" / "b").iterdir()}
    assert written == {"evaluation.json", "confusion.png", "mistakes.png"}


# --- figures -------------------------------------------------------------------------------------


def test_the_diagonal_has_no_colour_and_every_count_is_written(drawn) -> None:
    counts = np.array([[990, 0, 7], [1, 1234, 0], [0, 2, 3]])
    assert confusion.figure(counts, "title").startswith(b"\x89PNG")
    axes, bar = drawn[0].axes
    (shown,) = axes.images
    assert shown.get_array().mask.tolist() == np.eye(3, dtype=bool).tolist()
    assert shown.get_clim() == (0, 7)
    written = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in axes.texts}
    assert written == {
        (0, 0): "990", (0, 2): "7", (1, 0): "1", (1, 1): "1,234", (2, 1): "2", (2, 2): "3",
    }  # fmt: skip
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("answer of the network", "truth")
    assert all(float(tick).is_integer() for tick in bar.get_yticks())


@pytest.mark.parametrize("title", ["short", "784-300-200-100-50-50-30-30-20-10 sigmoid, " * 3])
def test_nothing_of_the_matrix_is_cut_off_and_nothing_lies_on_another(title: str, drawn) -> None:
    confusion.figure(np.full((10, 10), 1234), title)
    figure = drawn[0]
    renderer = figure.canvas.get_renderer()
    axes, bar = figure.axes
    boxes = [part.get_tightbbox(renderer) for part in (figure._suptitle, axes, bar)]
    for k, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0
        assert figure.bbox.y0 <= box.y0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[k + 1 :])


def test_without_mistakes_the_matrix_is_drawn_all_the_same(drawn) -> None:
    confusion.figure(np.diag([3, 4]), "title")
    assert [text.get_text() for text in drawn[0].axes[0].texts] == ["3", "4"]
    assert drawn[0].axes[0].images[0].get_clim() == (0, 1)


@pytest.mark.parametrize("n", [1, 3, 8, 9, 40])
def test_no_caption_of_the_pictures_lies_on_another_one(n: int, drawn) -> None:
    gallery(np.zeros((n, 28, 28), np.uint8), ["8, not 8\n100.0 %"] * n, "x" * 55)
    figure = drawn[0]
    renderer = figure.canvas.get_renderer()
    texts = figure.axes[0].texts
    assert len(texts) == n
    boxes = [text.get_window_extent(renderer) for text in (figure._suptitle, *texts)]
    for k, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert not any(box.overlaps(other) for other in boxes[k + 1 :])


# --- refusals ------------------------------------------------------------------------------------


def test_what_is_no_trained_network_is_refused(folder: Path, tmp_path: Path, capsys) -> None:
    missing = failure(capsys, str(tmp_path / "nowhere"))
    assert missing[0] == 4
    assert "nowhere" in missing[1]
    (folder / native.FILE).write_bytes((folder / native.FILE).read_bytes()[:-50])
    damaged = failure(capsys, str(folder))
    assert damaged[0] == 4
    assert "cut off" in damaged[1]
    (folder / native.FILE).unlink()
    unfinished = failure(capsys, str(folder))
    assert unfinished[0] == 4
    assert "there is no trained network in" in unfinished[1]
    assert not (folder / "evaluation.json").exists()


def test_a_network_alone_has_to_be_told_its_data_set(folder: Path, tmp_path, capsys) -> None:
    file = str(tmp_path / "alone.npz")
    nn.save_model(file, nn.load_model(folder))
    code, what, fix = failure(capsys, file)
    assert (code, "does not say what its network was trained on" in what) == (2, True)
    assert "--dataset" in fix
    alone = evaluated(capsys, file, "--dataset", "digits")
    assert alone == evaluated(capsys, str(folder))
    code, what, _ = failure(capsys, str(folder), "--dataset", "mnist")
    assert (code, what) == (2, f"{folder} was trained on digits, not on mnist")
    assert failure(capsys, file, "--dataset", "cifar")[:2] == (2, "unknown data set 'cifar'")


def test_a_file_in_the_names_of_pytorch_is_evaluated_too(folder: Path, tmp_path, capsys) -> None:
    file = tmp_path / "alone.safetensors"
    nn.save_model(file, nn.load_model(folder))
    assert evaluated(capsys, str(file), "--dataset", "digits") == evaluated(capsys, str(folder))
    code, what, _ = failure(capsys, str(file))
    assert (code, what) == (2, f"{file} does not say what its network was trained on")


@pytest.mark.parametrize("sizes", [[64, 10], [784, 5]], ids=["other inputs", "other classes"])
def test_a_network_for_other_images_is_refused(sizes: list[int], tmp_path: Path, capsys) -> None:
    nn.save_model(tmp_path / "other.npz", nn.MLP(sizes))
    code, what, fix = failure(capsys, str(tmp_path / "other.npz"), "--dataset", "digits")
    assert code == 2
    assert f"{sizes[0]} inputs and {sizes[1]} outputs" in what
    assert fix == "give one that reads 784 pixels (28 x 28) and tells 10 digits apart"


def test_a_network_whose_loss_is_no_number_is_refused(tmp_path: Path, capsys) -> None:
    model = nn.MLP([784, 10, 10], "identity")
    model.w *= np.float32(1e30)
    nn.save_model(tmp_path / "wild.npz", model)
    code, what, fix = failure(capsys, str(tmp_path / "wild.npz"), "--dataset", "digits")
    assert code == 5
    assert "layer 2" in what
    assert "learning rate" in fix


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        ([], 2, "RUN_DIR"),
        (["--worst", "0"], 2, "--worst"),
        (["--worst", "5", "--worst", "6"], 2, "twice"),
        (["--wrost", "5"], 2, "--wrost"),
        (["--data-dir", "/nowhere"], 2, "digits lie inside scikit-learn"),
        (["--out", "{run}/result.json"], 6, "cannot be written"),
    ],
    ids=["nothing", "none", "twice", "misspelt", "data dir", "a file"],
)
def test_wrong_flags_are_refused(argv, code, said, folder: Path, capsys) -> None:
    words = [word.format(run=folder) for word in argv]
    found, what, fix = failure(capsys, *([str(folder), *words] if argv else []))
    assert found == code
    assert said in what
    assert fix


@pytest.mark.slow
def test_mnist_is_evaluated_as_its_run_was(mnist_folder: str, tmp_path: Path, capsys) -> None:
    flags = ["--dataset", "mnist", "--data-dir", mnist_folder, "--hidden", "30", "--epochs", "1"]
    assert run(train.main, [*flags, "--out", str(tmp_path / "run"), "--quiet"]) == 0
    found = evaluated(capsys, str(tmp_path / "run"), "--data-dir", mnist_folder)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert found["test_accuracy"] == result["test_accuracy"]
    assert sum(map(sum, found["confusion"])) == 10_000
    # the published counts of the test labels
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert [of_class["images"] for of_class in found["classes"]] == counts
