"""Record networks of PyTorch's and what they answer, as a check that needs no PyTorch.

`python record.py` rewrites torch.safetensors and batch_norm.safetensors, which hold the states of
`network` and `normalized`, and beside each a JSON file with the version, inputs x and the
probabilities that the network has for them.
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


def normalized() -> Any:
    """Dropout, and batch normalization behind linear layers with and without a bias."""
    import torch

    made = torch.nn.Sequential(
        torch.nn.Dropout(0.2),
        torch.nn.Linear(4, 5),
        torch.nn.BatchNorm1d(5),
        torch.nn.Tanh(),
        torch.nn.Dropout(0.5),
        torch.nn.Linear(5, 3, bias=False),
        torch.nn.BatchNorm1d(3),
        torch.nn.Tanh(),
        torch.nn.Linear(3, 2),
    )
    generator = torch.Generator().manual_seed(0)
    for weights in made.parameters():
        torch.nn.init.normal_(weights, generator=generator)
    for layer in made:
        if isinstance(layer, torch.nn.BatchNorm1d):
            layer.running_mean.normal_(generator=generator)
            layer.running_var.uniform_(0.2, 3, generator=generator)
            layer.num_batches_tracked.fill_(7)
    return made.eval()


NETWORKS = {"torch": network, "batch_norm": normalized}


def main() -> None:
    import safetensors.torch
    import torch

    x = torch.randn(8, SIZES[0], generator=torch.Generator().manual_seed(1))
    for name, make in NETWORKS.items():
        made = make()
        with torch.no_grad():
            probabilities = torch.softmax(made(x), dim=1)
        safetensors.torch.save_file(made.state_dict(), FOLDER / f"{name}.safetensors")
        found = {
            "torch": torch.__version__,
            "x": x.tolist(),
            "probabilities": probabilities.tolist(),
        }
        text = json.dumps(found, indent=1) + "\n"
        (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
