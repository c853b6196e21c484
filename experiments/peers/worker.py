"""One library at work in a process of its own.

    python experiments/peers/worker.py MODULE VARIANT            does what it reads from stdin
    python experiments/peers/worker.py MODULE VARIANT EPOCHS SEED BEGAN
                                                                 trains, and tells the time

In the first form each line that it reads is JSON, and so is each answer: {"prepare": {"optimizer":
"adam", "hidden": 1000, "batch_size": 128}, "updates": 469} makes a network and warms it up, and
{"updates": 469} trains it for so long and tells the seconds. In the second form it trains for so
many epochs, reads the test images after each, and goes on, at most half as long again, until 98 %
of them are right. BEGAN is time.monotonic() of whoever started it, so that imports count.
"""

import gzip
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
FAR = 0.98  # of the test images


def mnist() -> list[Any]:
    """Training images and labels, test images and labels, as bytes; images as rows."""
    import numpy as np

    folder = Path(os.environ.get("NNSCRATCH_DATA", Path("data") / "mnist"))
    arrays = []
    for name in FILES:
        path = folder / f"{name}-ubyte"
        raw = (
            path.read_bytes()
            if path.is_file()
            else gzip.decompress(path.with_suffix(".gz").read_bytes())
        )
        is_image = raw[3] == 3
        pixels = np.frombuffer(raw, np.uint8, offset=16 if is_image else 8)
        arrays.append(pixels.reshape(-1, 784) if is_image else pixels)
    return arrays


def serve(library: Any, variant: str, threads: int) -> None:
    images, labels, _, _ = mnist()
    trainer: Any = None
    for line in sys.stdin:
        asked = json.loads(line)
        if "prepare" in asked:
            trainer = None  # its memory may be large
            try:
                trainer = library.Trainer(
                    variant,
                    **asked["prepare"],
                    seed=0,
                    threads=threads,
                    images=images,
                    labels=labels,
                )
                for _ in range(2):
                    trainer.run(asked["updates"])
                answer = {"seconds": 0.0}
            except NotImplementedError as reason:
                answer = {"refused": str(reason)}
        else:
            began = time.perf_counter()
            loss = trainer.run(asked["updates"])
            answer = {"seconds": time.perf_counter() - began, "loss": loss}
        print(json.dumps(answer), flush=True)


def train(library: Any, variant: str, threads: int, epochs: int, seed: int, began: float) -> None:
    images, labels, test_images, test_labels = mnist()
    settings = {"optimizer": "adam", "hidden": 1000, "batch_size": 128}
    trainer = library.Trainer(
        variant, **settings, seed=seed, threads=threads, images=images, labels=labels
    )
    updates = -(-len(labels) // settings["batch_size"])
    del images, labels
    stamps: list[dict[str, float]] = []
    while len(stamps) < epochs or (
        epochs > 1 and stamps[-1]["accuracy"] < FAR and len(stamps) < 1.5 * epochs
    ):
        loss = trainer.run(updates)
        accuracy = trainer.accuracy(test_images, test_labels)
        stamps.append({"seconds": time.monotonic() - began, "accuracy": accuracy, "loss": loss})
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"stamps": stamps, "memory": memory}), flush=True)


if __name__ == "__main__":
    module, variant, *arguments = sys.argv[1:]
    threads = int(os.environ["SPEED_THREADS"])
    library = importlib.import_module(module)
    if arguments:
        train(library, variant, threads, int(arguments[0]), int(arguments[1]), float(arguments[2]))
    else:
        serve(library, variant, threads)
