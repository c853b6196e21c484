"""Random numbers: one seed, and a stream of its own for each purpose.

Streams are told apart by key and not by the order of their making, so that a run draws the same
weights whether or not it drew a validation set before, and the same order in epoch 7 whether or
not it saw the six before.
"""

import numpy as np

from .hyper import Interval, checked

INIT = 0  # the weights at the start
SHUFFLE = 1  # the order of the images, by epoch
SPLIT = 2  # which images are set aside for validation
FISHER = 3  # labels drawn from the network's own answers, by gradients before the update
DISTORT = 4  # displacements of the pixels, by epoch and place in it
DROP = 5  # units left out, by gradients before the update


def stream(seed: int, *key: int) -> np.random.SeedSequence:
    """The seed of the random numbers for one purpose, such as (SHUFFLE, epoch)."""
    fix = "give a seed like 0, 1, 2; the same one gives the same run"
    checked("seed", seed, int, Interval("[0, inf)"), fix)
    return np.random.SeedSequence(int(seed), spawn_key=key)
