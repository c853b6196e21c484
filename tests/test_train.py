"""The train command: what it leaves behind, what it prints, and how it refuses."""

import errno
import functools
import hashlib
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import nnscratch as nn
from nnscratch import runs, train, wording
from nnscratch.__main__ import commands
from nnscratch.command_line import run
from nnscratch.hyper import hypers
from nnscratch.settings import PRESETS, parse

QUICK = ["--dataset", "digits", "--hidden", "20", "--epochs", "2"]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def command(*argv: str) -> int:
    return run(train.main, list(argv))


def failure(capsys, *argv: str) -> tuple[int, str, str]:
    """Exit code, what is wrong, what to do; and nothing else on either stream."""
    code = command(*argv)
    out, err = capsys.readouterr()
    assert out == ""
    what, fix = err.splitlines()
    assert what.startswith("nnscratch: error: ")
    assert fix.startswith("fix: ")
    assert len(fix) > len("fix: ")
    return code, what.removeprefix("nnscratch: error: "), fix.removeprefix("fix: ")


# --- what a run leaves behind ------------------------------------------------------------------


def test_a_run_leaves_its_folder_complete(capsys) -> None:
    assert command(*QUICK, "--opt", "momentum", "--lr", "0.1", "--out", "here") == 0
    folder = Path("here")
    names = {path.name for path in folder.iterdir()}
    assert names == {
        ".lock",
        "config.json",
        "env.json",
        "history.jsonl",
        "checkpoint-10.npz",
        "checkpoint-20.npz",
        "curves.png",
        "model.npz",
        "result.json",
    }
    config = json.loads((folder / "config.json").read_text())
    assert config["opt"] == {"name": "momentum", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0}
    assert config["dataset"] == "digits"
    assert config["command"].startswith("python -m nnscratch.train --dataset digits")
    env = json.loads((folder / "env.json").read_text())
    assert env["packages"]["numpy"] == np.__version__
    assert env["engine"] == nn.engine()
    assert env["blas"][0]["num_threads"] >= 1
    assert env["processor"]
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == [1, 2]
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "here" in capsys.readouterr().out


@pytest.mark.parametrize("raw", [True, False])
def test_every_flag_reaches_the_network_that_is_trained(raw: bool, capsys) -> None:
    """The weights of the command, bit for bit, made from the same parts by hand."""
    flags = [
        *("--dataset", "digits", "--seed", "5", "--limit", "400", "--val-size", "100"),
        *("--hidden", "30,20", "--dtype", "float64", "--no-bias", *["--raw-pixels"] * raw),
        *("--activation", "elu", "--alpha", "0.5", "--init", "normal", "--std", "0.02"),
        *("--loss", "sigmoid_cross_entropy", "--loader", "mini_batch", "--batch-size", "50"),
        *("--opt", "rmsprop", "--lr", "0.001", "--rho", "0.8", "--weight-decay", "0.01"),
        *("--schedule", "step", "--every", "1", "--drop", "0.5", "--warmup", "3"),
        *("--epochs", "3", "--out", "run", "--json", "--quiet"),
    ]
    assert command(*flags) == 0
    result = json.loads(capsys.readouterr().out)

    data = nn.load_dataset(
        "digits", seed=5, val_size=100, limit=400, raw_pixels=raw, dtype="float64"
    )
    model = nn.MLP(
        [784, 30, 20, 10],
        nn.ACTIVATIONS["elu"](alpha=0.5),
        nn.INITIALIZERS["normal"](std=0.02),
        "sigmoid_cross_entropy",
        seed=5,
        bias=False,
        dtype="float64",
    )
    optimizer = nn.OPTIMIZERS["rmsprop"](lr=0.001, rho=0.8, weight_decay=0.01)
    schedule = nn.SCHEDULES["step"](every=1, drop=0.5, warmup=3)
    loader = nn.mini_batch(data.train, 50, seed=5)
    *_, last = nn.fit(model, optimizer, loader, 3, schedule=schedule, val=data.val)

    with np.load("run/model.npz") as file:
        for parameter in model.parameters:
            assert (file[parameter.name] == parameter.w).all(), parameter.name
    test = model.evaluate(data.test.x, data.test.labels)
    assert (result["test_loss"], result["test_accuracy"]) == (test.loss, test.accuracy)
    assert (result["val_loss"], result["train_loss"]) == (last.val_loss, last.train_loss)
    history = [json.loads(line) for line in Path("run/history.jsonl").read_text().splitlines()]
    assert [line["update"] for line in history] == [8, 16, 24]
    assert result["seconds_per_epoch"] == sorted(line["seconds"] for line in history)[1]
    config = json.loads(Path("run/config.json").read_text())
    assert config["schedule"] == {"name": "step", "warmup": 3, "every": 1, "drop": 0.5}
    assert (config["batch_size"], config["out"], config["hidden"]) == (50, "run", [30, 20])


