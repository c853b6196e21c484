"""Slow scalar twins of eleven optimizers: an oracle written from the papers.

Every function below runs one method with plain Python floats (IEEE double precision), one
weight at a time, one operation at a time.  Nothing here is vectorised, nothing is updated in
place behind an alias, and nothing is shared with a fast implementation: NumPy only carries
vectors in and out.  The code is meant to be compared, line by line, with the paper named in
each docstring.

Common to all twins
-------------------
``gradient(t, point)``
    The gradient at ``point`` (1-D float64) for update number ``t`` = 0, 1, 2, ...  It is called
    exactly once per update.  ``point`` is a fresh array, so writing to it is harmless.
``w0``, ``lrs``
    The start, and one learning rate per update; there are ``len(lrs)`` updates.
``weight_decay``
    Coupled L2, as in PyTorch: before anything else g becomes g + weight_decay * (the point where
    the gradient was taken).  This is the gradient of the loss plus weight_decay/2 * |w|^2, so it
    passes through momentum and through the adaptive scaling (it is not AdamW's decoupled decay).
result
    Array of shape ``(len(lrs), len(w0))``: the parameter estimate after each update.

Formulas use g for the gradient with the decay already added, w for a weight, and lr for the
learning rate of the current update.  Papers count updates from 1, so the ``step`` in a bias
correction is t + 1.  All accumulators start at zero.  Keyword defaults are PyTorch's where
PyTorch has the method (momentum excepted: 0.9 here, 0 there).

``eps`` is added outside a square root and ``eps_root`` inside it, except in ``adadelta``, whose
single ``eps`` is inside both roots.  With both zero, a weight whose accumulator is still zero is
0/0: Python raises ZeroDivisionError here, where NumPy would give nan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Gradient = Callable[[int, FloatArray], FloatArray]


def _start(w0: FloatArray) -> list[float]:
    """Copy the starting point into a list of Python floats."""
    if np.ndim(w0) != 1:
        raise ValueError(f"w0 must be 1-D, got {np.ndim(w0)} dimensions")
    return [float(x) for x in w0]


def _gradient_at(
    gradient: Gradient, t: int, point: list[float], weight_decay: float
) -> list[float]:
    """Take the gradient at ``point`` and add the coupled L2 term of that same point."""
    raw = gradient(t, np.array(point, dtype=np.float64))
    if np.shape(raw) != (len(point),):
        raise ValueError(f"gradient has shape {np.shape(raw)}, expected {(len(point),)}")
    g = []
    for i in range(len(point)):
        g_i = float(raw[i])
        if weight_decay != 0.0:
            g_i = g_i + weight_decay * point[i]
        g.append(g_i)
    return g


def _history(rows: list[list[float]], size: int) -> FloatArray:
    """Stack the recorded points; zero updates give an array of shape (0, size)."""
    return np.array(rows, dtype=np.float64).reshape(len(rows), size)


def sgd(
    gradient: Gradient,
    w0: FloatArray,
    lrs: Sequence[float],
    *,
    weight_decay: float = 0.0,
) -> FloatArray:
    """Gradient descent with the gradient it is given (stochastic or not).

        w <- w - lr g

    Source: H. Robbins and S. Monro, "A Stochastic Approximation Method", Annals of Mathematical
    Statistics 22(3), 1951, pp. 400-407 (there: the root of a regression function).
    """
    w = _start(w0)
    rows = []
    for t in range(len(lrs)):
        lr = float(lrs[t])
        g = _gradient_at(gradient, t, w, weight_decay)
        for i in range(len(w)):
            w[i] = w[i] - lr * g[i]
        rows.append(list(w))
    return _history(rows, len(w))


def momentum(
    gradient: Gradient,
    w0: FloatArray,
    lrs: Sequence[float],
    *,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
) -> FloatArray:
    """Classical momentum, velocity form: the learning rate goes into the velocity.

        v <- mu v - lr g
        w <- w + v

    A gradient keeps the learning rate of the update that saw it, so a drop of lr acts gradually.
    With constant lr this is ``heavy_ball`` (v = -lr b); once lr changes the two differ.

    Source: I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and
    momentum in deep learning", ICML 2013, equations (1) and (2).  The idea is B. T. Polyak's
    (1964), see ``heavy_ball``.
    """
    mu = momentum
    w = _start(w0)
    v = [0.0] * len(w)
    rows = []
    for t in range(len(lrs)):
        lr = float(lrs[t])
        g = _gradient_at(gradient, t, w, weight_decay)
        for i in range(len(w)):
            v[i] = mu * v[i] - lr * g[i]
            w[i] = w[i] + v[i]
        rows.append(list(w))
    return _history(rows, len(w))


def heavy_ball(
    gradient: Gradient,
    w0: FloatArray,
    lrs: Sequence[float],
    *,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
) -> FloatArray:
    """Classical momentum, sum form: the learning rate stays outside the buffer.

        b <- mu b + g
        w <- w - lr b

    The current lr multiplies all past gradients at once, so a drop of lr acts immediately.
    Equal to ``momentum`` while lr is constant.

    Source: B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR
    Computational Mathematics and Mathematical Physics 4(5), 1964, pp. 1-17, which has two constant
    coefficients (w_{k+1} = w_k - alpha g_k + beta (w_k - w_{k-1})).  The placement of a changing lr
    is that of PyTorch's ``torch.optim.SGD`` (momentum > 0, dampening 0, nesterov False); its buffer
    starts at the first g, the same as starting at zero.
    """
    mu = momentum
    w = _start(w0)
    b = [0.0] * len(w)
    rows = []
    for t in range(len(lrs)):
        lr = float(lrs[t])
        g = _gradient_at(gradient, t, w, weight_decay)
        for i in range(len(w)):
            b[i] = mu * b[i] + g[i]
            w[i] = w[i] - lr * b[i]
        rows.append(list(w))
    return _history(rows, len(w))


def nesterov(
    gradient: Gradient,
    w0: FloatArray,
    lrs: Sequence[float],
    *,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
) -> FloatArray:
    """Nesterov momentum with the look-ahead point stored as the weight.

        v_prev <- v
        v      <- mu v - lr g          (g is taken at the stored w)
        w      <- w - mu v_prev + (1 + mu) v

    It is ``nesterov_lookahead`` after the substitution w = theta + mu v: the returned w is the
    look-ahead point, and theta = w - mu v.  Exact for any sequence of lr, since lr is inside v.
    PyTorch's ``nesterov=True`` (w <- w - lr (g + mu b), b as in ``heavy_ball``) agrees with it
    only while lr is constant.

    Source: the rewriting in Stanford's CS231n notes, "Neural Networks 3: Parameter updates"
    (Karpathy et al.), of Sutskever et al., ICML 2013, equations (3) and (4); also Y. Bengio,
    N. Boulanger-Lewandowski, R. Pascanu, "Advances in optimizing recurrent networks",
    arXiv:1212.0901 (2012).
    """
    mu = momentum
    w = _start(w0)
    v = [0.0] * len(w)
    rows = []
    for t in range(len(lrs)):
        lr = float(lrs[t])
        g = _gradient_at(gradient, t, w, weight_decay)
        for i in range(len(w)):
            v_prev = v[i]
            v[i] = mu * v_prev - lr * g[i]
            w[i] = w[i] - mu * v_prev + (1.0 + mu) * v[i]
        rows.append(list(w))
    return _history(rows, len(w))


def nesterov_lookahead(
    gradient: Gradient,
    w0: FloatArray,
    lrs: Sequence[float],
    *,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
) -> FloatArray:
    """Nesterov momentum as published: the gradient is taken ahead of the weight.

        g     <- gradient at theta + mu v      (weight decay: of this point too)
        v     <- mu v - lr g
        theta <- theta + v

    Returns theta, not the look-ahead point.  See ``nesterov`` for the same sequence in the other
    variable.

    Source: Sutskever et al., ICML 2013, equations (3) and (4), recasting Y. Nesterov, "A method
    of solving a convex programming problem with convergence rate O(1/k^2)", Soviet Mathematics
    Doklady 27(2), 1983, pp. 372-376 (with a constant mu in place of Nesterov's sequence).
    """
    mu = momentum
    theta = _start(w0)
    v = [0.0] * len(theta)
    rows = []
    for t in range(len(lrs)):
        lr = float(lrs[t])
        ahead = []
        for i in range(len(theta)):
            ahead.append(theta[i] + mu * v[i])
        g = _gradient_at(gradient, t, ahead, weight_decay)
        for i in range(len(theta)):
            v[i] = mu * v[i] - lr * g[i]
            theta[i] = theta[i] + v[i]
        rows.append(list(theta))
    return _history(rows, len(theta))


def adagrad(
    gradient: Gradient,
    w0: FloatArray,
    lrs: Sequence[float],
    *,
    eps: float = 1e-10,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
) -> FloatArray:
    """AdaGrad with a diagonal matrix: lr divided by the root of the sum of squares.

        s <- s + g^2                   (s starts at 0)
        w <- w - lr g / (sqrt(s + eps_root) + eps)

    ``eps`` is the paper's delta (H = delta I + diag(s), s already a root there), hence outside.
    Keras and optax put theirs inside the root (``eps_root`` here) and start s at 0.1.

    Source: J. Duchi, E. Hazan, Y. Singer, "Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization", JMLR 12, 2011, pp. 2121-2159, Figure 1 (diagonal version), with no
    regulariser and no constraint set.
    """
    w = _start(w0)
    s = [0.0] * len(w)
    rows = []
    for t in range(len(lrs)):
        lr = float(lrs[t])
        g = _gradient_at(gradient, t, w, weight_decay)
        for i in range(len(w)):
            s[i] = s[i] + g[i] * g[i]
            w[i] = w[i] - lr * g[i] / (math.sqrt(s[i] + eps_root) + eps)
        rows.append(list(w))
    return _history(rows, len(w))


def rmsprop(
    gradient: Gradient,
    w0: FloatArray,
    lrs: Sequence[float],
    *,
    rho: float = 0.99,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
) -> FloatArray:
    """RMSprop, plain: neither centered nor with momentum, and no bias correction.

        v <- rho v + (1 - rho) g^2     (v starts at 0)
        w <- w - lr g / (sqrt(v + eps_root) + eps)

    The slide has rho = 0.9 and no eps; 0.99 (called alpha) and eps outside the root are PyTorch's.
    Keras and optax (by default) have eps inside, which is ``eps_root`` here.

    Source: T. Tieleman and G. Hinton, "Lecture 6.5 - rmsprop: divide the gradient by a running
    average of its recent magnitude", COURSERA: Neural Networks for Machine Learning, 2012.
    """
    w = _start(w0)
    v = [0.0] * len(w)
    rows = []
    for t in range(len(lrs)):
        lr = float(lrs[t])
        g = _gradient_at(gradient, t, w, weight_decay)
        for i in range(len(w)):
            v[i] = rho * v[i] + (1.0 - rho) * g[i] * g[i]
            w[i] = w[i] - lr * g[i] / (math.sqrt(v[i] + eps_root) + eps)
        rows.append(list(w))
    return _history(rows, len(w))


def adadelta(
    gradient: Gradient,
    w0: FloatArray,
    lrs: Sequence[float],
    *,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> FloatArray:
    """AdaDelta: the running size of past steps takes the place of a learning rate.

        Eg <- rho Eg + (1 - rho) g^2
        d  <- sqrt(Ed + eps) / sqrt(Eg + eps) * g        (Ed still that of the previous update)
        Ed <- rho Ed + (1 - rho) d^2
        w  <- w - lr d

    Eg and Ed start at 0; the same ``eps`` is inside both roots, and sets the size of the first
    steps.  The paper has no lr: lr = 1 is the paper.  Ed accumulates d as it is before lr
    multiplies it, as in PyTorch.

    Source: M. D. Zeiler, "ADADELTA: An Adaptive Learning Rate Method", arXiv:1212.5701 (2012),
    Algorithm 1 with RMS[x] = sqrt(E[x^2] + eps) (its d carries the minus sign).
    """
    w = _start(w0)
    mean_g2 = [0.0] * len(w)
    mean_d2 = [0.0] * len(w)
    rows = []
    for t in range(len(lrs)):
        lr = float(lrs[t])
        g = _gradient_at(gradient, t, w, weight_decay)
        for i in range(len(w)):
            mean_g2[i] = rho * mean_g2[i] + (1.0 - rho) * g[i] * g[i]
            rms_d = math.sqrt(mean_d2[i] + eps)
            rms_g = math.sqrt(mean_g2[i] + eps)
            d = rms_d / rms_g * g[i]
            mean_d2[i] = rho * mean_d2[i] + (1.0 - rho) * d * d
            w[i] = w[i] - lr * d
        rows.append(list(w))
    return _history(rows, len(w))


def adam(
    gradient: Gradient,
    w0: FloatArray,
    lrs: Sequence[float],
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
) -> FloatArray:
    """Adam with both bias corrections.

        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        mhat = m / (1 - beta1^step)
        vhat = v / (1 - beta2^step)
        w <- w - lr mhat / (sqrt(vhat + eps_root) + eps)

    ``eps`` is added to the root of the *corrected* v (Algorithm 1, PyTorch, optax).  It is not the
    "epsilon hat" of the paper's end of section 2, which Keras uses: that one is added to the root
    of the raw v, and amounts to eps / sqrt(1 - beta2^step) here.  ``eps_root`` is optax's, added
    to the corrected v.

    Source: D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015,
    arXiv:1412.6980 (2014), Algorithm 1.
    """
    w = _start(w0)
    m = [0.0] * len(w)
    v = [0.0] * len(w)
    rows = []
    for t in range(len(lrs)):
        lr = float(lrs[t])
        step = t + 1
        g = _gradient_at(gradient, t, w, weight_decay)
        for i in range(len(w)):
            m[i] = beta1 * m[i] + (1.0 - beta1) * g[i]
            v[i] = beta2 * v[i] + (1.0 - beta2) * g[i] * g[i]
            m_hat = m[i] / (1.0 - beta1**step)
            v_hat = v[i] / (1.0 - beta2**step)
            w[i] = w[i] - lr * m_hat / (math.sqrt(v_hat + eps_root) + eps)
        rows.append(list(w))
    return _history(rows, len(w))


def adam_uncorrected(
    gradient: Gradient,
    w0: FloatArray,
    lrs: Sequence[float],
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
) -> FloatArray:
    """Adam without its bias corrections, as it is often shown in lectures.

        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        w <- w - lr m / (sqrt(v + eps_root) + eps)

    m and v start at 0 and stay too small for about 1/(1 - beta) updates.  With the default betas
    v lags more than m, so the early steps are too long: the first is
    (1 - beta1)/sqrt(1 - beta2) = 3.16 times lr.

    Source: Kingma and Ba, arXiv:1412.6980, Algorithm 1 without its two corrections (section 3
    derives them, section 6.4 runs the comparison).
    """
    w = _start(w0)
    m = [0.0] * len(w)
    v = [0.0] * len(w)
    rows = []
    for t in range(len(lrs)):
        lr = float(lrs[t])
        g = _gradient_at(gradient, t, w, weight_decay)
        for i in range(len(w)):
            m[i] = beta1 * m[i] + (1.0 - beta1) * g[i]
            v[i] = beta2 * v[i] + (1.0 - beta2) * g[i] * g[i]
            w[i] = w[i] - lr * m[i] / (math.sqrt(v[i] + eps_root) + eps)
        rows.append(list(w))
    return _history(rows, len(w))


def amsgrad(
    gradient: Gradient,
    w0: FloatArray,
    lrs: Sequence[float],
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
) -> FloatArray:
    """AMSGrad, PyTorch's variant: maximum of the raw v, then the bias correction.

        m    <- beta1 m + (1 - beta1) g
        v    <- beta2 v + (1 - beta2) g^2
        vmax <- max(vmax, v)
        w    <- w - lr [m / (1 - beta1^step)]
                    / (sqrt(vmax / (1 - beta2^step) + eps_root) + eps)

    v itself goes on without the maximum.  Three variants give different numbers:

    * paper: no bias correction at all, and no eps: w <- w - lr m / sqrt(vmax).  (It also allows
      beta1 to change with the step and projects on a feasible set.)
    * PyTorch (here), Keras: maximum over the raw v, divided by the *current* correction.  An early
      large v fades in the denominator as 1 - beta2^step grows towards 1.
    * optax: maximum over the *corrected* v / (1 - beta2^step).  The first gradient enters with full
      weight (its corrected v is g^2) and is never forgotten.

    Only the paper's and optax's denominators can never decrease; this one can.

    Source: S. J. Reddi, S. Kale, S. Kumar, "On the Convergence of Adam and Beyond", ICLR 2018,
    arXiv:1904.09237, Algorithm 2; variant of ``torch.optim.Adam(amsgrad=True)``.
    """
    w = _start(w0)
    m = [0.0] * len(w)
    v = [0.0] * len(w)
    v_max = [0.0] * len(w)
    rows = []
    for t in range(len(lrs)):
        lr = float(lrs[t])
        step = t + 1
        g = _gradient_at(gradient, t, w, weight_decay)
        for i in range(len(w)):
            m[i] = beta1 * m[i] + (1.0 - beta1) * g[i]
            v[i] = beta2 * v[i] + (1.0 - beta2) * g[i] * g[i]
            if v[i] > v_max[i]:
                v_max[i] = v[i]
            m_hat = m[i] / (1.0 - beta1**step)
            v_hat = v_max[i] / (1.0 - beta2**step)
            w[i] = w[i] - lr * m_hat / (math.sqrt(v_hat + eps_root) + eps)
        rows.append(list(w))
    return _history(rows, len(w))


TWINS: dict[str, Callable[..., FloatArray]] = {
    "sgd": sgd,
    "momentum": momentum,
    "heavy_ball": heavy_ball,
    "nesterov": nesterov,
    "nesterov_lookahead": nesterov_lookahead,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adadelta": adadelta,
    "adam": adam,
    "adam_uncorrected": adam_uncorrected,
    "amsgrad": amsgrad,
}
