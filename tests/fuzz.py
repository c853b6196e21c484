"""A million damaged files for the readers of idx files and of checkpoints, or of other files.

    python tests/fuzz.py [NUMBER [SEED [KIND ...]]]         npz and safetensors are networks

Each begins as a good file and is cut, flipped, filled up, spliced or overwritten with numbers that
often do harm. A reader has to give back the array that was written, or to refuse by its own error;
anything else, or more than 200 MB of memory, or a second for one file, ends the run.
"""

import gzip
import hashlib
import io
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

import nnscratch as nn
from nnscratch import archive, checkpoint
from nnscratch.datasets.idx import IdxFile

MEMORY = 200_000_000  # bytes beyond those at the start
LONGEST = 1.0  # seconds for one file
HARMFUL = [b"\0", b"\xff", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 8, b"PK\x01\x02", b"\x1f\x8b"]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The content with one to four things done to it."""
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        way = rng.randrange(6)
        if way == 0:
            content = content[:at]
        elif way == 1 and content:
            at = min(at, len(content) - 1)
            content = (
                content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
            )
        elif way == 2:
            content = content[:at] + rng.randbytes(rng.randint(1, 16)) + content[at:]
        elif way == 3:
            content = content[:at] + content[end:]
        elif way == 4:
            content = content[:end] + content[at:end] + content[end:]
        else:
            harm = rng.choice(HARMFUL)
            content = content[:at] + harm + content[at + len(harm) :]
    return content


def idx_reader(folder: Path):
    array = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    plain = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4) for n in array.shape) + array.tobytes()
    file = IdxFile("toy-images-idx3-ubyte", array.shape, hashlib.sha256(plain).hexdigest())
    path = folder / "toy-images-idx3-ubyte"

    def read(content: bytes) -> str:
        path.write_bytes(content)
        try:
            found = file.read(path)
        except nn.DataError:
            return "refused"
        assert (found == array).all()
        return "whole"

    return [plain, gzip.compress(plain, mtime=0)], read


def checkpoint_reader():
    model, progress = nn.MLP([3, 2, 2]), nn.Progress()
    split = nn.Split(np.eye(3, dtype=np.uint8), np.array([0, 1, 0]))
    history = list(nn.fit(model, "adam", nn.batch(split), 2, progress=progress))
    content = checkpoint.to_bytes(model, progress, history, {"note": "good"})
    m = progress.states[0]["m"].copy()

    def read(content: bytes) -> str:
        try:
            found = checkpoint.from_file(io.BytesIO(content), len(content))
        except archive.Unreadable:
            return "refused"
        assert (found.w == model.w).all()
        assert (found.progress.states[0]["m"] == m).all()
        return "whole"

    return [content], read


def network_reader(path: Path):
    model = nn.MLP([3, 2, 2])
    nn.save_model(path, model)

    def read(content: bytes) -> str:
        path.write_bytes(content)
        try:
            found = nn.load_model(path)
        except nn.CheckpointError:
            return "refused"
        except nn.UsageError as error:
            if "does not say which activation" not in error.what:
                raise
            return "unsaid"  # the name of its metadata is damaged, as if it were PyTorch's
        assert (found.w == model.w).all()
        assert found.description == model.description
        return "whole"

    return [path.read_bytes()], read


def main(number: int = 1_000_000, seed: int = 0, *kinds: str) -> None:
    rng, counts, slowest = random.Random(seed), Counter(), 0.0
    kinds = kinds or ("idx", "checkpoint")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        readers = {
            "idx": idx_reader(Path(folder)),
            "checkpoint": checkpoint_reader(),
            "npz": network_reader(Path(folder) / "net.npz"),
            "safetensors": network_reader(Path(folder) / "net.safetensors"),
        }
        at_start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        for k in range(number):
            name = kinds[k % len(kinds)]
            good, read = readers[name]
            content = damaged(rng.choice(good), rng)
            began = time.perf_counter()
            try:
                counts[name, read(content)] += 1
            except BaseException:
                print(f"input {k} of seed {seed}, {name}: {content!r}", file=sys.stderr)
                raise
            took = time.perf_counter() - began
            slowest = max(slowest, took)
            if took > LONGEST:
                raise SystemExit(f"input {k} of seed {seed} took {took:.1f} s: {content!r}")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - at_start
    print(f"{number:,} inputs, seed {seed}: {dict(counts)}")
    print(f"slowest {1000 * slowest:.1f} ms, {grown / 1e6:.1f} MB of memory more than at the start")
    if grown > MEMORY:
        raise SystemExit("more than 200 MB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *sys.argv[3:])
