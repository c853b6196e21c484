"""The checkers of the exercises: each says right, or what is wrong and a hint."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

import nnscratch as nn
from nnscratch.landscape import SURFACES

Array = NDArray[np.float64]
Hint = str | None  # what is wrong; None if nothing is

NOT_YET = "not yet answered"
RIGHT = "right"
RAISED = "not right: it raised {error}"
WRONG = "not right: {hint}"


class NotAnswered(Exception):
    """The exercise is as it was."""


def checker(examine: Callable[..., Hint]) -> Callable[..., None]:
    """From a function that finds what is wrong with an answer to one that tells it."""

    @functools.wraps(examine)
    def check(answer: Any, *known: Any) -> None:
        try:
            if answer is None:
                raise NotAnswered
            hint = examine(answer, *known)
        except NotAnswered:
            print(said(NOT_YET))
        except Exception as error:  # whatever the answer may raise
            print(said(RAISED).format(error=f"{type(error).__name__}: {error}"))
        else:
            print(said(RIGHT) if hint is None else said(WRONG).format(hint=said(hint)))

    return check


def close(a: Any, b: Any, digits: int = 3) -> bool:
    """Whether both are the same numbers, in the same shape, to so many digits."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return a.shape == b.shape and np.allclose(a, b, rtol=0.6 * 10.0 ** (1 - digits), atol=1e-12)


def returned(value: Any) -> Any:
    """What a function of the student gave back."""
    if value is None:
        raise NotAnswered
    return value


# --- 01: forward and backward ---------------------------------------------------------------------


@checker
def check_output_delta(answer: Any, p: Array, y: Array) -> Hint:
    """dz2 = p - y."""
    given = np.ravel(answer).astype(float)
    if close(given, (p - y).ravel()):
        return None
    if given.shape != (p.size,):
        return f"that is {given.size} numbers, and there is one for each of {p.size} classes"
    if close(given, (y - p).ravel()):
        return "the sign: a probability that is too large has a positive derivative"
    if close(given, p.ravel()):
        return "these are the probabilities; what is subtracted for the true class?"
    if close(given, (p - y[:, ::-1]).ravel()):
        return "that is still the answer for class 0: which of the two numbers is above the truth?"
    return "take p from above, it does not change; dz2 = p - y with the new y"


@checker
def check_tanh(backward: Callable[[Array, Array], Any]) -> Hint:
    """dz = da (1 - a^2)."""
    z, da = np.linspace(-2, 2, 9), np.linspace(0.5, -1.5, 9)
    a = np.tanh(z)
    given = np.asarray(returned(backward(da.copy(), a.copy())), float)
    if given.shape != z.shape:
        return f"dz has a number for each unit, shape {z.shape}, and this has {given.shape}"
    true = nn.numerical_gradient(lambda z: float(da @ np.tanh(z)), z)
    if close(given, true, digits=6):
        return None
    if close(given, da * a * (1 - a)):
        return "that is the derivative of the sigmoid; the one of tanh stands above"
    if close(given, 1 - a * a):
        return "that is da/dz alone; the chain rule multiplies it with what came from above, da"
    if close(given, da * (1 - np.tanh(a) ** 2)):
        return "a is tanh(z) already; no second tanh"
    if close(given, da * (1 - a)):
        return "the square is missing"
    return "compare with nn.numerical_gradient; dz = da times da/dz, and da/dz = 1 - a^2"


# --- 02: one optimizer ----------------------------------------------------------------------------


@checker
def check_first_step(answer: Any) -> Hint:
    """lr, whatever the gradient."""
    given = abs(float(answer))
    for name, hint in (
        ("adam", None),
        ("sgd", "that is lr times the gradient, the step of SGD; Adam divides by its size"),
        ("adam_uncorrected", "that is the step without correction: m_hat is g, and v_hat is g^2"),
    ):
        w = np.zeros(1)
        nn.OPTIMIZERS[name](lr=1e-3).update(w, np.array([1000.0]), {})
        if close(given, abs(w[0]), digits=2):
            return hint
    return "write m_hat and v_hat for t = 1, and divide: m_hat / sqrt(v_hat) = g / |g|"


