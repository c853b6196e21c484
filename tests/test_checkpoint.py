"""Checkpoints: what goes on from one is what never stopped, and a bad file is refused by name."""

import errno
import io
import json
import os
import pickle
import stat
import zipfile
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnscratch as nn
from nnscratch import archive, checkpoint, divergence, files, loop
from nnscratch.optim.base import leaves

TRAINS = [name for name in nn.OPTIMIZERS if name != "newton"]
LOADERS = {
    "batch": lambda split: nn.batch(split),
    "mini_batch": lambda split: nn.mini_batch(split, 16, seed=3),
    "stochastic": lambda split: nn.stochastic(split[:12], seed=3),
}
SCHEDULES = {
    "constant": {},
    "cosine": {"warmup": 3},
    "step": {"every": 1},
    "inverse_time": {},
    "exponential": {},
}


def model(seed: int = 1, **kwargs) -> nn.MLP:
    return nn.MLP([12, 6, 3], seed=seed, **kwargs)


def small(split: nn.Split) -> nn.Split:
    return split[:40]


def without_clock(record: nn.Record) -> nn.Record:
    return replace(record, seconds=0.0)


def bits(state: nn.State) -> dict[str, object]:
    return {
        name: (value.dtype, value.shape, value.tobytes())
        if isinstance(value, np.ndarray)
        else (type(value), repr(value))
        for name, value in leaves(state)
    }


def through_a_file(net: nn.MLP, progress: nn.Progress, path: Path) -> nn.Checkpoint:
    nn.save_checkpoint(path, net, progress)
    return nn.load_checkpoint(path)


def check_goes_on(optimizer: nn.Optimizer, make_loader, split: nn.Split, path: Path, **kw) -> None:
    """Two epochs at once, and two that are stopped, saved and loaded after every single update."""
    whole, whole_progress = model(), nn.Progress()
    records = list(
        nn.fit(whole, optimizer, make_loader(split), 2, every=1, progress=whole_progress, **kw)
    )

    net, progress, found = model(), nn.Progress(), []
    while True:
        record = next(
            nn.fit(net, optimizer, make_loader(split), 2, every=1, progress=progress, **kw), None
        )
        if record is None:
            break
        found.append(record)
        held = through_a_file(net, progress, path)
        net = model(seed=99)
        progress = held.restore(net, optimizer)
    assert (net.w == whole.w).all()
    assert list(map(without_clock, found)) == list(map(without_clock, records))
    assert list(map(bits, progress.states)) == list(map(bits, whole_progress.states))


# --- the same bits -------------------------------------------------------------------------------


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("name", TRAINS)
def test_a_run_that_stops_after_every_update_gives_the_bits_of_one_that_never_does(
    name: str, loader: str, toy: nn.Split, tmp_path: Path
) -> None:
    path = tmp_path / "run.npz"
    check_goes_on(nn.OPTIMIZERS[name](), LOADERS[loader], small(toy), path, val=toy[40:60])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", [name for name in TRAINS if nn.OPTIMIZERS[name]().rate])
def test_a_schedule_goes_on_where_it_was(name, schedule, toy: nn.Split, tmp_path: Path) -> None:
    """With every optimizer that has a rate to schedule."""
    path = tmp_path / "run.npz"
    made = nn.SCHEDULES[schedule](**SCHEDULES[schedule])
    check_goes_on(nn.OPTIMIZERS[name](), LOADERS["mini_batch"], small(toy), path, schedule=made)


@pytest.mark.parametrize(
    "optimizer",
    [
        nn.ClipNorm(nn.OPTIMIZERS["adam"](), 0.1),
        nn.DecoupledDecay(nn.OPTIMIZERS["sgd"](lr=0.1), 0.01),
        nn.WeightEMA(nn.OPTIMIZERS["adam"](), 0.9),
        nn.WeightEMA(nn.OPTIMIZERS["sam"](base=nn.OPTIMIZERS["nesterov_lookahead"](lr=0.1)), 0.9),
        nn.OPTIMIZERS["lookahead"](base=nn.OPTIMIZERS["schedule_free_adamw"](), k=3),
    ],
    ids=lambda optimizer: optimizer.full_name,
)
def test_optimizers_around_optimizers_go_on(optimizer, toy: nn.Split, tmp_path: Path) -> None:
    check_goes_on(optimizer, LOADERS["mini_batch"], small(toy), tmp_path / "run.npz")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