def test_the_saved_network_is_the_trained_one_and_needs_no_pickle(capsys) -> None:
    assert (
        command(*QUICK, "--opt", "nesterov_lookahead", "--lr", "0.1", "--out", "a", "--json") == 0
    )
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    with np.load("a/model.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    about = json.loads(arrays.pop("description").tobytes())
    assert list(arrays) == ["W1", "b1", "W2", "b2"]
    assert (about["unit"], about["dataset"]) == (255, "digits")
    about = about["network"]
    model = nn.MLP(about["sizes"], about["activation"]["name"], loss=about["loss"]["name"])
    for parameter in model.parameters:
        parameter.w[...] = arrays[parameter.name]
    data = nn.load_dataset("digits")
    test = model.evaluate(data.test.x, data.test.labels)
    assert (test.loss, test.accuracy) == (result["test_loss"], result["test_accuracy"])
    val = model.evaluate(data.val.x, data.val.labels)
    assert (val.loss, val.accuracy) == (result["val_loss"], result["val_accuracy"])


def test_json_is_one_object_on_the_last_line_with_all_that_was_promised(capsys) -> None:
    assert command(*QUICK, "--seed", "3", "--json") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result.keys() >= {
        "dataset",
        "optimizer",
        "seed",
        "epochs",
        "train_loss",
        "val_accuracy",
        "test_accuracy",
        "seconds_per_epoch",
        "run_dir",
    }
    assert (result["dataset"], result["optimizer"], result["seed"]) == ("digits", "adam", 3)
    assert json.loads((Path(result["run_dir"]) / "result.json").read_text()) == result
    assert re.fullmatch(r"runs/\d{8}-\d{6}-adam-s3", result["run_dir"])


def test_quiet_prints_nothing_but_the_json(capsys) -> None:
    assert command(*QUICK, "--quiet", "--out", "a") == 0
    assert capsys.readouterr() == ("", "")
    assert command(*QUICK, "--quiet", "--json", "--out", "b") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out)["run_dir"] == "b"


def test_without_a_terminal_there_is_a_line_for_each_epoch_and_no_bar(capsys) -> None:
    assert command(*QUICK, "--epochs", "3") == 2  # given twice
    capsys.readouterr()
    assert command(*QUICK) == 0
    out, err = capsys.readouterr()
    assert len(re.findall(r"^epoch \d/2  loss \d", out, re.MULTILINE)) == 2
    assert err == ""
    assert re.search(r"test accuracy \d+\.\d\d % on digits \(95 % interval", out)


