"""Networks that answer together: the mean of their answers, who may be a member, the command."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import VotingClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.preprocessing import LabelEncoder

import nnscratch as nn
from nnscratch import committee, train
from nnscratch.command_line import run
from nnscratch.committee import mcnemar
from nnscratch.formats import native
from nnscratch.formats.native import Saved


def members(number: int = 3, **settings: Any) -> list[nn.MLP]:
    """Networks for the toy images, with answers that are not alike."""
    made = []
    for seed in range(number):
        model = nn.MLP([12, 6 + seed, 3], **{"seed": seed, **settings})
        model.w += np.random.default_rng(seed).normal(size=model.w.shape)
        made.append(model)
    return made


class Fitted(ClassifierMixin, BaseEstimator):
    """One of our networks as scikit-learn wants a classifier."""

    def __init__(self, model: nn.MLP) -> None:
        self.model = model
        self.classes_ = np.arange(model.sizes[-1])

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(x)


def normalized(shares: np.ndarray) -> np.ndarray:
    """In double precision, adding up to 1 in each row, as log_loss wants them."""
    shares = shares.astype(np.float64)
    return shares / shares.sum(axis=1, keepdims=True)


def refused(call: Any) -> tuple[str, str]:
    with pytest.raises(nn.UsageError) as error:
        call()
    assert "\n" not in error.value.what + error.value.fix
    return error.value.what, error.value.fix


# --- what it answers -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_answers_as_scikit_learns_soft_voting(dtype: str, toy: nn.Split) -> None:
    nets, x = members(dtype=dtype), np.asarray(toy.x, dtype)
    together = nn.Committee(nets)
    theirs = VotingClassifier([(f"{k}", Fitted(net)) for k, net in enumerate(nets)], voting="soft")
    theirs.estimators_ = [Fitted(net) for net in nets]
    theirs.le_ = LabelEncoder().fit(toy.labels)
    shares = theirs.predict_proba(x)
    np.testing.assert_allclose(together.predict_proba(x), shares, rtol=1e-6)
    assert together.predict(x).tolist() == theirs.predict(x).tolist()
    assert len({tuple(net.predict(x)) for net in nets} | {tuple(together.predict(x))}) == 4
    found = together.evaluate(toy.x, toy.labels)
    assert found.accuracy == accuracy_score(toy.labels, theirs.predict(x))
    assert found.loss == pytest.approx(log_loss(toy.labels, normalized(shares)), rel=1e-6)


def test_a_small_one_is_as_one_reckons_by_hand() -> None:
    """Answers of 0.9 and 0.4 for class 0 make 0.65, although one member of two says 1."""
    left, right = (nn.MLP([1, 2], init="zeros", dtype="float64") for _ in range(2))
    left.w[-2:], right.w[-2:] = np.log([9, 1]), np.log([2, 3])
    together = nn.Committee([left, right])
    x = np.zeros((3, 1))
    np.testing.assert_allclose(together.predict_proba(x), [[0.65, 0.35]] * 3)
    assert together.predict(x).tolist() == [0, 0, 0]
    found = together.evaluate(x, np.array([0, 0, 1]))
    assert found.accuracy == 2 / 3
    assert found.loss == pytest.approx(-(2 * np.log(0.65) + np.log(0.35)) / 3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_member_alone_answers_bit_for_bit_as_it_does_without_the_others(dtype, toy) -> None:
    (model,) = members(1, dtype=dtype)
    for alone in (nn.Committee([model]), nn.Committee([model] * 4)):
        shares = alone.predict_proba(toy.x)
        assert shares.dtype == np.float64
        assert shares.astype(dtype).tobytes() == model.predict_proba(toy.x).tobytes()
        assert alone.predict(toy.x).tolist() == model.predict(toy.x).tolist()
        ours, its = alone.evaluate(toy.x, toy.labels), model.evaluate(toy.x, toy.labels)
        assert ours.accuracy == its.accuracy
        assert ours.loss == pytest.approx(its.loss, rel=1e-6)


def test_the_order_of_the_members_plays_no_part_and_one_given_twice_counts_twice(toy) -> None:
    a, b, c = members(dtype="float64")
    shares = nn.Committee([a, b, c]).predict_proba(toy.x)
    np.testing.assert_allclose(nn.Committee([c, a, b]).predict_proba(toy.x), shares, rtol=1e-14)
    twice = nn.Committee([a, b, a]).predict_proba(toy.x)
    expected = (2 * a.predict_proba(toy.x) + b.predict_proba(toy.x)) / 3
    np.testing.assert_allclose(twice, expected, rtol=1e-14)


def test_members_may_differ_in_all_that_does_not_show_from_outside(toy: nn.Split) -> None:
    nets = [
        nn.MLP([12, 3], seed=1),
        nn.MLP([12, 9, 8, 3], "relu", dtype="float64", batch_norm=True),
        nn.MLP([12, 5, 3], "tanh", bias=False, regularization=nn.Regularization(dropout=0.5)),
        nn.MLP([12, 4, 3], loss=nn.LOSSES["softmax_cross_entropy"](smoothing=0.1)),
    ]
    expected = np.mean([net.predict_proba(toy.x) for net in nets], axis=0)
    together = nn.Committee(iter(nets))
    np.testing.assert_allclose(together.predict_proba(toy.x), expected, rtol=1e-6)
    assert repr(together) == "<Committee of 4, 12 inputs, 3 classes>"
    nets[0].w += 1  # the members are themselves, and go on learning
    assert together.members[0] is nets[0]


@pytest.mark.parametrize("loss", ["sigmoid_cross_entropy", "mean_squared_error"])
def test_sigmoids_are_averaged_too(loss: str, toy: nn.Split) -> None:
    nets = members(loss=loss)
    together = nn.Committee(nets)
    expected = np.mean([net.predict_proba(toy.x) for net in nets], axis=0)
    np.testing.assert_allclose(together.predict_proba(toy.x), expected, rtol=1e-6)
    right = expected[np.arange(len(toy)), toy.labels]
    assert together.evaluate(toy.x, toy.labels).loss == pytest.approx(-np.log(right).mean())


def test_a_right_class_that_no_member_thinks_possible_costs_infinitely_much() -> None:
    model = nn.MLP([1, 2], init="zeros")
    model.w[-2:] = 200, 0
    x = np.zeros((2, 1))
    found = nn.Committee([model, model]).evaluate(x, np.array([0, 1]))
    assert (found.loss, found.accuracy) == (np.inf, 0.5)
    half = nn.Committee([model, nn.MLP([1, 2], init="zeros")]).evaluate(x, np.array([1, 1]))
    assert half.loss == pytest.approx(np.log(4))


# --- who may be a member -------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files of networks, with and without what their inputs are."""
    made = members(2)
    saved = {
        "raw": Saved(made[0], "mnist", 1.0),
        "mnist": Saved(made[0], "mnist", 255.0),
        "digits": Saved(made[1], "digits", 255.0),
        "unknown": Saved(made[1]),
    }
    paths = {name: tmp_path / f"{name}.npz" for name in saved}
    for name, path in paths.items():
        path.write_bytes(native.to_bytes(saved[name]))
    return paths