def test_every_kind_of_network_goes_on(dtype, bias, toy: nn.Split, tmp_path: Path) -> None:
    optimizer, split = nn.OPTIMIZERS["adam"](), replace(small(toy), dtype=dtype)
    whole, net = (nn.MLP([12, 5, 4, 3], "relu", bias=bias, dtype=dtype) for _ in range(2))
    list(nn.fit(whole, optimizer, nn.mini_batch(split, 7), 2))
    progress = nn.Progress()
    next(nn.fit(net, optimizer, nn.mini_batch(split, 7), 2, every=4, progress=progress))
    held = through_a_file(net, progress, tmp_path / "run.npz")
    net.w = 0
    list(nn.fit(net, optimizer, nn.mini_batch(split, 7), 2, progress=held.restore(net, optimizer)))
    assert (net.w == whole.w).all()


def test_an_optimizer_of_ones_own_goes_on_with_whatever_it_remembers(toy, tmp_path: Path) -> None:
    """Made at the first update, and of every kind that a state may hold."""

    class Hoarder(nn.Optimizer):
        def update(self, w, dw, state):
            if not state:
                state |= {"text": "a", "yes": True, "scalar": np.float32(0.1), "whole": 2**70}
                state |= {"inside": {"empty": {}, "m": np.zeros_like(w)}, "inf": float("inf")}
                state |= {"counts": np.arange(3), "point": np.array(0.5)}
            state["inside"]["m"] += dw
            state["counts"] += 1
            state["text"] += "b"
            w -= state["scalar"] * state["inside"]["m"]
            return w

    check_goes_on(Hoarder(), LOADERS["mini_batch"], small(toy), tmp_path / "run.npz")
    net, progress = model(), nn.Progress()
    next(nn.fit(net, Hoarder(), nn.batch(toy), 1, progress=progress))
    state = through_a_file(net, progress, tmp_path / "run.npz").progress.states[0]
    assert state["inside"]["empty"] == {}
    assert type(state["scalar"]) is np.float32
    assert state["point"].shape == ()
    assert (state["whole"], state["inf"], state["text"]) == (2**70, float("inf"), "ab")


def test_arrays_come_back_on_a_cache_line(toy: nn.Split, tmp_path: Path) -> None:
    net, progress = model(), nn.Progress()
    list(nn.fit(net, "adam", nn.batch(toy), 1, progress=progress))
    held = through_a_file(net, progress, tmp_path / "run.npz")
    arrays = [held.w, *(array for _, array in leaves(held.progress.states[0]) if np.ndim(array))]
    assert len(arrays) == 3
    assert all(array.ctypes.data % 64 == 0 for array in arrays)


def test_a_run_before_its_first_update_can_be_saved_too(toy: nn.Split, tmp_path: Path) -> None:
    net, whole = model(), model()
    held = through_a_file(net, nn.Progress(), tmp_path / "run.npz")
    progress = held.restore(net, nn.OPTIMIZERS["adam"]())
    list(nn.fit(net, "adam", nn.mini_batch(toy, 50), 1, progress=progress))
    list(nn.fit(whole, "adam", nn.mini_batch(toy, 50), 1))
    assert (net.w == whole.w).all()


def test_more_epochs_are_what_a_longer_run_gives(toy: nn.Split, tmp_path: Path) -> None:
    """And a run with nothing left to do ends at the weights to evaluate."""
    whole, net, progress = model(), model(), nn.Progress()
    optimizer = nn.OPTIMIZERS["nesterov_lookahead"](lr=0.1)
    list(nn.fit(whole, optimizer, nn.mini_batch(toy, 50), 4))
    list(nn.fit(net, optimizer, nn.mini_batch(toy, 50), 2, progress=progress))
    to_evaluate = net.w.copy()
    held = through_a_file(net, progress, tmp_path / "run.npz")
    assert (held.w != to_evaluate).any()
    progress = held.restore(net, optimizer)
    assert list(nn.fit(net, optimizer, nn.mini_batch(toy, 50), 2, progress=progress)) == []
    assert (net.w == to_evaluate).all()
    list(nn.fit(net, optimizer, nn.mini_batch(toy, 50), 4, progress=progress))
    assert (net.w == whole.w).all()


def test_history_and_notes_are_kept(toy: nn.Split, tmp_path: Path) -> None:
    net, progress = model(), nn.Progress()
    history = list(nn.fit(net, "adam", nn.mini_batch(toy, 50), 2, val=toy, progress=progress))
    nn.save_checkpoint(tmp_path / "run.npz", net, progress, history, {"why": ["test", 1]})
    held = nn.load_checkpoint(tmp_path / "run.npz")
    assert held.history == history
    assert held.about == {"why": ["test", 1]}
    assert held.progress.seconds == progress.seconds


