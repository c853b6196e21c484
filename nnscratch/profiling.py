"""Where the time of a training run goes, as Python's own profiler sees it."""

import cProfile
import pstats
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from . import products
from .layers import Dense
from .loaders import Loader
from .model import CHUNK, MLP
from .slots import update_all

Result = TypeVar("Result")


def profiled(run: Callable[[], Result], model: MLP) -> tuple[Result, dict[str, float]]:
    """What `run`, which trains the model, returns; and the seconds that each part of it took.

    The parts are load, forward, backward, update, evaluation and rest, which together are the
    whole. The loss belongs to forward and backward. The profiler costs about a microsecond for
    each call of a function, which is little unless the batches are small.
    """
    gradient, loss = MLP.loss_and_grad, type(model.loss)
    parts: dict[str, list[tuple[Callable[..., Any], Callable[..., Any] | None]]] = {
        "load": [(Loader.batches, None), (MLP._chunks, gradient)],  # (function, called from)
        "forward": [(MLP.forward_training, gradient), (loss.forward, gradient)],
        "backward": [(loss.backward, gradient), (MLP.backward, gradient)],
        "update": [(update_all, None)],
        "evaluation": [(MLP.evaluate, None)],
    }
    profiler = cProfile.Profile()
    result = profiler.runcall(run)
    statistics = pstats.Stats(profiler)
    seconds = {
        part: sum(_seconds(statistics, function, caller) for function, caller in functions)
        for part, functions in parts.items()
    }
    return result, seconds | {"rest": statistics.total_tt - sum(seconds.values())}  # type: ignore[attr-defined]


def flops(model: MLP) -> int:
    """Additions and multiplications in the matrix products of one example's gradient.

    z = x W, dW = x^T dz and, but for the first layer, dx = dz W^T: 2 in out each.
    """
    dense = [layer for layer in model.layers if isinstance(layer, Dense)]
    return sum(2 * layer.W.size * (2 if layer.is_first else 3) for layer in dense)


def table(seconds: dict[str, float], model: MLP, batch_size: int, gradients: int) -> str:
    """The parts, and the speed of the matrix products beside what this machine's BLAS reaches.

    `gradients` counts the examples whose gradient was taken.
    """
    total = sum(seconds.values())
    lines = [f"{part:10}  {s:8.2f} s  {s / total:4.0%}" for part, s in seconds.items()]
    speed = gradients * flops(model) / (seconds["forward"] + seconds["backward"]) / 1e9
    largest = max((layer.W for layer in model.layers if isinstance(layer, Dense)), key=np.size)
    batch, (fan_in, fan_out) = min(batch_size, CHUNK), largest.shape
    alone = products.gflops(batch, fan_in, fan_out, model.dtype.name)
    lines.append(
        f"forward and backward: {speed:.0f} GFLOP/s; matrix products of {batch:,} x {fan_in:,} x "
        f"{fan_out:,} alone: {alone:.0f} GFLOP/s on this machine"
    )
    return "\n".join(lines)


def _seconds(
    statistics: pstats.Stats, function: Callable[..., Any], caller: Callable[..., Any] | None
) -> float:
    """The time within the function, and within what it called; of its calls by `caller`, if any."""
    entry = statistics.stats.get(_key(function))  # type: ignore[attr-defined]
    if entry is None:
        return 0.0
    *_, cumulative, callers = entry
    return float(cumulative if caller is None else callers.get(_key(caller), (0.0,))[-1])


def _key(function: Callable[..., Any]) -> tuple[str, int, str]:
    """By which the profiler knows a function: file, line and name."""
    code = function.__code__
    return code.co_filename, code.co_firstlineno, code.co_name
