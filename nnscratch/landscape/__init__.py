"""Functions of two variables, where what an optimizer does can be seen.

In a notebook:

    from nnscratch.landscape import hold_race

    race = hold_race("valley", ["sgd", "momentum", "adam"])
    race.player()                   # the last line of a cell is shown; or race.figure(), race.gif()

`walk` takes one optimizer with one learning rate:

    import nnscratch as nn
    from nnscratch.landscape import SURFACES, walk

    path = walk(SURFACES["beale"](), nn.OPTIMIZERS["adam"](lr=0.3), gradients=100)
    path.points, path.losses, path.arrived
"""

from .functions import SURFACES, Surface
from .race import Budget, Path, tuned, walk
from .races import Race, hold_race

__all__ = ["SURFACES", "Budget", "Path", "Race", "Surface", "hold_race", "tuned", "walk"]