def test_numpy_alone_can_read_the_file(toy: nn.Split, tmp_path: Path) -> None:
    net, progress = model(), nn.Progress()
    list(nn.fit(net, "adam", nn.batch(toy), 1, progress=progress))
    nn.save_checkpoint(tmp_path / "run.npz", net, progress)
    with np.load(tmp_path / "run.npz", allow_pickle=False) as file:
        assert (file["w"] == net.w).all()
        assert (file["0.m"] == progress.states[0]["m"]).all()
        assert json.loads(file["description"].tobytes())["format"] == 2


def test_a_checkpoint_can_be_restored_again_and_again(toy: nn.Split, tmp_path: Path) -> None:
    """What is trained from it afterwards changes nothing in it."""
    net, progress = model(), nn.Progress()
    next(nn.fit(net, "adam", nn.mini_batch(toy, 50), 2, every=4, progress=progress))
    held = through_a_file(net, progress, tmp_path / "run.npz")
    ends = []
    for _ in range(2):
        other = model(seed=9)
        restored = held.restore(other, nn.OPTIMIZERS["adam"]())
        list(nn.fit(other, "adam", nn.mini_batch(toy, 50), 2, progress=restored))
        ends.append(other.w.copy())
    assert (ends[0] == ends[1]).all()
    assert held.progress.update == 4


def test_numbers_may_change_their_kind_and_entries_may_come_later(toy, tmp_path: Path) -> None:
    class Drifting(nn.Optimizer):
        scope = "model"

        def init(self, w):
            return {"t": 0, "scale": 1.0, "count": 0}

        def update(self, w, dw, state):
            state["t"] += 1
            state["scale"] = 0.9 * state["scale"] + 0.1 * np.abs(dw).max().astype(float)
            state["count"] += 0.5
            low = state.setdefault("low", np.full_like(w, np.inf))
            np.minimum(low, np.where(dw == 0, np.inf, dw), out=low)
            w -= 0.1 / (1 + state["scale"]) * dw
            return w

    check_goes_on(Drifting(), LOADERS["mini_batch"], small(toy), tmp_path / "run.npz")


def test_the_same_run_gives_the_same_file(toy: nn.Split) -> None:
    def content() -> bytes:
        net, progress = model(), nn.Progress()
        list(nn.fit(net, "adam", nn.batch(toy), 1, progress=progress))
        progress.seconds = 0.0
        return checkpoint.to_bytes(net, progress, [], {})

    assert content() == content()


# --- what is refused -----------------------------------------------------------------------------


@pytest.fixture
def saved(toy: nn.Split, tmp_path: Path) -> Path:
    net, progress = model(), nn.Progress()
    history = list(nn.fit(net, "adam", nn.mini_batch(toy, 100), 1, val=toy, progress=progress))
    nn.save_checkpoint(tmp_path / "run.npz", net, progress, history)
    return tmp_path / "run.npz"


def refused(path: Path) -> str:
    with pytest.raises(nn.CheckpointError) as error:
        nn.load_checkpoint(path)
    assert error.value.exit_code == 4
    assert "\n" not in error.value.what
    assert error.value.fix
    return error.value.what


def same(a: nn.Checkpoint, b: nn.Checkpoint) -> bool:
    return (
        (a.w == b.w).all()
        and list(map(bits, a.progress.states)) == list(map(bits, b.progress.states))
        and replace(a.progress, states=[]) == replace(b.progress, states=[])
        and (a.history, a.about) == (b.history, b.about)
    )


def test_a_file_that_is_cut_at_any_byte_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    for length in range(len(content)):
        saved.write_bytes(content[:length])
        assert "is no checkpoint" in refused(saved)


def test_a_flipped_bit_is_noticed_or_changes_nothing(saved: Path) -> None:
    """Some bytes of a zip archive, such as dates, play no part."""
    content, whole = saved.read_bytes(), nn.load_checkpoint(saved)
    noticed = 0
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        saved.write_bytes(flipped)
        try:
            assert same(nn.load_checkpoint(saved), whole), position
        except nn.CheckpointError:
            noticed += 1
    assert noticed > 0.9 * len(content)


def test_bytes_at_its_end_are_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"more")
    assert "at its end" in refused(saved)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "it is empty"),
        (pickle.dumps({"w": 1}), "another kind"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "another kind"),
        (b"<!DOCTYPE html>", "another kind"),
        (b"PK\x03\x04" + bytes(60), "cut off"),
        (b"PK\x05\x06" + bytes(18), "has no description"),
    ],
)
def test_other_files_are_refused_by_what_they_are(tmp_path: Path, content: bytes, what) -> None:
    path = tmp_path / "run.npz"
    path.write_bytes(content)
    assert what in refused(path)


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("nothing", ".", "pipe", "dangling"):
        assert "there is no checkpoint" in refused(tmp_path / name)


