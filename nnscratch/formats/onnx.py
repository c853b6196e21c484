"""A network as an ONNX graph, for onnxruntime and whatever else reads it; written, not read.

From "x", shape (n, inputs), the numbers as the network sees them (pixels already divided), to
"probabilities", shape (n, outputs), which are what `predict_proba` gives. Opset 13 in IR version
7: tried with onnxruntime 1.6 (December 2020) to 1.32, float64 from 1.18 on. Batch normalization is
in the graph as part of the weights (see `folding`), and what only training needs, such as dropout,
is not.

Source: the operators at onnx.ai/onnx/operators. The texts below are in ONNX's own syntax.
"""

import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..activations import (
    ELU,
    GELU,
    SELU,
    Activation,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from ..environment import version
from ..errors import UsageError, missing
from ..hyper import values
from ..losses import Loss, MeanSquaredError, SigmoidCrossEntropy, SoftmaxCrossEntropy
from ..model import MLP
from . import native
from .folding import folded

# From z to a: a letter stands for an array of the layer, a word for one of NUMBERS or a
# hyper-parameter.
FLOAT32: dict[type[Activation], str] = {
    Identity: "a = Identity (z)",
    Sigmoid: "a = Sigmoid (z)",
    Tanh: "a = Tanh (z)",
    ReLU: "a = Relu (z)",
    LeakyReLU: "a = LeakyRelu <alpha = {slope}> (z)",
    ELU: "a = Elu <alpha = {alpha}> (z)",
    SELU: "a = Selu (z)",
    Softplus: "a = Softplus (z)",
    SiLU: "s = Sigmoid (z) a = Mul (z, s)",
    GELU: "t = Mul (z, sqrt_half) e = Erf (t) d = Add (e, one) p = Mul (d, half) a = Mul (z, p)",
}
# The attributes above are single precision whatever the network is; Softplus in float64 overflows
# beyond 709, and of SiLU onnxruntime 1.19 makes an operator that is float32 alone. So is Erf, still
# in 1.32, and with it GELU.
BELOW_0 = "p = Relu (z) n = Sub (z, p) e = Exp (n) d = Sub (e, one)"  # exp(min(z, 0)) - 1
FLOAT64 = {activation: text for activation, text in FLOAT32.items() if activation is not GELU} | {
    LeakyReLU: "n = Mul (z, slope) a = Max (z, n)",
    ELU: f"{BELOW_0} m = Mul (d, alpha) a = Add (p, m)",
    SELU: f"{BELOW_0} m = Mul (d, selu_alpha) s = Add (p, m) a = Mul (s, selu_scale)",
    Softplus: "p = Relu (z) m = Abs (z) n = Neg (m) e = Exp (n) d = Add (e, one) l = Log (d) "
    "a = Add (p, l)",
    SiLU: "n = Neg (z) e = Exp (n) d = Add (e, one) a = Div (z, d)",
}
NODES = {"float32": FLOAT32, "float64": FLOAT64}
NUMBERS = {
    "one": 1.0,
    "half": 0.5,
    "sqrt_half": math.sqrt(0.5),
    "selu_alpha": SELU._ALPHA,
    "selu_scale": SELU._SCALE,
}
OUTPUTS: dict[type[Loss], str] = {
    SoftmaxCrossEntropy: "Softmax",
    SigmoidCrossEntropy: "Sigmoid",
    MeanSquaredError: "Sigmoid",
}
TYPES = {"float32": "float", "float64": "double"}
LARGEST = 2**31 - 2**20  # bytes of weights: protobuf ends at 2 GB, and wants some for the rest


def to_bytes(model: MLP) -> bytes:
    """The content of the file: the graph, the weights by their names, and the description.

    That is JSON in the metadata under "nnscratch", and says what was trained. Raises UsageError
    for an activation or a loss of one's own, for GELU in float64, for more than 2 GB, and without
    the package onnx.
    """
    library = _library()
    if model.w.nbytes > LARGEST:
        what = f"the weights have {model.w.nbytes / 1e9:.1f} GB, and ONNX allows 2"
        raise UsageError(what, "write .npz or .safetensors")
    plain = folded(model)
    text = _graph(plain)
    found = library.parser.parse_model(f'<ir_version: 7, opset_import: ["": 13]> {text}')
    arrays = {parameter.name: parameter.w for parameter in plain.parameters} | {
        name: np.asarray(number, model.dtype)
        for name, number in (NUMBERS | values(model.activation)).items()
        if f", {name})" in text
    }
    for name, array in arrays.items():
        found.graph.initializer.append(library.numpy_helper.from_array(array, name))
    found.producer_name, found.producer_version = "nnscratch", version("nnscratch") or ""
    found.doc_string = (
        f"{model!r}: from x, as the network sees it, to the probability of each class"
    )
    library.helper.set_model_props(found, {"nnscratch": json.dumps(native.description(model))})
    content: bytes = found.SerializeToString()
    return content


def read(path: Path) -> NoReturn:
    """UsageError: a graph may be anything."""
    what = f"{path} is ONNX, which nnscratch writes and does not read"
    raise UsageError(what, "give a file .npz or .safetensors of that network, or its run folder")


def _library() -> Any:
    try:
        import onnx.helper
        import onnx.numpy_helper
        import onnx.parser
    except ImportError:
        raise missing("onnx") from None
    return onnx


def _graph(model: MLP) -> str:
    """The graph in ONNX's syntax: x -> z1 -> a1 -> z2 -> ... -> probabilities."""
    nodes = NODES[model.dtype.name].get(type(model.activation))
    output = OUTPUTS.get(type(model.loss))
    if nodes is None:
        names = {dtype: ", ".join(cls.name for cls in table) for dtype, table in NODES.items()}
        raise UsageError(
            f"onnxruntime knows no activation {model.activation.name!r:.80} of {model.dtype}",
            "; ".join(f"in {dtype} it knows {known}" for dtype, known in names.items()),
        )
    if output is None:
        what = f"the loss {model.loss.name!r:.80} has an output that ONNX does not know"
        raise UsageError(what, f"known are those of {', '.join(loss.name for loss in OUTPUTS)}")
    lines, before, last = [], "x", len(model.sizes) - 1
    for k in range(1, last + 1):
        lines.append(f"z{k} = Gemm ({before}, W{k}{f', b{k}' if model.bias else ''})")
        if k < last:
            lines.append(
                re.sub(r"\b[a-z]\b", rf"\g<0>{k}", nodes).format(**values(model.activation))
            )
        before = f"a{k}"
    lines.append(f"probabilities = {output} (z{last})")
    real, inputs, outputs = TYPES[model.dtype.name], model.sizes[0], model.sizes[-1]
    head = f"mlp ({real}[n, {inputs}] x) => ({real}[n, {outputs}] probabilities)"
    return "\n".join([head, "{", *lines, "}"])