@checker
def check_corrected_mean(corrected_mean: Callable[[list[float], float], Any]) -> Hint:
    """m / (1 - beta1^t)."""
    gradients, beta1 = [0.5, 0.1, -0.2, 0.4], 0.8
    given = float(returned(corrected_mean(list(gradients), beta1)))
    m, t = 0.0, len(gradients)
    for g in gradients:
        m = beta1 * m + (1 - beta1) * g
    if close(given, m / (1 - beta1**t), digits=6):
        return None
    if close(given, m, digits=6):
        return "that is m, not yet corrected: divide by 1 - beta1^t"
    if close(given, m / (1 - beta1), digits=6):
        return "divide by 1 - beta1^t and not by 1 - beta1: t is the number of gradients"
    if close(given, m / (1 - beta1 ** (t - 1)), digits=6):
        return "t counts from 1: after the first gradient the correction is 1 - beta1"
    if close(given, m * beta1 / (1 - beta1) / (1 - beta1**t), digits=6):
        return "the new gradient counts 1 - beta1, and not beta1"
    if close(given, m / (1 - beta1) / (1 - beta1**t), digits=6):
        return "the new gradient counts 1 - beta1, and not 1"
    return "m = beta1 m + (1 - beta1) g for each gradient, from m = 0; at the end one division"


# --- 03: surfaces and troubles --------------------------------------------------------------------


@checker
def check_best_rate(answer: Any) -> Hint:
    """2 / (a + b)."""
    given = float(answer)
    if close(given, 2 / 2.02):
        return None
    if close(given, 1.0):
        return "that is the limit of the steep side: there the walk swings for ever. A bit less"
    if close(given, 0.5):
        return "that settles the steep side in one step, but along the valley 0.99 is left of 1"
    if given > 1:
        return "across the valley a step now multiplies by less than -1: the walk diverges"
    return "at the best rate both factors are of the same size: 1 - 0.02 lr = -(1 - 2 lr)"


@checker
def check_saddle_gradient(gradient: Callable[..., Any]) -> Hint:
    """(x, y^3 - y), where x and y may be arrays."""
    saddle = SURFACES["saddle"]()
    x, y = np.array([0.5, -1.5, 2.0]), np.array([0.3, -0.7, 1.2])
    given = returned(gradient(x.copy(), y.copy()))
    if not isinstance(given, tuple | list) or len(given) != 2:
        return "give back two values, df/dx and df/dy"
    right = saddle.gradient(x, y)
    if close(given[0], right[0], digits=6) and close(given[1], right[1], digits=6):
        return None
    if close(given[0], right[1], digits=6) and close(given[1], right[0], digits=6):
        return "first df/dx, then df/dy"
    if not close(given[0], right[0], digits=6):
        return "df/dx: only the first term has an x"
    if close(given[1], y + y**3, digits=6):
        return "the sign of the second term: it falls away from the axis"
    if close(given[1], -y, digits=6):
        return "the last term is missing in df/dy; without it the walk never ends"
    return "df/dy: the derivative of y^4 / 4 is y^3"


# --- 04: compare fairly ---------------------------------------------------------------------------


@checker
def check_paired_interval(paired_interval: Callable[[Array, Array], Any]) -> Hint:
    """mean +- t sd / sqrt(n) of the differences."""
    a = np.array([96.8, 97.3, 97.0, 97.6, 96.9])
    b = a + np.array([0.3, 0.1, 0.4, 0.2, 0.3])
    given = returned(paired_interval(a.copy(), b.copy()))
    if np.shape(given) != (2,):
        return "give back two numbers: return low, high"
    n, d, t = len(a), b - a, stats.t.ppf(0.975, len(a) - 1)

    def around(half: float) -> tuple[float, float]:
        return d.mean() - half, d.mean() + half

    sd = d.std(ddof=1)
    if close(given, around(t * sd / np.sqrt(n)), digits=4):
        return None
    if close(given, [-end for end in around(-t * sd / np.sqrt(n))], digits=4):
        return "the sign: b - a, so that a positive number says that b is better"
    if close(given, around(t * sd), digits=4):
        return "that is where one difference lies; their mean is surer, by the root of n"
    if close(given, around(stats.norm.ppf(0.975) * sd / np.sqrt(n)), digits=4):
        return "1.96 is for many seeds; for a few, take Student's t with n - 1"
    if close(given, around(t * d.std() / np.sqrt(n)), digits=4):
        return "np.std divides by n; the spread of a sample needs n - 1: ddof=1"
    if close(given, around(t * np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / n)), digits=4):
        return "that forgets the pairs: take the spread of the differences b - a"
    return "d = b - a; its mean, minus and plus t times its standard deviation over the root of n"