def written(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def taken_apart(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def described(path: Path, change) -> None:
    """The file again, with a description that was changed, and is well-formed."""
    members = taken_apart(path)
    head = members["description.npy"]
    start = 10 + int.from_bytes(head[8:10], "little")
    text = json.loads(head[start:])
    changed = change(text)
    text = changed if changed in ([], 5) else text
    buffer = io.BytesIO()
    np.save(buffer, np.frombuffer(json.dumps(text).encode(), np.uint8))
    written(path, members | {"description.npy": buffer.getvalue()})


def test_a_file_taken_apart_and_put_together_is_the_same(saved: Path) -> None:
    """So that what the tests below change is the only thing that changes."""
    whole = nn.load_checkpoint(saved)
    described(saved, lambda text: None)
    assert same(nn.load_checkpoint(saved), whole)


def test_an_array_of_objects_is_refused_and_nothing_in_it_runs(saved: Path, tmp_path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap()], dtype=object), allow_pickle=True)
    written(saved, taken_apart(saved) | {"w.npy": buffer.getvalue()})
    assert "w" in refused(saved)
    described(saved, lambda text: text["arrays"]["w"].update(dtype="|O", shape=[1]))
    assert "not numbers" in refused(saved)
    np.savez(saved, description=np.array([Trap()], dtype=object), allow_pickle=True)
    refused(saved)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["../w.npy", "/etc/w.npy", "w", "w\x00.npy", "a" * 300 + ".npy"])
def test_names_that_could_be_paths_are_refused(saved: Path, name: str) -> None:
    written(saved, {name: b"", **taken_apart(saved)})
    assert "no such file has a member" in refused(saved)
    assert sorted(path.name for path in saved.parent.iterdir()) == ["run.npz"]


def test_bombs_are_refused_unread(saved: Path) -> None:
    zeros = bytes(50_000_000)
    written(saved, taken_apart(saved) | {"bomb.npy": zeros}, zipfile.ZIP_DEFLATED)
    assert "is compressed" in refused(saved)
    written(saved, {f"{k}.npy": b"" for k in range(60_000)})
    assert "too many members" in refused(saved)