def test_on_a_terminal_there_is_also_a_bar_that_leaves_nothing_behind(capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert command(*QUICK, "--out", "a") == 0
    out, err = capsys.readouterr()
    assert "0/20 [" in err  # 2 epochs of 10 updates
    assert err.split("\r")[-2].strip() == ""
    assert len(re.findall(r"^epoch \d/2  loss \d", out, re.MULTILINE)) == 2
    history = [json.loads(line) for line in Path("a/history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == [1, 2]


def test_the_bar_moves_with_each_update(capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(train, "tqdm", functools.partial(train.tqdm, mininterval=0))
    assert command(*QUICK) == 0
    moved = re.findall(r"(\d+)/20 \[", capsys.readouterr().err)
    assert {int(n) for n in moved} >= {0, 1, 7, 13, 19}


def test_the_bar_costs_no_evaluation(capsys, monkeypatch) -> None:
    """Batch normalization of averaged weights is measured for each record, and only then."""
    measured = []
    measure = nn.MLP.measure
    monkeypatch.setattr(nn.MLP, "measure", lambda *a: measured.append(a) or measure(*a))
    for terminal in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        assert command(*QUICK, "--batch-norm", "--weight-ema", "0.9") == 0
    assert len(measured) == 2 * 2  # epochs of two runs


def test_runs_of_one_second_get_a_folder_each_and_the_same_weights(capsys, monkeypatch) -> None:
    monkeypatch.setattr(runs.time, "strftime", lambda _: "20260101-000000")
    for _ in range(3):
        assert command(*QUICK, "--seed", "5") == 0
    folders = sorted(path.name for path in Path("runs").iterdir())
    first = "20260101-000000-adam-s5"
    assert folders == [first, f"{first}-2", f"{first}-3"]
    models = {(Path("runs") / folder / "model.npz").read_bytes() for folder in folders}
    assert len(models) == 1
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize("opt", ["adam", "sam", "kfac"])  # kfac draws labels as it trains
def test_two_fresh_processes_with_one_seed_have_weights_of_one_hash(opt: str) -> None:
    hashes = set()
    for out, hash_seed in (("a", "1"), ("b", "2")):
        program = [sys.executable, "-m", "nnscratch.train", *QUICK, "--opt", opt, "--out", out]
        env = os.environ | {"PYTHONHASHSEED": hash_seed}
        subprocess.run(program, capture_output=True, env=env, check=True)
        hashes.add(hashlib.sha256(Path(out, "model.npz").read_bytes()).hexdigest())
    assert len(hashes) == 1


def test_many_processes_at_once_never_share_a_folder() -> None:
    with ThreadPoolExecutor(16) as pool:
        folders = list(pool.map(lambda _: runs.RunFolder.create(None, "adam", 0).path, range(64)))
    assert len(set(folders)) == 64


@pytest.mark.parametrize("loader", nn.LOADERS)
def test_every_loader_trains_from_the_command_line(loader: str, capsys) -> None:
    argv = ["--dataset", "digits", "--limit", "150", "--hidden", "8", "--epochs", "1"]
    assert command(*argv, "--loader", loader, "--json", "--quiet") == 0
    updates = json.loads(capsys.readouterr().out)["updates"]
    assert updates == {"batch": 1, "mini_batch": 2, "stochastic": 150}[loader]


@pytest.mark.parametrize(
    ("argv", "sizes"),
    [
        (["--hidden", "30,20"], [784, 30, 20, 10]),
        (["--hidden", "30, 20,10", "--no-bias", "--dtype", "float64"], [784, 30, 20, 10, 10]),
    ],
)
def test_the_network_is_the_one_asked_for(argv, sizes, capsys) -> None:
    assert command("--dataset", "digits", "--epochs", "1", "--out", "a", "--quiet", *argv) == 0
    with np.load("a/model.npz") as file:
        about = json.loads(file["description"].tobytes())["network"]
        names = set(file.files) - {"description"}
        dtypes = {str(file[name].dtype) for name in names}
    assert about["sizes"] == sizes
    no_bias = "--no-bias" in argv
    assert any(name.startswith("b") for name in names) != no_bias
    assert dtypes == {"float64" if "float64" in argv else "float32"}
    capsys.readouterr()


def test_the_test_images_are_read_once_and_after_training(capsys, monkeypatch) -> None:
    evaluated = []
    evaluate = nn.MLP.evaluate

    def counting(model, x, labels):
        evaluated.append(len(labels))
        return evaluate(model, x, labels)

    monkeypatch.setattr(nn.MLP, "evaluate", counting)
    assert command(*QUICK, "--quiet") == 0
    assert evaluated == [250, 250, 297]  # validation after each of two epochs, then the test


def test_val_size_zero_trains_on_everything_and_reports_no_validation(capsys) -> None:
    assert command(*QUICK, "--val-size", "0", "--json", "--out", "a") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["val_accuracy"] is None
    assert result["examples"] == 3000
    assert (Path("a") / "curves.png").exists()


@pytest.mark.slow
def test_digits_in_place_of_mnist_are_announced_on_stderr_and_written_everywhere(tmp_path) -> None:
    """A fresh process, without data, cache and network (the proxy leads nowhere)."""
    env = {k: v for k, v in os.environ.items() if k != "NNSCRATCH_DATA"}
    env |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path)}
    env |= dict.fromkeys(("https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    argv = ["--hidden", "20", "--epochs", "1", "--json", "--out", "a"]
    program = [sys.executable, "-m", "nnscratch.train", *argv]
    done = subprocess.run(program, capture_output=True, text=True, env=env, check=True)
    assert "nnscratch: warning: MNIST is not in" in done.stderr
    assert "digits set, which is not MNIST" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["dataset"] == "digits"
    assert json.loads(Path("a/config.json").read_text())["dataset"] == "digits"
    strict = subprocess.run(
        [*program, "--dataset", "mnist"], capture_output=True, text=True, env=env, check=False
    )
    assert strict.returncode == 3
    assert "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images" in strict.stderr
    assert "data/mnist" in strict.stderr


# --- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", nn.OPTIMIZERS)
def test_help_lists_the_hyper_parameters_of_the_chosen_optimizer(name: str, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(["--opt", name, "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for hyper in hypers(nn.OPTIMIZERS[name]).values():
        flag = "--" + hyper.name.replace("_", "-") + (" N" if hyper.kind is int else " X")
        assert f"{flag} {hyper.meaning}, in {hyper.interval} (default {hyper.default})" in text
    shown = {*hypers(nn.OPTIMIZERS[name])}
    if issubclass(nn.OPTIMIZERS[name], nn.Wrapper):
        shown |= {*hypers(nn.OPTIMIZERS["adam"])}
    others = {h for cls in nn.OPTIMIZERS.values() for h in hypers(cls)} - shown
    assert not any(f"--{other} X" in text for other in others)


@pytest.mark.parametrize("choice", ["opt", "schedule", "activation", "init", "loss"])
def test_every_part_and_every_hyper_parameter_can_be_chosen_by_flags(choice: str) -> None:
    registry = {
        "opt": nn.OPTIMIZERS,
        "schedule": nn.SCHEDULES,
        "activation": nn.ACTIVATIONS,
        "init": nn.INITIALIZERS,
        "loss": nn.LOSSES,
    }[choice]
    for name, part in registry.items():
        if name == "newton":  # the network gives no Hessian
            continue
        assert getattr(parse([f"--{choice}", name]), choice) == part()
        for hyper in hypers(part).values():
            value = next(
                v for v in ((7,) if hyper.kind is int else (0.625, 4.5)) if v in hyper.interval
            )
            flag = "--" + hyper.name.replace("_", "-")
            settings = parse([f"--{choice}", name, flag, str(value)])
            assert getattr(settings, choice) == part(**{hyper.name: value})


def test_names_may_be_written_in_any_case_and_are_kept_in_ours() -> None:
    assert parse(["--opt", "Heavy-Ball"]).opt == nn.OPTIMIZERS["heavy_ball"]()
    assert parse(["--loader", "BATCH"]).loader == "batch"


def test_the_default_is_adam_on_the_lectures_network_for_ten_epochs() -> None:
    settings = parse([])
    assert settings.opt == nn.OPTIMIZERS["adam"]()
    assert (settings.epochs, settings.hidden, settings.loader) == (10, (1000,), "mini_batch")
    assert settings.activation == nn.ACTIVATIONS["sigmoid"]()


def test_the_lecture_preset_is_the_lectures_program() -> None:
    settings = parse(["--preset", "lecture"])
    assert settings.opt == nn.OPTIMIZERS["sgd"](lr=1e-6 * 60_000)
    assert settings.init == nn.INITIALIZERS["lecture"]()
    assert settings.loss == nn.LOSSES["sigmoid_cross_entropy"]()
    assert (settings.loader, settings.epochs, settings.val_size) == ("batch", 100, 0)
    assert (settings.bias, settings.raw_pixels) == (False, True)


def test_a_flag_overrules_the_preset_and_its_rate_belongs_to_its_own_optimizer() -> None:
    settings = parse(["--preset", "lecture", "--epochs", "3", "--lr", "0.01", "--bias"])
    assert (settings.epochs, settings.opt.lr, settings.bias) == (3, 0.01, True)
    assert parse(["--preset", "lecture", "--opt", "adam"]).opt == nn.OPTIMIZERS["adam"]()
    assert parse(["--preset", "lecture", "--loader", "mini_batch", "--batch-size", "9"])


def test_every_preset_can_be_parsed() -> None:
    for name in PRESETS:
        parse(["--preset", name])


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "what", "fix"),
    [
        (["--opt", "adm"], "unknown optimizer 'adm'", "did you mean 'adam'? choices: sgd, "),
        (["--opt", "../adam"], "unknown optimizer '../adam'", "choices: sgd"),
        (["--activation", "sigmod"], "unknown activation 'sigmod'", "did you mean 'sigmoid'?"),
        (["--init", "glorot"], "unknown initializer 'glorot'", "choices: zeros"),
        (["--loss", "mse"], "unknown loss 'mse'", "choices: softmax_cross_entropy"),
        (["--schedule", "cos"], "unknown schedule 'cos'", "did you mean 'cosine'?"),
        (["--loader", "minibatch"], "unknown loader 'minibatch'", "did you mean 'mini_batch'?"),
        (["--dataset", "mnit"], "unknown data set 'mnit'", "did you mean 'mnist'?"),
        (["--preset", "lectur"], "unknown preset 'lectur'", "did you mean 'lecture'?"),
        (["--opt", "sgd", "--beta1", "0.9"], "sgd has no --beta1", "--opt adam, adam_uncorrected"),
        (
            ["--opt", "adam", "--momentum", "0.9"],
            "adam has no --momentum; it has --lr",
            "--opt mom",
        ),
        (["--decay", "1e-4"], "constant has no --decay", "--schedule inverse_time"),
        (["--batch_size", "64"], "unknown flag --batch_size", "did you mean --batch-size?"),
        (["--weight_decay", "0"], "unknown flag --weight_decay", "did you mean --weight-decay?"),
        (["--no-bias", "--bias"], "--bias is given twice", "keep one"),
        (["--slope", "0.1"], "sigmoid has no --slope; it has no flags", "--activation leaky_relu"),
        (["--loader", "batch", "--batch-size", "5"], "batch has no --batch-size", "mini_batch"),
        (["--ep", "3"], "unknown flag --ep", "see python -m nnscratch.train --help"),
        (["--epoch", "3"], "unknown flag --epoch", "did you mean --epochs?"),
        (["adam"], "unexpected argument 'adam'", "--help"),
        (["--lr", "1", "--lr", "2"], "--lr is given twice", "keep one"),
        (["--lr=1", "--lr", "2"], "--lr is given twice", "keep one"),
        (["--lr"], "--lr: expected one argument", "--help"),
        (["--lr", "nan"], "--lr: must be a number in (0, inf), got 'nan'", "--help"),
        (["--lr", "inf"], "--lr: must be a number in (0, inf), got 'inf'", "--help"),
        (["--lr", "1e999"], "--lr: must be a number in (0, inf), got '1e999'", "--help"),
        (["--lr", "0"], "--lr: must be a number in (0, inf), got '0'", "--help"),
        (["--lr", "-0.1"], "--lr: must be a number in (0, inf), got '-0.1'", "--help"),
        (["--lr", "1_000"], "got '1_000'; write 1000", "--help"),
        (["--lr", "0,01"], "got '0,01'; write 0.01", "--help"),
        (["--lr", "fast"], "--lr: must be a number in (0, inf), got 'fast'", "--help"),
        (["--lr", "0x1"], "got '0x1'", "--help"),
        (["--beta1", "1.0"], "--beta1: must be a number in [0, 1), got '1.0'", "--help"),
        (["--epochs", "0"], "--epochs: must be a whole number in [1, inf), got '0'", "--help"),
        (["--epochs", "1" * 400], "--epochs: must be a whole number in [1, inf)", "--help"),
        (["--hidden", "1" + "0" * 12], "GB of memory", "fewer units"),
        (["--epochs", "1.5"], "--epochs: must be a whole number", "--help"),
        (["--epochs", "1e3"], "got '1e3'; write 1000", "--help"),
        (["--epochs", "1_0"], "got '1_0'; write 10", "--help"),
        (["--seed", "-1"], "--seed: must be a whole number in [0, inf), got '-1'", "--help"),
        (["--batch-size", "0"], "--batch-size: must be a whole number in [1, inf)", "--help"),
        (
            ["--batch-size", "2000"],
            "batch_size must be a whole number in [1, 1250]",
            "at most 1250",
        ),
        (["--hidden", "0"], "--hidden: must be a whole number in [1, inf), got '0'", "--help"),
        (["--hidden", "30,abc"], "--hidden: must be a whole number", "--help"),
        (["--hidden", "30,"], "--hidden: must be a whole number", "--help"),
        (["--dtype", "float16"], "--dtype: invalid choice: 'float16'", "--help"),
        (["--val-size", "1500"], "cannot set aside 1500 of 1500 images", "choose 0, or a number"),
        (["--limit", "9999"], "limit must be a whole number in [1, 1250]", "1250 training images"),
        (["--data-dir", "x"], "digits lie inside scikit-learn", "leave out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_argument_costs_one_line_of_error_and_one_of_cure(argv, what, fix, capsys) -> None:
    argv = argv if "--dataset" in argv else ["--dataset", "digits", *argv]
    code, told, cure = failure(capsys, *argv)
    assert code == 2
    assert what in told
    assert told.endswith(what) or "write" not in told or "write" in what  # no absurd hints
    assert fix in cure
    assert not any(Path().iterdir())


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "has no train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte"),
        (b"", "the file is empty"),
        (b"<html>", "web page"),
        (bytes([0, 0, 8, 1]) + (60_000).to_bytes(4) + bytes(60_000), "this is a file of labels"),
        (bytes([0, 0, 8, 3]), "ends in its header"),
    ],
)
@pytest.mark.parametrize("name", ["auto", "mnist"])
def test_wrong_data_files_end_with_exit_code_3(content, what, name, capsys) -> None:
    folder = Path("files")
    folder.mkdir()
    if content is not None:
        for name_ in (
            "train-images-idx3",
            "train-labels-idx1",
            "t10k-images-idx3",
            "t10k-labels-idx1",
        ):
            (folder / f"{name_}-ubyte").write_bytes(content)
    code, told, _ = failure(capsys, "--dataset", name, "--data-dir", "files", "--out", "a")
    assert code == 3
    assert what in told
    assert not Path("a").exists()


@pytest.mark.parametrize("kind", ["a file", "below a file", "not writable"])
def test_a_place_that_cannot_be_written_is_refused_before_training(
    kind, capsys, monkeypatch
) -> None:
    Path("file").write_text("mine")
    out = {"a file": "file", "below a file": "file/run", "not writable": "locked"}[kind]
    if kind == "not writable":
        Path("locked").mkdir()

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "touch", refuse)  # root, who runs tests in CI, may write anywhere
    monkeypatch.setattr(train, "fit", lambda *_, **__: pytest.fail("it trained"))
    code, told, cure = failure(capsys, *QUICK, "--out", out)
    assert code == 6
    assert f"{out} cannot be written" in told
    assert "--out" in cure
    assert Path("file").read_text() == "mine"


def test_a_folder_in_use_is_refused_and_left_as_it_is(capsys) -> None:
    Path("used").mkdir()
    Path("used/thesis.tex").write_text("mine")
    code, told, _ = failure(capsys, *QUICK, "--out", "used")
    assert code == 2
    assert "used is not empty" in told
    assert [path.name for path in Path("used").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("more", [["--lr", "1e38"], ["--lr", "1e30", "--loader", "batch"]])
@pytest.mark.parametrize("val", [[], ["--val-size", "0"]])
def test_a_diverging_run_ends_with_exit_code_5_and_without_a_model(more, val, capsys) -> None:
    """Also when it is the very last update that goes too far."""
    argv = ["--dataset", "digits", "--hidden", "20", "--epochs", "1", "--out", "a"]
    assert command(*argv, "--opt", "sgd", "--activation", "relu", *more, *val) == 5
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 2
    assert "training diverged" in err
    assert "fix: lower the learning rate" in err
    assert not Path("a/model.npz").exists()
    assert not Path("a/result.json").exists()


def test_a_disk_that_fills_up_leaves_no_half_file_and_exit_code_6(capsys, monkeypatch) -> None:
    sync, calls = os.fsync, []

    def sync_until_full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 6:  # config.json, env.json and the first checkpoint still fit
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync_until_full)
    assert command(*QUICK, "--out", "a") == 6
    out, err = capsys.readouterr()
    assert "No space left on device" in err
    assert "test accuracy" in out  # what was computed is told all the same
    names = {path.name for path in Path("a").iterdir()}
    assert names == {".lock", "config.json", "env.json", "history.jsonl", "checkpoint-0.npz"}
    monkeypatch.setattr(os, "fsync", sync)
    assert command("--resume", "a") == 0  # once there is room again
    assert Path("a/model.npz").exists()


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_before_the_training_ends_it_without_a_traceback(
    name: str, code: int, capsys, monkeypatch
) -> None:
    number = getattr(signal, name)
    before = signal.signal(number, signal.default_int_handler)  # nohup ignores some
    monkeypatch.setattr(train, "load_dataset", lambda *_, **__: os.kill(os.getpid(), number))
    try:
        assert command(*QUICK) == code
    finally:
        assert signal.signal(number, before) is signal.default_int_handler
    stopped = f"nnscratch: stopped ({name})\nthe same command begins anew\n"
    assert capsys.readouterr().err == stopped


@pytest.mark.slow
def test_a_reader_who_leaves_ends_the_run_quietly() -> None:
    program = f"{sys.executable} -m nnscratch.train {' '.join(QUICK)}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {program} | head -n 1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 141
    assert done.stderr == ""
    assert done.stdout.startswith("digits: 1,250 images")


@pytest.mark.slow
def test_a_stream_that_is_closed_or_knows_no_umlaut_is_no_error(tmp_path) -> None:
    argv = [sys.executable, "-m", "nnscratch.train", *QUICK]
    closed = f"{shlex.join(argv)} --out a >&-"
    assert subprocess.run(["bash", "-c", closed], capture_output=True, check=False).returncode == 0
    env = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = subprocess.run([*argv, "--out", "ü"], capture_output=True, env=env, check=False)
    assert done.returncode == 0, done.stderr


def test_a_number_below_zero_is_a_value_and_no_flag() -> None:
    for text in ("-1e-3", "-0.5", "-.5", "-2"):
        assert parse(["--init", "constant", "--value", text]).init.value == float(text)


def test_a_tilde_in_out_means_home(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert command(*QUICK, "--quiet", "--out=~/mine") == 0
    assert (tmp_path / "mine" / "model.npz").exists()


def test_a_small_training_set_makes_a_small_batch_and_the_whole_network(capsys) -> None:
    argv = ["--dataset", "digits", "--limit", "5", "--hidden", "8", "--epochs", "1", "--out", "a"]
    assert command(*argv) == 0
    assert "784-8-10 sigmoid" in capsys.readouterr().out
    assert json.loads(Path("a/config.json").read_text())["batch_size"] == 5


def test_a_run_says_what_keeps_its_network_from_learning_by_heart(capsys) -> None:
    argv = ["--dataset", "digits", "--hidden", "8", "--epochs", "1", "--out", "a", "--batch-norm"]
    assert command(*argv, "--dropout", "0.5", "--l2", "1e-4") == 0
    assert "784-8-10 sigmoid, batch norm, l2 0.0001, dropout 0.5:" in capsys.readouterr().out


def test_the_seed_of_the_run_bends_its_images() -> None:
    settings = parse(["--distortion", "elastic", "--seed", "3"])
    loader = train.make_loader(settings, nn.load_dataset("digits"))
    assert loader.origin.endswith("elasticity=4), seed 3")


def test_help_shows_what_a_preset_stands_for(capsys) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "lecture is --opt sgd --lr 0.06 --loss sigmoid_cross_entropy --init lecture" in text
    assert "--no-bias --loader batch --epochs 100 --val-size 0 --raw-pixels" in text


def test_the_interval_beside_the_test_accuracy_is_wilsons() -> None:
    """97.45 % of 10,000, from the published formula: (p + z^2/2n -+ z sqrt(...)) / (1 + z^2/n)."""
    n, p, z = 10_000, 0.9745, 1.959963984540054
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (100 * (centre + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    data = SimpleNamespace(test=range(n), train=range(5), name="mnist")
    text = wording.accuracy(nn.Evaluation(0.1, p), data)
    assert f"97.45 % on mnist (95 % interval {low:.2f} to {high:.2f} %, 10,000 images)" in text


def test_numpys_blas_is_named_first(monkeypatch) -> None:
    from nnscratch import products

    libraries = [
        {"user_api": "openmp", "filepath": "/x/sklearn.libs/libgomp.so"},
        {"user_api": "blas", "filepath": "/x/scipy.libs/libopenblas.so", "version": "1"},
        {"user_api": "blas", "filepath": "/x/numpy.libs/libopenblas.so", "version": "2"},
    ]
    monkeypatch.setattr("threadpoolctl.threadpool_info", lambda: libraries)
    assert [library["version"] for library in products.libraries()] == ["2", "1"]


def test_an_unknown_error_keeps_its_traceback(monkeypatch) -> None:
    def broken(*_: object, **__: object):
        raise ZeroDivisionError

    monkeypatch.setattr(train, "fit", broken)
    with pytest.raises(ZeroDivisionError):
        command(*QUICK)


# --- optimizers around optimizers, and of one's own ----------------------------------------------


def test_a_base_is_chosen_with_its_own_flags() -> None:
    settings = parse(["--opt", "lookahead", "--base", "momentum", "--lr", "0.5", "--k", "3"])
    inner = nn.OPTIMIZERS["momentum"](lr=0.5)
    assert settings.opt == nn.OPTIMIZERS["lookahead"](base=inner, k=3)
    assert parse(["--opt", "sam"]).opt == nn.OPTIMIZERS["sam"](base=nn.OPTIMIZERS["adam"]())


def test_the_wrappers_go_around_any_optimizer_and_around_each_other() -> None:
    argv = ["--opt", "sgd", "--clip-norm", "2", "--decoupled-decay", "0.1", "--weight-ema", "0.9"]
    clipped = nn.ClipNorm(nn.OPTIMIZERS["sgd"](), max_norm=2)
    assert parse(argv).opt == nn.WeightEMA(nn.DecoupledDecay(clipped, decay=0.1), decay=0.9)
    assert parse([*argv[:2], "--weight-ema", "0.5"]).opt == nn.WeightEMA(
        nn.OPTIMIZERS["sgd"](), decay=0.5
    )


@pytest.mark.parametrize(
    ("argv", "what", "fix"),
    [
        (["--opt", "adam", "--base", "sgd"], "adam has no --base", "--opt lookahead, sam"),
        (["--opt", "sam", "--base", "adma"], "unknown optimizer", "did you mean"),
        (["--opt", "lookahead", "--base", "lookahead"], "a second time", "another --base"),
        (["--opt", "sgd", "--clip-norm", "0"], "clip-norm: must be a number in (0, inf)", "help"),
        (["--opt", "sgd", "--weight-ema", "1"], "weight-ema: must be a number in [0, 1)", "help"),
        (["--opt", "newton"], "newton needs what the network does not give", "another optimizer"),
        (["--opt", "sam", "--momentum", "0.5"], "sam has no --momentum", "belongs to --opt"),
    ],
)
def test_a_stack_that_cannot_be_gets_two_lines(argv, what: str, fix: str, tmp_path) -> None:
    with pytest.raises(nn.UsageError) as error:
        parse(argv)
    assert what in error.value.what
    assert fix in error.value.fix


def test_a_stack_trains_and_its_folder_tells_all_of_it() -> None:
    argv = ["--opt", "lookahead", "--base", "momentum", "--lr", "0.3", "--clip-norm", "1"]
    assert command(*QUICK, *argv, "--schedule", "cosine", "--out", "a", "--quiet") == 0
    config = json.loads(Path("a/config.json").read_text())
    assert config["opt"]["name"] == "clip_norm"
    assert config["opt"]["base"]["name"] == "lookahead"
    assert config["opt"]["base"]["base"] == {
        "name": "momentum",
        "lr": 0.3,
        "momentum": 0.9,
        "weight_decay": 0.0,
    }
    assert json.loads(Path("a/result.json").read_text())["optimizer"] == (
        "clip_norm-lookahead-momentum"
    )


OWN_OPTIMIZER = '''
from dataclasses import dataclass

import nnscratch as nn


@dataclass(frozen=True)
class MyOpt(nn.Elementwise):
    """Half the gradient."""

    lr: float = nn.hyper(1.0, "(0, inf)", "step size")
    share: float = nn.hyper(0.5, "(0, 1]", "share of the gradient")

    @staticmethod
    def rule(w, dw, *, lr, share):
        return w - lr * share * dw


class Forgets(nn.Optimizer):
    """Returns nothing."""

    def update(self, w, dw, state):
        w -= dw
'''


def test_an_optimizer_of_ones_own_is_trained_from_its_file() -> None:
    Path("mine.py").write_text(OWN_OPTIMIZER)
    argv = ["--opt", "mine.py:MyOpt", "--share", "0.25", "--out", "a", "--quiet"]
    assert command(*QUICK, *argv) == 0
    config = json.loads(Path("a/config.json").read_text())
    assert config["opt"] == {"name": "myopt", "lr": 1.0, "share": 0.25}
    assert command(*QUICK, "--opt", "sgd", "--lr", "0.25", "--out", "b", "--quiet") == 0
    ours, theirs = (np.load(f"{run}/model.npz")["W1"] for run in "ab")
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_an_optimizer_that_breaks_the_contract_is_not_trained(capsys) -> None:
    Path("mine.py").write_text(OWN_OPTIMIZER)
    assert command(*QUICK, "--opt", "mine.py:Forgets", "--out", "a") == 2
    err = capsys.readouterr().err
    assert "forgets breaks the contract of an optimizer in " in err
    assert "update returned None" in err
    assert not Path("a").exists()


def test_ones_own_optimizer_may_be_a_base() -> None:
    Path("mine.py").write_text(OWN_OPTIMIZER)
    settings = parse(["--opt", "sam", "--base", "mine.py:MyOpt", "--share", "0.125"])
    assert settings.opt.base.share == 0.125


def test_a_preset_and_an_optimizer_around_another_go_together() -> None:
    settings = parse(["--preset", "lecture", "--opt", "lookahead", "--base", "sgd"])
    assert settings.opt == nn.OPTIMIZERS["lookahead"](base=nn.OPTIMIZERS["sgd"]())


def test_a_per_cent_sign_in_a_meaning_does_not_break_the_help(capsys) -> None:
    text = OWN_OPTIMIZER.replace("share of the gradient", "share, 10 % of it")
    Path("mine.py").write_text(text)
    with pytest.raises(SystemExit):
        parse(["--opt", "mine.py:MyOpt", "--help"])
    assert "share, 10 % of it" in " ".join(capsys.readouterr().out.split())


def test_adafactor_survives_dead_units_and_dead_pixels() -> None:
    """In single precision the product of its row and column means would be 0 there."""
    assert command(*QUICK, "--opt", "adafactor", "--activation", "relu", "--quiet") == 0


@pytest.mark.slow
@pytest.mark.parametrize("command", commands())
def test_every_command_starts_as_a_module(command: str) -> None:
    program = [sys.executable, "-m", f"nnscratch.{command}", "--help"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m nnscratch.{command}")


def test_an_error_of_the_system_that_nobody_foresaw_keeps_its_traceback() -> None:
    def command(_: object) -> None:
        raise OSError(errno.EPERM, "not foreseen")

    with pytest.raises(OSError, match="not foreseen"):
        run(command, [])