@checker
def check_enough_seeds(answer: Any) -> Hint:
    """The smallest n with 7 * 2^(1 - n) < 0.05."""
    n = float(answer)
    if n != int(n):
        return "seeds come whole"
    if 7 * 2.0 ** (1 - n) < 0.05 <= 7 * 2.0 ** (2 - n):
        return None
    if 2.0 ** (1 - n) < 0.05 <= 2.0 ** (2 - n):
        return "that is enough for one comparison; here the smallest of seven counts seven times"
    if 7 * 2.0 ** (1 - n) >= 0.05:
        return "too few: 7 * 2^(1 - n) is still 0.05 or more"
    return "that suffices, but fewer do as well"


# --- 05: batch size and flat minima ---------------------------------------------------------------


@checker
def check_largest_rate(answer: Any) -> Hint:
    """2 / lambda."""
    given = float(answer)
    if close(given, 2 / 50):
        return None
    if close(given, 1 / 50):
        return "with 1 / lambda it is there in one step; a longer one still comes closer. How long?"
    if close(given, 50) or close(given, 100):
        return "the sharper, the smaller the rate: lambda is in the denominator"
    return "the distance shrinks while |1 - lr * lambda| < 1: solve it for lr"


@checker
def check_largest_eigenvalue(largest_eigenvalue: Callable[..., Any]) -> Hint:
    """Power iteration."""
    values = np.array([9.0, 5.0, 2.0, 1.0, 0.1])
    Q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))
    H = Q * values @ Q.T
    with np.errstate(all="ignore"):  # what overflows is found by its result
        given = np.asarray(returned(largest_eigenvalue(lambda v: H @ v, 5)), float)
    if given.shape != ():
        return f"give back a number, v @ H v; this has shape {given.shape}"
    if close(given, 9.0):
        return None
    if not np.isfinite(given) or given > 1e6:
        return "the vector grows with each product: divide it by its length, np.linalg.norm"
    if close(given, 81.0):
        return "that is |H v|^2; v @ product(v) with v of length 1 is the eigenvalue"
    if close(given, 1.0):
        return "that is the length of v; the eigenvalue is v @ product(v)"
    return f"the largest eigenvalue is 9 here, and this is {float(given):.4g}: more products?"


# --- 06: your own optimizer -----------------------------------------------------------------------


@checker
def check_adagrad(rule: Callable[..., Any]) -> Hint:
    """The squares are summed."""
    numbers = {"lr": 0.1, "eps": 1e-10, "eps_root": 0.0, "weight_decay": 0.0}
    new = returned(rule(1.0, 2.0, 5.0, **numbers))
    if not isinstance(new, tuple) or len(new) != 2:
        return "a rule returns the new w and the new cache: return w, cache"
    w, cache = map(float, new)
    if close(w, 9.0) and not close(cache, 9.0):
        return "first w, then cache: return w, cache"
    if close(cache, 4.0):
        return "the cache forgets: it held 5, the gradient was 2, and now it holds 4"
    if not close(cache, 9.0):
        return "the cache held 5, and the gradient was 2: its square is to be added"
    if close(w, 1.0 - 0.1 * 2.0 / 9.0):
        return "the root of the cache is missing"
    if close(w, 1.0 - 0.1 * 2.0 / np.sqrt(5.0)):
        return "divide by the root of the new cache, not of the old one"
    AdaGrad = nn.OPTIMIZERS["adagrad"]
    nn.check_optimizer(type("Yours", (AdaGrad,), {"name": "adagrad", "rule": staticmethod(rule)}))
    return None


@checker
def check_torch_momentum(cls: type[nn.Elementwise]) -> Hint:
    """heavy_ball, also where lr changes."""
    returned(cls.rule(1.0, 2.0, 5.0, lr=0.1, momentum=0.9))
    nn.check_optimizer(cls)

    def walk(cls: type[nn.Optimizer], rates: tuple[float, ...]) -> Array:
        w, state = np.array([1.0]), nn.State()
        for lr in rates:
            cls(lr=lr, momentum=0.9).update(w, np.array([1.0]), state)
        return w

    ours, inside = nn.OPTIMIZERS["heavy_ball"], nn.OPTIMIZERS["momentum"]
    changing = (0.1, 0.1, 0.02)
    if close(walk(cls, changing), walk(ours, changing), digits=6):
        return None
    if close(walk(cls, changing), walk(inside, changing), digits=6):
        return "that is the momentum of the lecture, with lr inside the velocity; move it outside"
    if close(walk(cls, (0.1,)), walk(ours, (0.1,)) * 0.1 + 0.9, digits=6):
        return "dw counts fully in b, not 1 - momentum: b is a sum and no mean"
    return "b = momentum * b + dw, then w = w - lr * b, with the new b"