def test_members_that_lie_over_each_other_are_refused(saved: Path) -> None:
    """Each stored as it is, and together more than there is."""
    members = {f"{k}.npy": bytes(1000) for k in range(3)}
    written(saved, members)
    content = bytearray(saved.read_bytes())
    first = content.index(b"PK\x01\x02")
    while (entry := content.find(b"PK\x01\x02", first)) >= 0:
        content[entry + 20 : entry + 28] = (3000).to_bytes(4, "little") * 2  # both sizes
        first = entry + 4
    saved.write_bytes(content)
    assert "larger than the file" in refused(saved)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda d: d.update(format=3), "format 3 of nnscratch"),
        (lambda d: d.update(format=1), "format 1 of nnscratch"),
        (lambda d: d.update(format="1"), "its format is '1'"),
        (lambda d: d.pop("format"), "makes no sense"),
        (lambda d: d["progress"].update(update=-1), "update must be a whole number"),
        (lambda d: d["progress"].update(update=1.5), "update must be a whole number"),
        (lambda d: d["progress"].pop("examples"), "examples"),
        (lambda d: d["progress"].update(loss_sum="much"), "loss_sum must be a number"),
        (lambda d: d["progress"].update(first_loss=-1.0), "first_loss must be a number"),
        (lambda d: d["progress"].update(first_epoch="now"), "first_epoch must be a whole number"),
        (lambda d: d["progress"].update(seed=None), "seed must be a whole number"),
        (lambda d: d["history"][0].update(epoch=-1), "epoch must be a whole number"),
        (lambda d: d["history"][0].update(train_loss=None), "train_loss must be a number"),
        (lambda d: d["arrays"]["w"].update(shape=[2**40]), "bytes, which is not"),
        (lambda d: d["arrays"]["w"].update(shape=[-1]), "a size must be"),
        (lambda d: d["arrays"]["w"].update(dtype="<f8"), "bytes, which is not"),
        (lambda d: d["arrays"]["w"].update(dtype="|V4"), "not numbers"),
        (lambda d: d["arrays"]["0.m"].update(sha256="0"), "sha256 differs"),
        (lambda d: d["arrays"].pop("0.v"), "does not fit its members: 0.v"),
        (lambda d: d["arrays"].update(x=d["arrays"]["w"]), "does not fit its members: x"),
        (lambda d: d["states"].append({"m": ["nothing"]}), "nothing"),
        (lambda d: d["history"][0].update(mood="good"), "mood"),
        (lambda d: d.update(about=None), "makes no sense"),
        (lambda d: d["about"].update(x=float("nan")), "makes no sense"),
        (lambda d: d["history"][0].update(val_accuracy="x"), "val_accuracy must be a number"),
        (lambda d: d.update(states=[["w"]]), "its states are none"),
        (lambda d: d["states"][0].update(v=["0.m"]), "makes no sense"),  # one array in two places
        (lambda d: d["states"][0].pop("v"), "its states do not have 0.v"),
        (lambda d: d.update(format=9, nnscratch="\x1b[31m\nfix: curl"), "nnscratch '\\x1b[31m"),
        (lambda d: [], "it has no progress"),
        (lambda d: 5, "makes no sense"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(saved: Path, change, what: str) -> None:
    described(saved, change)
    assert what in refused(saved)


def test_text_that_is_no_json_and_text_that_nests_for_ever_are_refused(saved: Path) -> None:
    for text in (b"no json", b"[" * 1_000_000, b"\xff\xfe", b"9" * 5000):
        buffer = io.BytesIO()
        np.save(buffer, np.frombuffer(text, np.uint8))
        written(saved, taken_apart(saved) | {"description.npy": buffer.getvalue()})
        assert "makes no sense" in refused(saved)


def test_members_that_nobody_wrote_so_are_refused(saved: Path, monkeypatch) -> None:
    members = taken_apart(saved)
    written(saved, members | {"w.npy": b"no array at all"})
    assert "its w is no array" in refused(saved)
    content = bytearray(saved.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # under a password
    content[6] |= 1
    saved.write_bytes(content)
    assert "no such file was written so" in refused(saved)
    written(saved, members)
    monkeypatch.setattr(archive, "LARGEST_DESCRIPTION", 100)
    assert "its description is too large" in refused(saved)


def test_a_file_that_the_disk_does_not_give_is_told_as_that(saved: Path, monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "open", broken)
    assert "cannot be read (Input/output error)" in refused(saved)


def test_a_history_without_validation_comes_back(toy: nn.Split, tmp_path: Path) -> None:
    net, progress = model(), nn.Progress()
    history = list(nn.fit(net, "adam", nn.batch(toy), 2, progress=progress))
    assert history[0].val_loss is None
    nn.save_checkpoint(tmp_path / "run.npz", net, progress, history)
    assert nn.load_checkpoint(tmp_path / "run.npz").history == history


@given(content=st.binary(max_size=300), at=st.integers(0, 5000))
@settings(max_examples=300, deadline=None)
def test_any_bytes_anywhere_are_a_checkpoint_or_an_error_that_says_why(content, at) -> None:
    whole = _some_checkpoint()
    place = min(at, len(whole))
    spoiled = whole[:place] + content + whole[place + len(content) :]
    with suppress(archive.Unreadable):  # anything else that is raised fails the test
        checkpoint.from_file(io.BytesIO(spoiled), len(spoiled))


def _some_checkpoint() -> bytes:
    net, progress = nn.MLP([3, 2, 2]), nn.Progress()
    split = nn.Split(np.eye(3, dtype=np.uint8), np.array([0, 1, 0]))
    list(nn.fit(net, "adam", nn.batch(split), 1, progress=progress))
    return checkpoint.to_bytes(net, progress, [], {})


# --- another run ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "optimizer", "what"),
    [
        (nn.MLP([12, 7, 3]), "adam", "sizes was [12, 6, 3] and is [12, 7, 3]"),
        (nn.MLP([12, 6, 3], dtype="float64"), "adam", "float64"),
        (nn.MLP([12, 6, 3], bias=False), "adam", "bias was true and is false"),
        (nn.MLP([32, 3]), "adam", "sizes was [12, 6, 3] and is [32, 3]"),  # as many weights
        (nn.MLP([12, 6, 3], "tanh"), "adam", "activation was"),
        (nn.MLP([12, 6, 3], loss="mean_squared_error"), "adam", "loss was"),
        (nn.MLP([12, 6, 3]), "sgd", "the checkpoint is of 'adam', and this is sgd"),
        (nn.MLP([12, 6, 3]), "amsgrad", "and this is amsgrad"),
        (nn.MLP([12, 6, 3]), "muon", "and this is muon"),
    ],
)
def test_another_network_or_optimizer_is_refused_and_not_touched(saved, net, optimizer, what):
    before = net.w.copy()
    with pytest.raises(nn.CheckpointError) as error:
        nn.load_checkpoint(saved).restore(net, nn.OPTIMIZERS[optimizer]())
    assert what in error.value.what
    assert (net.w == before).all()


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda held: held.w.__setitem__(3, np.nan), "not finite in weights"),
        (lambda held: held.progress.states[0]["v"].__setitem__(3, np.nan), "not finite in adam: v"),
        (lambda held: held.progress.states[0].pop("v"), "the state of adam lacks v"),
        (lambda held: held.progress.states.append({}), "has 2 states, and there are 1 arrays"),
        (
            lambda held: held.progress.states[0].update(of="adam, float32[7]"),
            "of is 'adam, float32",
        ),
        (lambda held: held.progress.states[0].update(t=-1), "t is -1"),
        (lambda held: held.progress.states[0].update(t="1"), "t is 'a string'"),
        (lambda held: held.progress.states[0].update(m=np.zeros(99)), "m is 'float64[99]'"),
        (lambda held: held.progress.states[0].update(m=np.zeros(9, "f4")), "m is 'float32[9]'"),
    ],
)
def test_numbers_that_cannot_be_are_refused_by_name(saved: Path, spoil, what: str) -> None:
    held = nn.load_checkpoint(saved)
    spoil(held)
    with pytest.raises(nn.CheckpointError) as error:
        held.restore(model(), nn.OPTIMIZERS["adam"]())
    assert what in error.value.what


