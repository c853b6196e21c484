"""Record a network of PyTorch's and what it answers, as a check that needs no PyTorch.

`python record.py` rewrites torch.safetensors, which holds the state of `network`, and torch.json,
which holds the version, inputs x and the probabilities that `network` has for them.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SIZES = [4, 3, 3, 3, 3, 3, 2]  # six layers: "10.weight" follows "8.weight"


def network() -> Any:
    """Linear layers with tanh between them, and weights large enough that each layer matters."""
    import torch

    layers: list[Any] = []
    for inputs, outputs in pairwise(SIZES):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.Tanh()]
    made = torch.nn.Sequential(*layers[:-1])
    generator = torch.Generator().manual_seed(0)
    for weights in made.parameters():
        torch.nn.init.normal_(weights, generator=generator)
    return made


def main() -> None:
    import safetensors.torch
    import torch

    made = network()
    x = torch.randn(8, SIZES[0], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        probabilities = torch.softmax(made(x), dim=1)
    safetensors.torch.save_file(made.state_dict(), FOLDER / "torch.safetensors")
    found = {
        "torch": torch.__version__,
        "x": x.tolist(),
        "probabilities": probabilities.tolist(),
    }
    (FOLDER / "torch.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