def test_networks_are_read_from_files_and_folders(files, tmp_path: Path, toy: nn.Split) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(files["mnist"], folder / "model.npz")
    nn.save_model(tmp_path / "it.safetensors", members(3)[2])
    paths = [str(folder), files["unknown"], tmp_path / "it.safetensors"]
    read = nn.Committee([*paths, members(1)[0]])
    expected = nn.Committee([*members(3), *members(1)])
    assert read.predict_proba(toy.x).tobytes() == expected.predict_proba(toy.x).tobytes()


def test_members_that_learned_from_other_images_are_refused_as_far_as_it_is_known(files) -> None:
    what, fix = refused(lambda: nn.Committee([files["mnist"], files["unknown"], files["digits"]]))
    assert what == (
        f"the members differ in data set: mnist in {files['mnist']}, digits in {files['digits']}"
    )
    assert fix
    what, _ = refused(lambda: nn.Committee([files["unknown"], files["raw"], files["mnist"]]))
    assert what.startswith("the members differ in pixel value that is seen as 1: 1.0 in ")
    for known in ("mnist", "digits", "raw"):
        nn.Committee([members(1)[0], files[known], files["unknown"]])


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (nn.MLP([11, 3]), "inputs: 12 in member 1, 11 in member 3"),
        (nn.MLP([12, 4]), "classes: 3 in member 1, 4 in member 3"),
        (
            nn.MLP([12, 3], loss="mean_squared_error"),
            "output activation: softmax in member 1, sigmoid in member 3",
        ),
    ],
    ids=["inputs", "classes", "output"],
)
def test_members_that_answer_another_question_are_refused(other: nn.MLP, what: str) -> None:
    found, fix = refused(lambda: nn.Committee([*members(2), other]))
    assert found == f"the members differ in {what}"
    assert fix


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ([], "the committee has no members"),
        (iter([]), "the committee has no members"),
        ("runs/a", "a str is no list of members"),
        (nn.MLP([12, 3]), "a MLP is no list"),
        (Path("runs/a"), "Path is no list"),
        (None, "a NoneType is no list of members"),
        ([nn.MLP([12, 3]), None], "member 2 is a NoneType, which is no network"),
        ([nn.NNClassifier()], "member 1 is a NNClassifier, which is no network"),
        ([np.zeros((3, 3))], "member 1 is a ndarray, which is no network"),
    ],
    ids=["empty", "exhausted", "text", "network", "path", "none", "hole", "classifier", "array"],
)
def test_what_is_no_list_of_networks_is_refused(given: Any, what: str) -> None:
    found, fix = refused(lambda: nn.Committee(given))
    assert what in found
    assert fix
    assert len(found) < 200