def test_what_no_file_without_pickle_can_hold_is_refused_when_it_is_saved(toy, tmp_path) -> None:
    class Lister(nn.Optimizer):
        thing: object = None
        scope = "model"

        def update(self, w, dw, state):
            state["seen"] = type(self).thing
            return w

    for thing, what in [
        ([1, 2], "holds list as 0.seen"),
        (None, "holds NoneType as 0.seen"),
        (np.array([{}]), "holds ndarray as 0.seen"),
        ({3: np.zeros(2)}, "holds dict as 0.seen"),
        ({(1, 2): 3}, "holds dict as 0.seen"),
        (np.zeros((3, 4), order="F"), "0.seen in another order"),
        (np.zeros(10)[::2], "0.seen in another order"),
        ({"a b": np.zeros(2)}, "0.seen.a b"),
        ({"a": {"b": np.zeros(2)}, "a.b": np.zeros(2)}, "0.seen.a.b"),
    ]:
        Lister.thing = thing
        net, progress = model(), nn.Progress()
        next(nn.fit(net, Lister(), nn.batch(toy), 1, progress=progress))
        with pytest.raises(nn.UsageError) as error:
            nn.save_checkpoint(tmp_path / "run.npz", net, progress)
        assert what in error.value.what
        assert list(tmp_path.iterdir()) == []


def test_an_update_that_was_broken_off_is_neither_saved_nor_continued(toy, tmp_path) -> None:
    class Stumbling(nn.Optimizer):
        def update(self, w, dw, state):
            w += 1
            raise KeyboardInterrupt

    net, progress = model(), nn.Progress()
    with pytest.raises(KeyboardInterrupt):
        next(nn.fit(net, Stumbling(), nn.batch(toy), 1, progress=progress))
    with pytest.raises(nn.UsageError, match="in the middle of update 1"):
        nn.save_checkpoint(tmp_path / "run.npz", net, progress)
    with pytest.raises(nn.UsageError, match="in the middle of update 1"):
        next(nn.fit(net, Stumbling(), nn.batch(toy), 1, progress=progress))


def test_weights_half_moved_to_where_they_are_evaluated_are_not_lost(toy: nn.Split) -> None:
    """An interrupt among the copies, after W1 and before b1."""

    class Interrupting:
        def __array__(self, *_: object, **__: object):
            raise KeyboardInterrupt

    class Elsewhere(nn.Optimizer):
        scope = "tensor"

        def update(self, w, dw, state):
            w -= 0.1 * dw
            return w

        def readout(self, w, state):
            return w + 1 if w.ndim == 2 else Interrupting()

    net, whole, progress = model(), model(), nn.Progress()
    with pytest.raises(KeyboardInterrupt):
        next(nn.fit(net, Elsewhere(), nn.batch(toy), 1, progress=progress))
    list(nn.fit(whole, nn.OPTIMIZERS["sgd"](lr=0.1), nn.batch(toy), 1))
    assert (net.w != whole.w).any()
    np.testing.assert_allclose(progress.gradient_point(net), whole.w, rtol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [nn.ClipNorm(nn.OPTIMIZERS["adam"](), 1.0), *(nn.OPTIMIZERS[n]() for n in ("lbfgs", "kfac"))],
    ids=lambda optimizer: optimizer.full_name,
)
def test_a_batch_that_was_broken_off_before_its_step_leaves_no_trace(optimizer, toy, tmp_path):
    """The loss is no number: what was put into the states for the step is taken out again."""
    net, progress = model(), nn.Progress()
    loader = nn.mini_batch(toy, 100)
    next(nn.fit(net, optimizer, loader, 1, every=1, progress=progress))
    progress.first_loss = 1e-9
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(divergence, "BLOWN_UP", 1e-9)
        with pytest.raises(nn.DivergedError):
            next(nn.fit(net, optimizer, loader, 1, every=1, progress=progress))
    held = through_a_file(net, progress, tmp_path / "run.npz")
    assert held.restore(model(), optimizer).update == 1


