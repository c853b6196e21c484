"""Record what PyTorch makes of batch normalization, weight decay and smoothed labels.

`python record.py` rewrites torch.json, so that a check of ours needs no PyTorch:

normalized   a network with a BatchNorm1d after each hidden layer and weight decay on its matrices,
             in a few steps of SGD: the loss of each batch and its gradients, what it remembers
             after each step, and the answers of the trained network
smoothed     outputs z, and cross_entropy(z, labels, label_smoothing=0.1) with its derivative
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

SIZES = [5, 4, 6, 3]
BATCHES = [8, 8, 5, 2, 8]  # two examples are the fewest
LR, DECAY, SMOOTHING = 0.2, 0.05, 0.1


def normalized() -> dict[str, Any]:
    import torch

    torch.manual_seed(0)
    layers: list[Any] = []
    for inputs, outputs in pairwise(SIZES):
        layers += [torch.nn.Linear(inputs, outputs, bias=outputs == SIZES[-1])]
        layers += [torch.nn.BatchNorm1d(outputs), torch.nn.Tanh()]
    net = torch.nn.Sequential(*layers[:-2]).double()
    norms = [layer for layer in net if isinstance(layer, torch.nn.BatchNorm1d)]
    for norm in norms:
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias)
    parameters = list(net.parameters())
    descent = torch.optim.SGD(
        [
            {"params": [p for p in parameters if p.ndim == 2], "weight_decay": DECAY},
            {"params": [p for p in parameters if p.ndim == 1]},
        ],
        lr=LR,
    )

    def flat(values: list[Any]) -> list[float]:
        """In our order and layout: W1 (inputs, outputs), gamma1, beta1, ..., W3, b3."""
        return torch.cat(
            [v.detach().permute(*range(v.ndim)[::-1]).flatten() for v in values]
        ).tolist()

    steps, start = [], flat(parameters)
    for n in BATCHES:
        x, labels = 2 + 3 * torch.randn(n, SIZES[0]).double(), torch.randint(SIZES[-1], (n,))
        descent.zero_grad()
        z = net(x)
        loss = torch.nn.functional.cross_entropy(z, labels)
        loss.backward()
        gradient = flat([p.grad for p in parameters])
        descent.step()
        steps.append(
            {
                "x": x.tolist(),
                "labels": labels.tolist(),
                "z": z.tolist(),
                "loss": loss.item(),
                "gradient": gradient,
                "w": flat(parameters),
                "statistics": flat([v for n in norms for v in (n.running_mean, n.running_var)]),
            }
        )
    with torch.no_grad():
        answers = torch.softmax(net.eval()(x), dim=1)
    return {
        "sizes": SIZES,
        "momentum": norms[0].momentum,
        "eps": norms[0].eps,
        "lr": LR,
        "decay": DECAY,
        "start": start,
        "steps": steps,
        "answers": answers.tolist(),
    }


def smoothed() -> dict[str, Any]:
    import torch

    torch.manual_seed(1)
    z = (4 * torch.randn(6, 5).double()).requires_grad_()
    labels = torch.randint(5, (6,))
    losses = torch.nn.functional.cross_entropy(
        z, labels, label_smoothing=SMOOTHING, reduction="none"
    )
    losses.sum().backward()
    found = {"z": z, "labels": labels, "losses": losses, "dz": z.grad}
    return {"smoothing": SMOOTHING} | {name: value.tolist() for name, value in found.items()}


def main() -> None:
    import torch

    found = {"torch": torch.__version__, "normalized": normalized(), "smoothed": smoothed()}
    file = Path(__file__).parent / "torch.json"
    file.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