@pytest.mark.parametrize("name", ["nowhere", "nowhere.npz", "cut.npz"])
def test_a_path_without_a_network_is_refused(name: str, files, tmp_path: Path) -> None:
    (tmp_path / "cut.npz").write_bytes(files["mnist"].read_bytes()[:-40])
    with pytest.raises(nn.CheckpointError, match=name):
        nn.Committee([files["mnist"], tmp_path / name])


def test_wrong_images_and_labels_are_refused_as_a_network_refuses_them(toy: nn.Split) -> None:
    together = nn.Committee(members())
    assert "but the network reads (n, 12)" in refused(lambda: together.predict(np.zeros((2, 5))))[0]
    for labels in (toy.labels[:-1], toy.labels + 1, toy.labels.astype(float), toy.labels - 1):
        refused(lambda labels=labels: together.evaluate(toy.x, labels))


def test_the_committee_is_imported_when_it_is_asked_for() -> None:
    code = "import sys, nnscratch as nn; print('nnscratch.committee' in sys.modules, nn.Committee)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False <class 'nnscratch.committee.Committee'>\n"


def test_the_command_can_be_typed_and_is_not_imported_before_it_runs() -> None:
    """Python would warn of that on stderr."""
    program = [sys.executable, "-m", "nnscratch.committee"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("nnscratch: error: the following arguments are required: RUN")


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three runs on digits that still make mistakes, one of them in double precision."""
    paths = [tmp_path_factory.mktemp("runs") / f"s{seed}" for seed in range(3)]
    for seed, path in enumerate(paths):
        flags = f"--dataset digits --hidden 20 --epochs 6 --quiet --seed {seed} --out {path}"
        flags += " --dtype float64" if seed == 1 else ""
        assert run(train.main, flags.split()) == 0
    return paths


def measured(capsys: Any, *argv: Any) -> dict[str, Any]:
    """The line of JSON, and nothing else."""
    assert run(committee.main, [*map(str, argv), "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert (out.count("\n"), err) == (1, "")
    return json.loads(out)


def failure(capsys: Any, *argv: Any) -> tuple[int, str, str]:
    code = run(committee.main, list(map(str, argv)))
    out, err = capsys.readouterr()
    assert out == ""
    what, fix = err.splitlines()
    return code, what.removeprefix("nnscratch: error: "), fix.removeprefix("fix: ")


def test_the_command_finds_what_the_runs_and_scikit_learn_found(runs, capsys) -> None:
    found = measured(capsys, *runs)
    test = nn.load_dataset("digits", dtype="float64").test
    shares = np.mean([nn.load_model(path).predict_proba(test.x) for path in runs], axis=0)
    right = shares.argmax(axis=1) == test.labels
    assert (found["dataset"], found["images"]) == ("digits", 297)
    assert found["committee"]["test_accuracy"] == accuracy_score(test.labels, shares.argmax(axis=1))
    loss = log_loss(test.labels, normalized(shares))
    assert found["committee"]["log_loss"] == pytest.approx(loss, rel=1e-5)
    each = shares[np.arange(297), test.labels]  # of pixels in double precision, for who wants them
    assert found["committee"]["log_loss"] == pytest.approx(-np.log(each).mean(), rel=1e-11)
    low, high = found["committee"]["interval_95"]
    assert low < right.mean() < high
    results = [json.loads((path / "result.json").read_text()) for path in runs]
    for of_run, path, result in zip(found["members"], runs, results, strict=True):
        assert of_run["run"] == str(path)
        assert of_run["test_accuracy"] == result["test_accuracy"]
        assert of_run["log_loss"] == pytest.approx(result["test_loss"], rel=1e-5)
    best = runs[int(np.argmax([result["test_accuracy"] for result in results]))]
    its = nn.load_model(best).predict(test.x) == test.labels
    assert found["best"] == str(best)
    b, c = int(np.sum(right & ~its)), int(np.sum(its & ~right))
    assert (found["only_committee"], found["only_best"]) == (b, c)
    assert b != c
    tail = binom.cdf(min(b, c), b + c, 0.5)
    assert found["p"] == pytest.approx(min(1, 2 * tail))


def test_it_tells_the_same_in_a_table(runs, capsys) -> None:
    found = measured(capsys, *runs)
    assert run(committee.main, list(map(str, runs))) == 0
    out, err = capsys.readouterr()
    assert err == ""
    first, head, *rows, against, _ = out.splitlines()
    assert first == "297 test images of digits"
    assert head.split() == ["test", "accuracy", "95", "%", "interval", "log", "loss"]
    assert len({len(row) for row in [head, *rows]}) == 1  # columns below each other
    numbers = [*found["members"], found["committee"]]
    for row, name, one in zip(rows, [*map(str, runs), "committee of 3"], numbers, strict=True):
        low, high = one["interval_95"]
        assert row.startswith(name)
        assert row[len(name) :].split() == [
            *(f"{100 * one['test_accuracy']:.2f}", "%"),
            *(f"{100 * low:.2f}", "to", f"{100 * high:.2f}", "%", f"{one['log_loss']:.4f}"),
        ]
    assert against.startswith(f"{found['only_committee']} images only the committee knows, and ")
    assert found["best"] in against
    assert f"p = {found['p']:.2g} " in against


def test_a_run_that_measured_another_accuracy_is_warned_of(runs, tmp_path: Path, capsys) -> None:
    other = shutil.copytree(runs[0], tmp_path / "other")
    result = json.loads((other / "result.json").read_text())
    (other / "result.json").write_text(json.dumps(result | {"test_accuracy": 0.25}))
    assert run(committee.main, [str(runs[1]), str(other), "--quiet"]) == 0
    warned = capsys.readouterr().err
    assert warned.startswith(f"nnscratch: warning: result.json of {other} says 25.00 %")
    assert warned.count("\n") == 1


@pytest.mark.parametrize(
    "loss", [nn.LOSSES["softmax_cross_entropy"](smoothing=0.3), *nn.LOSSES], ids=str
)
def test_members_and_committee_are_measured_with_the_same_loss(loss, tmp_path, capsys) -> None:
    """Whatever they learned from: the same network twice is as good as it is once."""
    model = nn.MLP([784, 9, 10], loss=loss)
    (tmp_path / "a.npz").write_bytes(native.to_bytes(Saved(model, "digits", 255.0)))
    found = measured(capsys, tmp_path / "a.npz", tmp_path / "a.npz")
    test = nn.load_dataset("digits").test
    expected = log_loss(test.labels, normalized(model.predict_proba(test.x)))
    if "softmax" in str(loss):  # else answers do not add up to 1
        assert found["committee"]["log_loss"] == pytest.approx(expected, rel=1e-5)
    assert {member["log_loss"] for member in found["members"]} == {found["committee"]["log_loss"]}


def test_a_committee_of_one_is_compared_with_nobody(runs, capsys) -> None:
    found = measured(capsys, runs[0])
    assert (found["only_committee"], found["only_best"], found["p"]) == (0, 0, 1.0)
    assert found["committee"]["test_accuracy"] == found["members"][0]["test_accuracy"]
    assert run(committee.main, [str(runs[0])]) == 0
    assert "McNemar" not in capsys.readouterr().out


def test_files_alone_have_to_be_told_their_data_set(runs, tmp_path: Path, capsys) -> None:
    alone = tmp_path / "alone.npz"
    nn.save_model(alone, nn.load_model(runs[1]))
    code, what, fix = failure(capsys, runs[0], alone)
    assert (code, what) == (2, f"{alone} does not say what its network was trained on")
    assert "--dataset" in fix
    expected = measured(capsys, *runs[:2])
    found = measured(capsys, runs[0], alone, "--dataset", "digits")
    assert found["committee"] == expected["committee"]


def test_wrong_members_are_refused_by_their_paths(runs, tmp_path: Path, capsys) -> None:
    raw, small = tmp_path / "raw.npz", tmp_path / "small.npz"
    raw.write_bytes(native.to_bytes(Saved(nn.load_model(runs[0]), "digits", 1.0)))
    code, what, _ = failure(capsys, runs[0], raw)
    assert code == 2
    assert what.endswith(f"seen as 1: 255.0 in {runs[0]}, 1.0 in {raw}")
    nn.save_model(small, nn.MLP([64, 10]))
    code, what, _ = failure(capsys, runs[0], small, "--dataset", "digits")
    assert (code, what) == (2, "the network has 64 inputs and 10 outputs")
    code, what, _ = failure(capsys, runs[0], tmp_path / "nowhere")
    assert (code, "nowhere" in what) == (4, True)
    assert failure(capsys, runs[0], "--data-dir", "/nowhere")[0] == 2  # digits lie in no folder
    assert failure(capsys, runs[0], "--worst", "3")[0] == 2


def test_networks_that_saw_raw_pixels_see_them_again(tmp_path: Path, capsys) -> None:
    test = nn.load_dataset("digits", raw_pixels=True).test
    nets = [nn.MLP([784, 9, 10], seed=seed) for seed in range(2)]
    for k, net in enumerate(nets):
        (tmp_path / f"{k}.npz").write_bytes(native.to_bytes(Saved(net, "digits", 1.0)))
    shares = np.mean([net.predict_proba(test.x) for net in nets], axis=0)
    each = shares[np.arange(297), test.labels]
    found = measured(capsys, tmp_path / "0.npz", tmp_path / "1.npz")["committee"]
    assert found["log_loss"] == pytest.approx(-np.log(each).mean(), rel=1e-6)


def test_a_loss_without_bounds_is_told_and_is_no_number_in_json(tmp_path: Path, capsys) -> None:
    """Each member is sure of its own class, and finite in its own loss."""
    for k in range(2):
        model = nn.MLP([784, 10], init="zeros")
        model.w[-10:] = 200 * (np.arange(10) == k)
        (tmp_path / f"{k}.npz").write_bytes(native.to_bytes(Saved(model, "digits", 255.0)))
    paths = [tmp_path / "0.npz", tmp_path / "1.npz"]
    assert measured(capsys, *paths)["committee"]["log_loss"] is None
    assert run(committee.main, list(map(str, paths))) == 0
    assert capsys.readouterr().out.splitlines()[4].endswith("  inf")


def test_mcnemars_p_value_is_that_of_tossing_a_coin() -> None:
    a, b = np.array([1] * 9 + [0] * 1 + [1] * 20) == 1, np.array([0] * 9 + [1] * 1 + [1] * 20) == 1
    assert mcnemar(a, b) == (9, 1, pytest.approx(22 / 1024))  # (1 + 10) 2 / 2^10
    assert mcnemar(b, a) == (1, 9, pytest.approx(22 / 1024))
    assert mcnemar(a, a) == (0, 0, 1.0)


@pytest.mark.slow
def test_on_mnist_the_committee_is_better_than_its_best_member(mnist: nn.Dataset) -> None:
    nets = []
    for seed in range(5):
        model = nn.MLP([784, 50, 10], "relu", "he_normal", seed=seed)
        loader = nn.mini_batch(mnist.train, 128, seed=seed)
        list(nn.fit(model, "adam", loader, epochs=3))
        nets.append(model)
    alone = [net.evaluate(mnist.test.x, mnist.test.labels).accuracy for net in nets]
    together = nn.Committee(nets).evaluate(mnist.test.x, mnist.test.labels)
    assert together.accuracy > max(alone) > 0.95