def test_an_interrupt_between_gradient_and_step_is_an_update_broken_off(toy, tmp_path) -> None:
    net, progress = model(), nn.Progress()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "update_all", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            next(nn.fit(net, "sam", nn.batch(toy), 1, progress=progress))
    with pytest.raises(nn.UsageError, match="in the middle of update 1"):
        nn.save_checkpoint(tmp_path / "run.npz", net, progress)


@pytest.mark.parametrize(
    ("number", "is_refused"), [(errno.EIO, True), (errno.EINVAL, False), (errno.ENOTSUP, False)]
)
def test_a_file_system_may_have_no_flush_of_names_but_not_fail_in_it(
    number: int, is_refused: bool, toy: nn.Split, tmp_path: Path, monkeypatch
) -> None:
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(nn.WriteError) if is_refused else nullcontext():
        nn.save_checkpoint(tmp_path / "run.npz", model(), nn.Progress())
    assert nn.load_checkpoint(tmp_path / "run.npz").progress.update == 0  # it is there all the same


def test_notes_and_histories_that_no_file_can_hold_are_refused_when_they_are_saved(tmp_path):
    net, path = model(), tmp_path / "run.npz"
    for about in ({"x": object()}, {"x": {1, 2}}):
        with pytest.raises(nn.UsageError, match="about is nothing that JSON can hold"):
            nn.save_checkpoint(path, net, nn.Progress(), (), about)
    with pytest.raises(nn.UsageError, match="too long for a file"):
        nn.save_checkpoint(path, net, nn.Progress(), (), {"x": "y" * 65_000_000})
    for name in ("", "."):
        with pytest.raises(nn.WriteError, match="no name of a file"):
            nn.save_checkpoint(name, net, nn.Progress())


# --- a disk that refuses -------------------------------------------------------------------------


class FullDisk:
    """A file layer that refuses one of the calls of a save."""

    CALLS = ("open", "write", "flush", "fsync", "read_bytes", "replace")

    def __init__(self, monkeypatch, call: str, number: int) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        if call == "fsync":
            monkeypatch.setattr(files.os, "fsync", refuse)
        elif call in ("write", "flush"):

            class File(io.BytesIO):
                pass

            setattr(File, call, refuse)
            monkeypatch.setattr(Path, "open", lambda *_, **__: File())
        else:
            monkeypatch.setattr(Path, call, refuse)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("call", FullDisk.CALLS)
def test_a_save_that_fails_leaves_the_old_checkpoint_and_nothing_else(
    saved: Path, call: str, number: int, monkeypatch
) -> None:
    whole = nn.load_checkpoint(saved)
    with monkeypatch.context() as patch:
        FullDisk(patch, call, number)
        with pytest.raises(nn.WriteError) as error:
            nn.save_checkpoint(saved, model(seed=5), nn.Progress())
    assert os.strerror(number) in error.value.what
    assert same(nn.load_checkpoint(saved), whole)
    assert [path.name for path in saved.parent.iterdir()] == ["run.npz"]


def test_a_file_system_that_cannot_flush_folders_is_good_enough(saved: Path, monkeypatch) -> None:
    fsync = os.fsync

    def only_files(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", only_files)
    nn.save_checkpoint(saved, model(seed=5), nn.Progress())
    assert (nn.load_checkpoint(saved).w == model(seed=5).w).all()


def test_what_does_not_read_back_as_it_was_written_is_not_kept(saved: Path, monkeypatch) -> None:
    whole = nn.load_checkpoint(saved)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda self: b"something else")
        with pytest.raises(nn.WriteError, match="does not read back"):
            nn.save_checkpoint(saved, model(seed=5), nn.Progress())
    assert same(nn.load_checkpoint(saved), whole)


