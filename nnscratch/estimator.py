"""The network as an estimator of scikit-learn."""

from __future__ import annotations  # help() shows ArrayLike, and not what it stands for

import copy
import math
import numbers
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from . import loop, seeds
from .activations import ACTIVATIONS, Activation
from .arrays import Array, Labels
from .datasets.split import Split
from .errors import UsageError
from .hyper import Interval, as_part, checked
from .initializers import INITIALIZERS, Initializer
from .loaders import Loader, mini_batch
from .losses import LOSSES, Loss
from .model import MLP
from .nested import nested, with_nested
from .optim import OPTIMIZERS, Optimizer
from .progress import Progress, Record
from .regularization import Regularization
from .schedules import SCHEDULES, ConstantRate, Schedule
from .sklearn_callbacks import CallbackSupportMixin, with_callbacks
from .wording import progress as in_words

PARTS: dict[str, tuple[Any, Mapping[str, Any]]] = {
    "activation": (Activation, ACTIVATIONS),
    "init": (Initializer, INITIALIZERS),
    "loss": (Loss, LOSSES),
    "optimizer": (Optimizer, OPTIMIZERS),
    "schedule": (Schedule, SCHEDULES),
    "regularization": (Regularization, {"none": Regularization}),
}
COUNT = Interval("[1, inf)")


