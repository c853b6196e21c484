"""The declared search ranges of an optimizer, for the searches of scikit-learn and Optuna."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .hyper import Hyper, Search, as_part, hypers
from .nested import with_nested
from .optim import OPTIMIZERS, Optimizer, Wrapper

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Distribution:
    """Where a good value of one hyper-parameter is looked for.

    >>> lr = nn.search_space("adam")["lr"]
    >>> lr
    Distribution(lr, log [3.33e-05, 0.03])
    >>> round(lr.rvs(random_state=0), 6)
    0.001394

    Values are Python floats, or ints for a hyper-parameter that is a whole number. One outside of
    the interval of the hyper-parameter raises UsageError: its search range was written wrongly.
    Note: scikit-learn asks a distribution for `rvs` alone, and this is no distribution of SciPy's,
    which has none for "1 - log [1e-4, 1]", nor for whole numbers on a logarithmic scale.
    """

    hyper: Hyper
    search: Search

    def at(self, u: float) -> float:
        """The value below which the share u, in [0, 1), of the distribution lies."""
        value = self.search.at(u, self.hyper.default)
        return self.hyper.check(round(value) if self.hyper.kind is int else value)

    def rvs(self, size: int | None = None, random_state: Any = None) -> Any:
        """One random value, or an array of `size` of them.

        `random_state` is what scikit-learn takes: None for NumPy's global stream, a seed, or a
        RandomState.
        """
        from sklearn.utils import check_random_state  # takes 0.5 s to import

        u = check_random_state(random_state).random(size)
        return self.at(u) if size is None else np.array([self.at(x) for x in u], self.hyper.kind)

    def suggested(self, trial: "optuna.trial.BaseTrial", name: str) -> float:
        """The value that an Optuna trial suggests for a parameter of that name, on its own scale.

        Optuna knows no scale such as "1 - log [1e-2, 1]": there its parameter is "1 - name".
        """
        kind = self.hyper.kind
        scale, numbers = self.search.read(self.hyper.default)
        if scale == "one of":
            return self.hyper.check(trial.suggest_categorical(name, [kind(n) for n in numbers]))
        low, high = map(kind, numbers)
        if scale == "1 - log":
            return self.hyper.check(1 - trial.suggest_float(f"1 - {name}", low, high, log=True))
        suggest = trial.suggest_int if kind is int else trial.suggest_float
        return self.hyper.check(suggest(name, low, high, log=scale == "log"))

    def __repr__(self) -> str:
        scale, numbers = self.search.read(self.hyper.default)
        shown = ", ".join(f"{n:.3g}" for n in numbers)
        where = f"{{{shown}}}" if scale == "one of" else f"{scale} [{shown}]".strip()
        return f"Distribution({self.hyper.name}, {where})"


def search_space(optimizer: str | Optimizer) -> dict[str, Distribution]:
    """The distribution of each hyper-parameter that has a search range, by name.

    >>> nn.search_space("momentum")["lr"]
    Distribution(lr, log [0.001, 1])
    >>> space = {f"optimizer__{name}": where for name, where in nn.search_space("adam").items()}
    >>> list(space)  # for RandomizedSearchCV(nn.NNClassifier(), space)
    ['optimizer__lr', 'optimizer__beta1', 'optimizer__beta2', 'optimizer__eps']

    Those without a range, such as weight_decay, keep their values and are left out. Those of an
    optimizer inside of another one are named as scikit-learn would, base__lr. Raises UsageError
    for an unknown name.
    """
    record = as_part(Optimizer, OPTIMIZERS, optimizer)  # type: ignore[type-abstract]
    declared = hypers(type(record)).values()
    space = {hyper.name: Distribution(hyper, hyper.search) for hyper in declared if hyper.search}
    if isinstance(record, Wrapper):
        space |= {f"base__{name}": inner for name, inner in search_space(record.base).items()}
    return space


def suggest(trial: "optuna.trial.BaseTrial", optimizer: str | Optimizer) -> Optimizer:
    """The optimizer with the hyper-parameters that an Optuna trial suggests for it.

    >>> import optuna
    >>> nn.suggest(optuna.trial.FixedTrial({"sgd__lr": 0.3}), "sgd")
    SGD(lr=0.3, weight_decay=0.0)

    Optuna's parameters are named after optimizer and hyper-parameter, adam__lr, so that a study
    may choose among optimizers. A finished trial suggests what it was tried with: the best
    optimizer is nn.suggest(study.best_trial, "sgd"). Raises UsageError for an unknown name.
    Source: Akiba et al. 2019, arXiv 1907.10902.
    """
    record = as_part(Optimizer, OPTIMIZERS, optimizer)  # type: ignore[type-abstract]
    for name, where in search_space(record).items():
        value = where.suggested(trial, f"{record.full_name}__{name}")
        record = with_nested(record, name, value)
    return record