def test_the_file_and_its_name_are_flushed_to_the_disk_before_it_counts(saved, monkeypatch) -> None:
    events: list[str] = []
    replace_, fsync = Path.replace, os.fsync

    def kind(descriptor: int) -> str:
        return "folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file"  # noqa: PTH112

    monkeypatch.setattr(files.os, "fsync", lambda fd: (events.append(kind(fd)), fsync(fd)))
    monkeypatch.setattr(
        Path, "replace", lambda self, other: (events.append("rename"), replace_(self, other))
    )
    nn.save_checkpoint(saved, model(), nn.Progress())
    assert events == ["file", "rename", "folder"]


# --- divergence and shared states ----------------------------------------------------------------


def test_a_loss_a_million_times_the_first_stops_before_its_step(toy: nn.Split) -> None:
    net = nn.MLP([12, 8, 3], "relu", dtype="float64")
    split, progress = replace(toy, dtype="float64"), nn.Progress()

    class Leaping(nn.Optimizer):
        def update(self, w, dw, state):
            w *= 1000.0
            state["calls"] = state.get("calls", 0) + 1
            return w

    with pytest.raises(nn.DivergedError) as error:
        list(nn.fit(net, Leaping(), nn.mini_batch(split, 50), 5, progress=progress))
    assert "the loss is" in error.value.what
    assert ", and was 1." in error.value.what
    assert "the largest sums are those of layer 2" in error.value.what
    assert progress.update == 2
    assert {state["calls"] for state in progress.states} == {2}
    assert progress.is_whole


@pytest.mark.parametrize("owner", ["state", "m"])
def test_one_state_for_two_arrays_is_refused(owner: str, toy: nn.Split) -> None:
    shared = {"m": np.zeros(200, "float32")}

    class Sharing(nn.Optimizer):
        scope = "tensor"

        def init(self, w):
            return shared if owner == "state" else {"m": shared["m"]}

        def update(self, w, dw, state):
            return w

    with pytest.raises(nn.UsageError, match=f"{owner} 0 and for|m in state 0 and for m in state 1"):
        next(nn.fit(model(), Sharing(), nn.batch(toy), 1))


def test_one_array_that_is_shared_from_the_first_update_on_is_refused(toy: nn.Split) -> None:
    common = np.zeros(5)

    class Sharing(nn.Optimizer):
        scope = "tensor"

        def update(self, w, dw, state):
            state.setdefault("inside", {})["m"] = common
            return w

    with pytest.raises(nn.UsageError, match=r"inside\.m in state 0 and for inside\.m in state 1"):
        list(nn.fit(model(), Sharing(), nn.batch(toy), 1))


def test_every_update_may_be_asked_whether_there_is_a_record(toy: nn.Split) -> None:
    records = nn.fit(model(), "sgd", nn.mini_batch(toy, 70), 2, every=lambda n: n in (2, 7))
    assert [record.update for record in records] == [2, 5, 7, 10]


def test_another_loader_would_bring_other_images_and_is_refused(toy: nn.Split) -> None:
    progress = nn.Progress()
    next(nn.fit(model(), "adam", nn.mini_batch(toy, 50, seed=1), 1, every=1, progress=progress))
    for other in (nn.mini_batch(toy, 50, seed=2), nn.mini_batch(toy, 40, seed=1)):
        with pytest.raises(nn.UsageError, match="began with batches of 50 from 300 images, seed 1"):
            next(nn.fit(model(), "adam", other, 1, progress=progress))


def test_the_progress_of_another_optimizer_or_network_is_refused(toy: nn.Split) -> None:
    progress = nn.Progress()
    list(nn.fit(model(), "muon", nn.batch(toy), 1, progress=progress))
    with pytest.raises(nn.UsageError, match="states of 4 arrays, and now has states of 2"):
        list(nn.fit(nn.MLP([12, 3]), "muon", nn.batch(toy), 2, progress=progress))
    progress = nn.Progress()
    list(nn.fit(model(), "adam", nn.batch(toy), 1, progress=progress))
    with pytest.raises(nn.UsageError, match="began with adam, and now has muon"):
        list(nn.fit(model(), "muon", nn.batch(toy), 2, progress=progress))


def test_all_optimizers_that_train_are_covered_here() -> None:
    assert set(nn.OPTIMIZERS) - set(TRAINS) == {"newton"}
    assert "hessian" in nn.OPTIMIZERS["newton"]().needs
    assert set(LOADERS) == set(nn.LOADERS)
    assert set(SCHEDULES) == set(nn.SCHEDULES)