class NNClassifier(CallbackSupportMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A multilayer perceptron that scikit-learn's tools can fit, search, calibrate and store.

    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = nn.NNClassifier(hidden=(50,), tol=0.01, random_state=0)
    >>> classifier.set_params(optimizer__lr=0.01).fit(X[:1500] / 16, y[:1500]).optimizer.lr
    0.01
    >>> bool(classifier.score(X[1500:] / 16, y[1500:]) > 0.9)
    True

    From batch_size on, the parameters have names of MLPClassifier and mean what they mean there;
    hidden, activation and optimizer are its hidden_layer_sizes, activation and solver.

        hidden                units of each hidden layer; () for none. The default is the lecture's
                              network: small tables want less, such as (100,)
        activation, init, loss, optimizer, schedule
                              names of a registry, or records such as OPTIMIZERS["adam"](lr=0.01);
                              their numbers are parameters too: optimizer__lr, activation__slope
        regularization        "none", or a record such as nn.Regularization(dropout=0.5); its
                              numbers are regularization__dropout, regularization__l2, ...
        batch_norm            whether every hidden layer has batch normalization
        batch_size            examples in a batch, or all of them if they are fewer
        max_iter              epochs at most
        tol, n_iter_no_change stop after more than so many epochs without an improvement by tol, of
                              the training loss or, with early_stopping, the validation accuracy
        early_stopping        keep the weights that did best on the validation examples: those given
                              to `fit`, or else validation_fraction of the others, set aside with
                              the same share of every class
        warm_start            fit goes on with the weights it has, with a new optimizer's state
        random_state          of weights, order and validation examples; a whole number s does what
                              `--seed s` does in the train command
        verbose               print a line for each epoch
        dtype                 "float32", "float64", or None: float32 if X is, else float64

    x has shape (n, features), real numbers of any type, and is never changed; labels are whole
    numbers, strings or booleans, of shape (n,). Scale the features to about 1.

        classes_, n_features_in_, n_outputs_, n_layers_
        model_                    the nn.MLP; its weights are also coefs_, intercepts_
        n_iter_, t_               epochs, and examples seen in them, so far
        loss_curve_, loss_, best_loss_
                                  mean training loss during each epoch, the last, the best
        validation_loss_curve_, validation_scores_
                                  of the validation examples after each epoch; None without them
        best_validation_score_    with early_stopping that of the weights that were kept, else None

    From 1.9 on, scikit-learn's callbacks are called: `set_callbacks(ScoringMonitor(...))`; one that
    returns True ends the fit.

    Raises ValueError (UsageError) for a parameter or data out of range, DivergedError where the
    loss does, and warns with ConvergenceWarning if max_iter ends it.

    Unlike MLPClassifier it takes validation examples in `fit` and has the curve of their loss, and
    raises where the training diverges. Its alpha is regularization__l2 times batch_size here, and
    0 by default. For two classes there are two outputs. Ctrl-C ends a fit with KeyboardInterrupt,
    and leaves what was learned by then.
    """

    best_validation_score_: float | None

    def __init__(
        self,
        hidden: Sequence[int] | int = (1000,),
        activation: str | Activation = "sigmoid",
        init: str | Initializer = "glorot_uniform",
        loss: str | Loss = "softmax_cross_entropy",
        optimizer: str | Optimizer = "adam",
        schedule: str | Schedule = "constant",
        *,
        regularization: str | Regularization = "none",
        batch_norm: bool = False,
        batch_size: int = 128,
        max_iter: int = 200,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
        dtype: str | None = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.init = init
        self.loss = loss
        self.optimizer = optimizer
        self.schedule = schedule
        self.regularization = regularization
        self.batch_norm = batch_norm
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.dtype = dtype

    # --- parameters ------------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name; with `deep` also the numbers of the parts, as optimizer__lr."""
        parameters: dict[str, Any] = super().get_params(deep=False)
        if deep:
            for name, (base, registry) in PARTS.items():
                try:
                    inside = nested(as_part(base, registry, parameters[name]))
                except UsageError:  # told by fit
                    continue
                parameters |= {f"{name}__{inner}": value for inner, value in inside.items()}
        return parameters

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters, in whatever order: a part, then its numbers, then those inside of it."""
        super().set_params(**{k: value for k, value in parameters.items() if "__" not in k})
        for name in sorted((k for k in parameters if "__" in k), key=len):
            known = self.get_params()
            outer, _, inner = name.partition("__")
            if outer not in PARTS or name not in known:
                valid = [key for key in known if key.startswith(f"{outer}__")] or list(known)
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. "
                    f"Valid parameters are: {valid!r}."
                )
            part = as_part(*PARTS[outer], getattr(self, outer))
            setattr(self, outer, with_nested(part, inner, parameters[name]))
        return self

    # --- training --------------------------------------------------------------------------------

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
    ) -> Self:
        """Train on the examples; X_val and y_val are validation examples, if there are any."""
        max_iter = checked("max_iter", self.max_iter, int, COUNT, "give the number of epochs")
        patience = Patience(
            checked("tol", self.tol, float, Interval("[0, inf)"), "give the least improvement"),
            checked("n_iter_no_change", self.n_iter_no_change, int, COUNT, "give the epochs"),
        )
        goes_on = self.warm_start and hasattr(self, "model_")
        inputs, labels = self._examples(X, y, reset=not goes_on)
        model = self._network(inputs.dtype, goes_on)
        train, val = self._splits(inputs, labels, X_val, y_val, model.seed)
        loader = self._loader(train, model.seed)
        if not goes_on:
            self._begin(model)
        self._progress = Progress()
        best: tuple[Array, Array] | None = None  # weights and statistics
        if self.early_stopping and val is not None and goes_on:
            patience.is_best(model.evaluate(val.x, val.labels).accuracy)
            best = model.w.copy(), model.statistics.copy()
        seen = {"estimator": self, "X": train.images, "y": self.classes_[train.labels]}
        task = self._init_callback_context(max_subtasks=max_iter)
        task.call_on_fit_task_begin(**seen)
        epochs = self._epochs(loader, val, max_iter)
        try:
            for _ in range(max_iter):
                epoch = task.subcontext(task_name="epoch")
                epoch.call_on_fit_task_begin(**seen)
                record = next(epochs)
                score: Any = record.val_accuracy if self.early_stopping else -record.train_loss
                if patience.is_best(score) and self.early_stopping:
                    best = model.w.copy(), model.statistics.copy()
                stop = epoch.call_on_fit_task_end(**seen, reconstruction_attributes=self._fitted)
                if stop or patience.is_over:
                    break
            else:
                warnings.warn(
                    f"max_iter={max_iter} epochs were over before the training had converged: "
                    "raise max_iter, or the learning rate (optimizer__lr)",
                    ConvergenceWarning,
                    stacklevel=3,  # beyond the decorator
                )
        finally:  # also after Ctrl-C there is something to predict with, and to go on from
            if best is not None:
                model.w, model.statistics[...] = best
                self.best_validation_score_ = patience.best
            if best is not None or not self._progress.is_whole:
                self._progress = Progress()  # the optimizer's memory is that of other weights
        task.call_on_fit_task_end(**seen, reconstruction_attributes=self._fitted)
        return self

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Train for one epoch on these examples, with the optimizer's state of the last call.

        The first call names all `classes`, unless all of them are in y. Called k times with the
        same examples it does what one `fit` of k epochs does.
        """
        if self.early_stopping:
            what = "partial_fit cannot set validation examples aside"
            raise UsageError(what, "set early_stopping=False")
        if as_part(*PARTS["schedule"], self.schedule) != ConstantRate():
            what = "partial_fit does not know how long it will be called, and schedules want to"
            raise UsageError(what, "leave the schedule constant, without warm-up, or call fit")
        goes_on = hasattr(self, "model_")
        inputs, labels = self._examples(X, y, reset=not goes_on, classes=classes)
        model = self._network(inputs.dtype, goes_on)
        loader = self._loader(Split(inputs, labels, dtype=model.dtype.name), model.seed)
        if not goes_on:
            self._begin(model)
        optimizer = as_part(*PARTS["optimizer"], self.optimizer)
        if self._progress.optimizer not in (None, optimizer.full_name):
            self._progress = Progress()  # another optimizer begins without a memory
        self._progress.begin_again()
        for _ in self._epochs(loader, None, 1):
            pass
        return self

    def _examples(
        self, X: ArrayLike, y: ArrayLike, reset: bool, classes: ArrayLike | None = None
    ) -> tuple[Array, Labels]:
        """X in the network's dtype, y as class numbers; with `reset` y says which those are."""
        inputs, y = validate_data(self, X, y, reset=reset, dtype=self._dtypes(reset), order="C")
        check_classification_targets(y)
        if reset:
            self.classes_ = np.unique(y if classes is None else classes)
        elif classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            what = f"classes are {classes!r:.80}, and were {self.classes_!r:.80}"
            raise UsageError(what, "name the same classes in each call, or only in the first")
        return inputs, self._coded(y)

    def _coded(self, y: ArrayLike) -> Labels:
        """The labels as class numbers."""
        encoder = LabelEncoder()
        encoder.classes_ = self.classes_
        codes: Labels = encoder.transform(y)
        return codes

    def _dtypes(self, reset: bool = False) -> Any:
        """The dtypes that X may have, the first one being that for others."""
        if not reset:
            return self.model_.dtype
        if self.dtype not in (None, "float32", "float64"):
            raise UsageError(f"dtype is {self.dtype!r}", "choose float32, float64 or None")
        return self.dtype or [np.float64, np.float32]

    def _network(self, dtype: np.dtype[Any], goes_on: bool) -> MLP:
        """A new network, or the one that there is; UsageError if the parameters want another."""
        seed = self.random_state
        if not isinstance(seed, numbers.Integral):
            seed = 0 if goes_on else check_random_state(seed).randint(2**31 - 1)
        hidden: Any = self.hidden
        hidden = (hidden,) if isinstance(hidden, numbers.Integral) else hidden
        if not isinstance(hidden, Iterable):
            what = f"hidden is {hidden!r}"
            raise UsageError(what, "give the units of each hidden layer, like (300, 100), or ()")
        network = MLP(
            [self.n_features_in_, *hidden, len(self.classes_)],
            self.activation,
            self.init,
            self.loss,
            int(seed),
            batch_norm=self.batch_norm,
            regularization=as_part(*PARTS["regularization"], self.regularization),
            dtype=self.dtype or dtype,
        )
        if not goes_on:
            return network
        if network.description != self.model_.description:
            what = f"the parameters are those of {network!r}, and {self.model_!r} was fitted"
            raise UsageError(what, "set warm_start=False and call fit, to begin anew")
        return self.model_

    def _begin(self, model: MLP) -> None:
        """Nothing is learned yet."""
        self.model_ = model
        self.n_layers_, self.n_outputs_ = len(model.sizes), model.sizes[-1]
        self.n_iter_ = self.t_ = 0
        self.loss_curve_: list[float] = []
        self.validation_loss_curve_: list[float] | None = None
        self.validation_scores_: list[float] | None = None
        self.best_validation_score_ = None
        self._progress = Progress()

    def _splits(
        self,
        X: Array,
        labels: Labels,
        X_val: ArrayLike | None,
        y_val: ArrayLike | None,
        seed: int,
    ) -> tuple[Split, Split | None]:
        """The examples to train on, and those to validate with."""
        dtype = X.dtype.name
        if (X_val is None) != (y_val is None):
            raise UsageError("X_val and y_val belong together", "give both or none")
        if X_val is not None:
            inputs, y_val = validate_data(self, X_val, y_val, reset=False, dtype=X.dtype)
            return Split(X, labels, dtype=dtype), Split(inputs, self._coded(y_val), dtype=dtype)
        if not self.early_stopping:
            return Split(X, labels, dtype=dtype), None
        share = checked(
            "validation_fraction",
            self.validation_fraction,
            float,
            Interval("(0, 1)"),
            "give the share of the examples to set aside",
        )
        train, val = train_test_split(
            np.arange(len(X)),
            test_size=share,
            stratify=labels,
            random_state=np.random.RandomState(np.random.MT19937(seeds.stream(seed, seeds.SPLIT))),
        )
        return Split(X[train], labels[train], dtype=dtype), Split(X[val], labels[val], dtype=dtype)

    def _loader(self, train: Split, seed: int) -> Loader:
        size = checked("batch_size", self.batch_size, int, COUNT, "give the examples in a batch")
        return mini_batch(train, min(size, len(train)), seed)

    def _epochs(self, loader: Loader, val: Split | None, epochs: int) -> Iterator[Record]:
        """Train, and keep the curves; an epoch each time that one is asked for."""
        loader.epochs_begun = self.n_iter_  # no order comes twice
        if val is not None and self.validation_scores_ is None:
            self.validation_loss_curve_, self.validation_scores_ = [], []
        for record in loop.fit(
            self.model_,
            self.optimizer,
            loader,
            epochs,
            schedule=self.schedule,
            val=val,
            progress=self._progress,
        ):
            self.n_iter_ += 1
            self.t_ += len(loader.split)
            self.loss_curve_.append(record.train_loss)
            if val is not None:
                self.validation_loss_curve_.append(record.val_loss)  # type: ignore[union-attr, arg-type]
                self.validation_scores_.append(record.val_accuracy)  # type: ignore[union-attr, arg-type]
            if self.verbose:
                print(in_words(record, epochs), flush=True)
            yield record

    def _fitted(self) -> dict[str, Any]:
        """What a copy needs to predict as this one does now, whatever becomes of this one."""
        lists = ("loss_curve_", "validation_loss_curve_", "validation_scores_")
        return {
            "model_": copy.deepcopy(self.model_),
            "_progress": Progress(),
            **{name: copy.copy(getattr(self, name)) for name in lists},
        }

    # --- what came of it -------------------------------------------------------------------------

    @property
    def coefs_(self) -> list[Array]:
        """The weight matrices, shapes (in, out); views into the network."""
        return [p.w for p in self.model_.parameters if p.w.ndim == 2]

    @property
    def intercepts_(self) -> list[Array]:
        """The biases, shapes (out,), of the layers that have one; views into the network."""
        return [p.w for p in self.model_.parameters if re.fullmatch(r"b\d+", p.name)]

    @property
    def loss_(self) -> float:
        """The mean training loss during the last epoch."""
        return self.loss_curve_[-1]

    @property
    def best_loss_(self) -> float:
        """The smallest of `loss_curve_`."""
        return min(self.loss_curve_)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The label of the class with the largest answer, shape (n,)."""
        check_is_fitted(self, "model_")
        labels: NDArray[Any] = self.classes_[self.model_.predict(self._inputs(X))]
        return labels

    def predict_proba(self, X: ArrayLike) -> Array:
        """The probability of each class, in the order of `classes_`, shape (n, classes).

        Where the loss asks a question for each class alone, its answers divided by their sum.
        """
        check_is_fitted(self, "model_")
        answers = self.model_.predict_proba(self._inputs(X))
        sums = answers.sum(axis=1, keepdims=True)
        probabilities = np.full_like(answers, 1 / len(self.classes_))  # of answers all rounded to 0
        np.divide(answers, sums, out=probabilities, where=sums > 0)
        return probabilities

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """The logarithm of `predict_proba`, -inf for a probability of 0."""
        with np.errstate(divide="ignore"):
            log: Array = np.log(self.predict_proba(X))
        return log

    def _inputs(self, X: ArrayLike) -> Array:
        inputs: Array = validate_data(self, X, reset=False, dtype=self._dtypes())
        return inputs


class Patience:
    """Counts the epochs without an improvement of more than tol, as MLPClassifier does."""

    def __init__(self, tol: float, epochs: int) -> None:
        self.tol, self.epochs = tol, epochs
        self.best, self.stalled = -math.inf, 0

    def is_best(self, score: float) -> bool:
        """Whether this epoch's score is the best so far."""
        self.stalled = 0 if score >= self.best + self.tol else self.stalled + 1
        is_best = score > self.best
        self.best = max(score, self.best)
        return is_best

    @property
    def is_over(self) -> bool:
        return self.stalled > self.epochs
