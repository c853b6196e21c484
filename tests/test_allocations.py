"""What a training step must not do: allocate, convert to double precision, copy, or waste."""

import tracemalloc

import numpy as np
import pytest

import nnscratch as nn
from nnscratch import model as model_module
from nnscratch.datasets.split import Pixels

NUMPYS_OWN = 150_000  # bytes: two of the fixed buffers in which NumPy casts numbers, 64 KiB each
INPUTS = 16

# LAPACK, which these call, and the matrices that SciPy returns come from memory of their own
FACTORIZING = {"shampoo", "soap", "kfac"}
TRAINABLE = [name for name in nn.OPTIMIZERS if name not in FACTORIZING | {"newton"}]


def images(n: int) -> nn.Split:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n, INPUTS), dtype=np.uint8)
    return nn.Split(pixels, rng.integers(0, 10, n), 255.0)


def most_allocated(opt: nn.Optimizer, net: nn.MLP, batch_size: int) -> int:
    """Bytes that the third step of an epoch held at once, besides what was there before it."""
    loader = nn.mini_batch(images(4 * batch_size), batch_size)
    records = nn.fit(net, opt, loader, 1, every=1)
    next(records)
    next(records)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        next(records)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(nn.engine() != "numba", reason="NumPy's blocks are temporary arrays")
@pytest.mark.parametrize("name", TRAINABLE)
def test_no_optimizer_allocates_an_array_like_the_weights(name: str) -> None:
    net = nn.MLP([INPUTS, 20_000, 10])
    assert all(
        parameter.w.nbytes > 5 * NUMPYS_OWN for parameter in net.parameters if parameter.w.ndim == 2
    )
    assert most_allocated(nn.OPTIMIZERS[name](), net, 64) < NUMPYS_OWN


@pytest.mark.skipif(nn.engine() != "numba", reason="NumPy's blocks are temporary arrays")
@pytest.mark.parametrize(
    "wrapped",
    [
        nn.ClipNorm(nn.OPTIMIZERS["adam"](), max_norm=1e-9),
        nn.DecoupledDecay(nn.OPTIMIZERS["schedule_free_sgd"]()),
        nn.WeightEMA(nn.OPTIMIZERS["adam"]()),
    ],
    ids=lambda wrapped: wrapped.name,
)
def test_no_wrapper_allocates_an_array_like_the_weights(wrapped: nn.Wrapper) -> None:
    assert most_allocated(wrapped, nn.MLP([INPUTS, 20_000, 10]), 64) < NUMPYS_OWN


@pytest.mark.parametrize(
    ("activation", "loss"),
    [(activation, "softmax_cross_entropy") for activation in nn.ACTIVATIONS]
    + [("sigmoid", loss) for loss in nn.LOSSES],
)
def test_nothing_is_allocated_for_the_examples_of_a_batch(
    activation: str, loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One number for each example would be 262 kB, one byte for each hidden unit 1 MB."""
    batch_size = 65_536
    monkeypatch.setattr(model_module, "CHUNK", batch_size)
    net = nn.MLP([INPUTS, 16, 10], activation, loss=loss)
    assert most_allocated(nn.OPTIMIZERS["sgd"](), net, batch_size) < NUMPYS_OWN


def test_this_would_notice_an_allocation(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = nn.ACTIVATIONS["tanh"].forward

    def wasteful(self: nn.Activation, z: np.ndarray, a: np.ndarray) -> None:
        forward(self, z * z.max(axis=-1, keepdims=True), a)

    monkeypatch.setattr(nn.ACTIVATIONS["tanh"], "forward", wasteful)
    monkeypatch.setattr(model_module, "CHUNK", 65_536)
    net = nn.MLP([INPUTS, 16, 10], "tanh")
    assert most_allocated(nn.OPTIMIZERS["sgd"](), net, 65_536) > NUMPYS_OWN


def test_a_float32_network_computes_in_float32_throughout(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[np.dtype] = set()

    def record(cls: type, name: str) -> None:
        method = getattr(cls, name)

        def recorded(self: object, *arguments: np.ndarray) -> object:
            seen.update(array.dtype for array in arguments if array.dtype.kind == "f")
            return method(self, *arguments)

        monkeypatch.setattr(cls, name, recorded)

    record(nn.ACTIVATIONS["sigmoid"], "forward")
    record(nn.ACTIVATIONS["sigmoid"], "backward")
    record(nn.LOSSES["softmax_cross_entropy"], "backward")
    net, opt, state = nn.MLP([INPUTS, 8, 10]), nn.OPTIMIZERS["adam"](), {}
    for x, labels in nn.mini_batch(images(64), 32):
        net.loss_and_grad(x, labels)
        opt.update(net.w, net.dw, state)
        seen.add(x.read(slice(0, 3)).dtype)
    seen |= {array.dtype for array in (net.w, net.dw, state["m"], state["v"])}
    assert seen == {np.dtype("float32")}


def test_a_batch_of_the_right_dtype_is_not_copied() -> None:
    net = nn.MLP([INPUTS, 8, 10])
    x = np.random.default_rng(0).random((32, INPUTS), dtype=np.float32)
    net.loss_and_grad(x, np.zeros(32, int))
    assert np.shares_memory(net.layers[0].x, x)


def test_every_image_is_read_once_in_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    read, rows_read = Pixels.read, []

    def recorded(self: Pixels, rows: slice) -> np.ndarray:
        rows_read.extend(self.rows[rows])
        return read(self, rows)

    monkeypatch.setattr(Pixels, "read", recorded)
    list(nn.fit(nn.MLP([INPUTS, 8, 10]), "adam", nn.mini_batch(images(2500), 1200), 1))
    assert sorted(rows_read) == list(range(2500))


def test_the_labels_of_a_batch_remain_when_the_next_one_comes() -> None:
    """They are cut from one array an epoch, and not written into a buffer that is used again."""
    split = images(100)
    loader = nn.mini_batch(split, 32, seed=3)
    collected = [labels for _, labels in loader]
    assert (np.concatenate(collected) == split.labels[loader.order(0)]).all()