# --- in which language ----------------------------------------------------------------------------

KOREAN = {  # the sentences of 02 and 06
    NOT_YET: "아직 답하지 않았다",
    RIGHT: "맞다",
    RAISED: "틀렸다: 오류가 났다. {error}",
    WRONG: "틀렸다: {hint}",
    "that is lr times the gradient, the step of SGD; Adam divides by its size": (
        "그것은 lr에 기울기를 곱한 SGD의 보폭이다. Adam은 기울기의 크기로 나눈다"
    ),
    "that is the step without correction: m_hat is g, and v_hat is g^2": (
        "그것은 보정하지 않은 보폭이다. 보정하면 m_hat은 g, v_hat은 g^2이다"
    ),
    "write m_hat and v_hat for t = 1, and divide: m_hat / sqrt(v_hat) = g / |g|": (
        "t = 1일 때의 m_hat과 v_hat을 쓰고 나누어 보라. m_hat / sqrt(v_hat) = g / |g|"
    ),
    "that is m, not yet corrected: divide by 1 - beta1^t": (
        "그것은 아직 보정하지 않은 m이다. 1 - beta1^t로 나누라"
    ),
    "divide by 1 - beta1^t and not by 1 - beta1: t is the number of gradients": (
        "1 - beta1이 아니라 1 - beta1^t로 나눈다. t는 기울기의 개수이다"
    ),
    "t counts from 1: after the first gradient the correction is 1 - beta1": (
        "t는 1부터 센다. 첫 기울기 뒤의 보정은 1 - beta1이다"
    ),
    "the new gradient counts 1 - beta1, and not beta1": (
        "새 기울기의 비중은 beta1이 아니라 1 - beta1이다"
    ),
    "the new gradient counts 1 - beta1, and not 1": ("새 기울기의 비중은 1이 아니라 1 - beta1이다"),
    "m = beta1 m + (1 - beta1) g for each gradient, from m = 0; at the end one division": (
        "m = 0에서 시작하여 기울기마다 m = beta1 m + (1 - beta1) g이고, 끝에 한 번 나눈다"
    ),
    "a rule returns the new w and the new cache: return w, cache": (
        "rule은 새 w와 새 cache를 돌려준다: return w, cache"
    ),
    "first w, then cache: return w, cache": "w가 먼저, cache가 다음이다: return w, cache",
    "the cache forgets: it held 5, the gradient was 2, and now it holds 4": (
        "cache가 지난 값을 잊었다. 5였고 기울기가 2였는데, 이제 4이다"
    ),
    "the cache held 5, and the gradient was 2: its square is to be added": (
        "cache는 5였고 기울기는 2였다. 기울기의 제곱을 더해야 한다"
    ),
    "the root of the cache is missing": "cache의 제곱근이 빠졌다",
    "divide by the root of the new cache, not of the old one": (
        "지난 cache가 아니라 새 cache의 제곱근으로 나눈다"
    ),
    "that is the momentum of the lecture, with lr inside the velocity; move it outside": (
        "그것은 lr이 속도 안에 있는 강의의 모멘텀이다. lr을 밖으로 옮기라"
    ),
    "dw counts fully in b, not 1 - momentum: b is a sum and no mean": (
        "b는 평균이 아니라 합이므로, dw의 비중은 1 - momentum이 아니라 1이다"
    ),
    "b = momentum * b + dw, then w = w - lr * b, with the new b": (
        "b = momentum * b + dw이고, 다음으로 새 b를 써서 w = w - lr * b이다"
    ),
}
_language: dict[str, str] = {}


def speak(language: str) -> None:
    """Say what follows in "English" or in Korean, "한국어"."""
    _language.clear()
    if language == "한국어":
        _language.update(KOREAN)


def said(sentence: str) -> str:
    """The sentence in the language of the notebook."""
    return _language.get(sentence, sentence)
