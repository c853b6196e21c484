"""The profile of a run: parts that add up, of the right work, beside what the machine can do."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import nnscratch as nn
from nnscratch.profiling import flops, profiled, table


def small_run(
    opt: nn.Optimizer | str = "adam", val: bool = True
) -> tuple[nn.MLP, list[nn.Record], dict[str, float]]:
    data = nn.load_dataset("digits")
    net = nn.MLP([784, 30, 10])
    loader = nn.mini_batch(data.train)
    records, seconds = profiled(
        lambda: list(nn.fit(net, opt, loader, 3, val=data.val if val else None)), net
    )
    return net, records, seconds


def test_the_parts_are_the_whole_and_each_took_time() -> None:
    began = time.perf_counter()
    _, records, seconds = small_run()
    assert [record.epoch for record in records] == [1, 2, 3]
    assert list(seconds) == ["load", "forward", "backward", "update", "evaluation", "rest"]
    assert min(seconds.values()) > 0
    assert sum(seconds.values()) < time.perf_counter() - began


SLEEP = 0.05  # seconds in each call


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "owner", "method", "calls"),
    [
        ("load", nn.Loader, "order", 3),
        ("forward", nn.ACTIVATIONS["sigmoid"], "forward", 30),
        ("forward", nn.LOSSES["softmax_cross_entropy"], "forward", 30),
        ("backward", nn.ACTIVATIONS["sigmoid"], "backward", 30),
        ("update", nn.OPTIMIZERS["adam"], "update", 30),
    ],
)
def test_time_is_booked_where_it_was_spent(part, owner, method, calls, monkeypatch) -> None:
    original = getattr(owner, method)

    def slow(*arguments):
        time.sleep(SLEEP)
        return original(*arguments)

    monkeypatch.setattr(owner, method, slow)
    _, _, seconds = small_run(val=False)
    assert seconds[part] > calls * SLEEP
    assert sum(seconds.values()) - seconds[part] < 3 * SLEEP + 0.5


def test_evaluation_is_booked_apart_from_the_forward_pass(monkeypatch) -> None:
    sigmoid, original = nn.ACTIVATIONS["sigmoid"], nn.ACTIVATIONS["sigmoid"].forward

    def slow_on_many(self, z, a):
        time.sleep(0.3 * (len(z) > 128))  # only the validation images come in that many
        original(self, z, a)

    monkeypatch.setattr(sigmoid, "forward", slow_on_many)
    _, _, seconds = small_run()
    assert seconds["evaluation"] > 0.9
    assert seconds["forward"] < 0.3


def test_flops_are_counted_as_on_paper() -> None:
    assert flops(nn.MLP([784, 1000, 10])) == 2 * (2 * 784 * 1000 + 3 * 1000 * 10)
    assert flops(nn.MLP([3, 5, 7, 2], bias=False)) == 2 * (2 * 15 + 3 * 35 + 3 * 14)


def test_the_speed_is_work_over_time() -> None:
    net = nn.MLP([784, 1000, 10])
    seconds = dict.fromkeys(("load", "update", "evaluation", "rest"), 0.5)
    seconds |= {"forward": 1.0, "backward": 1.0}
    text = table(seconds, net, 128, 60_000)
    assert re.search(r"forward +1\.00 s +25 ?%", text)
    speed = 60_000 * 3_196_000 / 2 / 1e9
    assert f"forward and backward: {speed:.0f} GFLOP/s" in text
    assert "128 x 784 x 1,000" in text


@pytest.mark.slow
def test_profile_is_a_flag_of_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nnscratch.train", "--dataset", "digits", "--epochs", "2"]
    command += ["--hidden", "20", "--profile", "--json", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert any(line.startswith("backward ") for line in lines)
    assert any("GFLOP/s on this machine" in line for line in lines)
    parts = json.loads(lines[-1])["profile"]
    assert set(parts) == {"load", "forward", "backward", "update", "evaluation", "rest"}
    assert np.isfinite(list(parts.values())).all()
