"""The training loop: what its records say, at which weights it stops, and when it refuses."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

import nnscratch as nn
from nnscratch import loop


def model(**kwargs) -> nn.MLP:
    return nn.MLP([12, 8, 3], seed=1, **kwargs)


def sgd(lr: float = 0.5) -> nn.Optimizer:
    return nn.OPTIMIZERS["sgd"](lr=lr)


def test_there_is_a_record_after_each_epoch_with_everything_counted(toy: nn.Split) -> None:
    net = model()
    records = list(nn.fit(net, sgd(), nn.mini_batch(toy, 70), 3, val=toy))
    assert [r.epoch for r in records] == [1, 2, 3]
    assert [r.update for r in records] == [5, 10, 15]
    assert [r.examples for r in records] == [300, 600, 900]
    assert all(r.ends_epoch and r.lr == 0.5 and r.seconds > 0 for r in records)
    result = net.evaluate(toy.x, toy.labels)
    assert (records[-1].val_loss, records[-1].val_accuracy) == (result.loss, result.accuracy)


def test_training_learns(toy: nn.Split) -> None:
    records = list(
        nn.fit(model(), nn.OPTIMIZERS["adam"](lr=0.01), nn.mini_batch(toy, 20), 10, val=toy)
    )
    assert records[-1].train_loss < 0.5 * records[0].train_loss
    assert records[-1].val_accuracy > 0.9


def test_the_training_loss_is_the_mean_over_images_and_not_over_batches(toy: nn.Split) -> None:
    """Batches of 299 and 1: a mean over batches would give the one image half the weight."""
    frozen = nn.OPTIMIZERS["sgd"](lr=1e-300)
    net = model()
    (record,) = nn.fit(net, frozen, nn.mini_batch(toy, 299), 1)
    assert record.train_loss == pytest.approx(net.evaluate(toy.x, toy.labels).loss, rel=1e-6)


def test_without_validation_images_nothing_is_evaluated(toy: nn.Split) -> None:
    for val in (None, toy[:0]):
        (record,) = nn.fit(model(), sgd(), nn.batch(toy), 1, val=val)
        assert record.val_loss is None
        assert record.val_accuracy is None


def test_asking_for_more_records_changes_nothing_else(toy: nn.Split) -> None:
    a, b = model(), model()
    few = list(nn.fit(a, sgd(), nn.mini_batch(toy, 70), 2, val=toy))
    many = list(nn.fit(b, sgd(), nn.mini_batch(toy, 70), 2, val=toy, every=2))
    assert [r.update for r in many] == [2, 4, 5, 6, 8, 10]
    assert [r.ends_epoch for r in many] == [False, False, True, False, False, True]
    assert [r.val_loss is None for r in many] == [True, True, False, True, True, False]
    assert (a.w == b.w).all()
    ends = [r for r in many if r.ends_epoch]
    assert [r.train_loss for r in ends] == [r.train_loss for r in few]
    assert [r.val_loss for r in ends] == [r.val_loss for r in few]


def test_one_seed_gives_the_same_bits_twice_and_another_seed_does_not(toy: nn.Split) -> None:
    def trained(seed: int) -> np.ndarray:
        net = nn.MLP([12, 8, 3], seed=seed)
        list(nn.fit(net, nn.OPTIMIZERS["adam"](), nn.mini_batch(toy, 32, seed=seed), 2))
        return net.w

    assert (trained(0) == trained(0)).all()
    assert (trained(0) != trained(1)).any()


def test_nothing_is_trained_before_a_record_is_asked_for_nor_after_the_last(toy) -> None:
    net = model()
    before = net.w.copy()
    records = nn.fit(net, sgd(), nn.mini_batch(toy, 50), 5)
    assert (net.w == before).all()
    next(records)
    held = net.w.copy()
    records.close()
    assert (net.w == held).all()


def test_only_the_time_of_training_is_counted(toy: nn.Split, monkeypatch) -> None:
    """A clock that only a batch (1 s), an evaluation (10 s) and a record held (100 s) move."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr(loop, "time", clock)

    def taking(seconds: float, call):
        def slow(*args):
            clock.now += seconds
            return call(*args)

        return slow

    monkeypatch.setattr(nn.MLP, "loss_and_grad", taking(1, nn.MLP.loss_and_grad))
    monkeypatch.setattr(nn.MLP, "evaluate", taking(10, nn.MLP.evaluate))
    times = []
    for record in nn.fit(model(), sgd(), nn.mini_batch(toy, 100), 2, val=toy, every=2):
        clock.now += 100
        times.append((record.update, record.seconds))
    assert times == [(2, 2), (3, 3), (4, 1), (6, 3)]


def test_a_second_call_goes_on_with_the_next_orders_and_does_not_repeat_the_first(toy) -> None:
    whole, halves = model(), model()
    list(nn.fit(whole, sgd(), nn.mini_batch(toy, 50, seed=3), 4))
    loader = nn.mini_batch(toy, 50, seed=3)
    list(nn.fit(halves, sgd(), loader, 2))
    list(nn.fit(halves, sgd(), loader, 2))
    assert (whole.w == halves.w).all()


def test_a_second_call_begins_with_a_new_state_of_the_optimizer(toy: nn.Split) -> None:
    counts = []

    class Counting(nn.Optimizer):
        def update(self, w, dw, state):
            state["t"] = state.get("t", 0) + 1
            counts.append(state["t"])
            return w

    monkey, loader = nn.MLP([12, 3], bias=False), nn.batch(toy)
    for _ in range(2):
        list(nn.fit(monkey, Counting(), loader, 2))
    assert counts == [1, 2, 1, 2]


# --- scope -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen(nn.Optimizer):
    """Writes down what it is given."""

    def update(self, w, dw, state):
        state["updates"] = state.get("updates", 0) + 1
        CALLS.append((w, dw, state))
        return w


CALLS: list[tuple] = []


@pytest.mark.parametrize("scope", ["tensor", "layer", "element", "model"])
def test_an_optimizer_is_given_what_its_scope_asks_for(scope: str, toy, monkeypatch) -> None:
    monkeypatch.setattr(Seen, "scope", scope)
    CALLS.clear()
    net = model()
    list(nn.fit(net, Seen(), nn.mini_batch(toy, 100), 1))
    given = CALLS[: len(CALLS) // 3]
    views = {"tensor": net.parameters, "layer": net.matrices}
    expected = [(p.w, p.dw) for p in views.get(scope, [])] or [(net.w, net.dw)]
    assert [w.shape for w, _, _ in given] == [w.shape for w, _ in expected]
    for (w, dw, state), (expected_w, expected_dw) in zip(given, expected, strict=True):
        assert np.shares_memory(w, expected_w)
        assert np.shares_memory(dw, expected_dw)
        assert state["updates"] == 3
    assert len({id(state) for _, _, state in given}) == len(given)


@pytest.mark.parametrize(
    "name", [name for name, cls in nn.OPTIMIZERS.items() if issubclass(cls, nn.Elementwise)]
)
def test_an_elementwise_optimizer_gives_the_same_tensor_by_tensor(
    name: str, toy, monkeypatch
) -> None:
    flat, cut = model(dtype="float64"), model(dtype="float64")
    optimizer = nn.OPTIMIZERS[name]()
    list(nn.fit(flat, optimizer, nn.mini_batch(toy, 64), 2))
    monkeypatch.setattr(type(optimizer), "scope", "tensor")
    list(nn.fit(cut, optimizer, nn.mini_batch(toy, 64), 2))
    assert (flat.w == cut.w).all()


# --- readout -----------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [None, 1])
def test_a_record_is_held_at_the_weights_to_evaluate(toy: nn.Split, every) -> None:
    """The look-ahead form shows theta; the rewritten form, run beside it, stores theta + mu v."""
    shown, net, twin = [], model(dtype="float64"), model(dtype="float64")
    optimizer = nn.OPTIMIZERS["nesterov_lookahead"](lr=0.1)
    for record in nn.fit(net, optimizer, nn.mini_batch(toy, 64), 3, val=toy, every=every):
        if record.ends_epoch:
            shown.append(net.w.copy())
            assert record.val_loss == net.evaluate(toy.x, toy.labels).loss

    state, thetas, rewritten = {}, [], nn.OPTIMIZERS["nesterov"](lr=0.1)
    loader = nn.mini_batch(toy, 64)
    for _ in range(3):
        for x, labels in loader:
            twin.loss_and_grad(x, labels)
            rewritten.update(twin.w, twin.dw, state)
        thetas.append(twin.w - 0.9 * state["v"])
    np.testing.assert_allclose(shown, thetas, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(net.w, thetas[-1], rtol=1e-8, atol=1e-12)  # and so it ends


def test_a_loop_that_is_left_leaves_the_weights_to_evaluate(toy: nn.Split) -> None:
    net = model()
    for _ in nn.fit(net, nn.OPTIMIZERS["nesterov_lookahead"](), nn.mini_batch(toy, 64), 3):
        held = net.w.copy()
        break
    assert (net.w == held).all()


# --- divergence and arguments ------------------------------------------------------------------


def test_a_rate_that_is_much_too_large_ends_in_a_named_error(toy: nn.Split) -> None:
    with pytest.raises(nn.DivergedError) as error:
        list(nn.fit(nn.MLP([12, 8, 3], "relu"), sgd(1e38), nn.mini_batch(toy, 50), 50))
    assert "training diverged: after 1 updates of sgd with lr 1e+38 the loss is" in error.value.what
    assert "layer" in error.value.what
    assert error.value.fix.startswith("lower the learning rate, clip the gradient")
    assert error.value.exit_code == 5


def test_weights_that_are_no_numbers_are_noticed_at_the_end_of_the_epoch(toy: nn.Split) -> None:
    class Spoiler(nn.Optimizer):
        def update(self, w, dw, state):
            w[...] = np.nan
            return w

    with pytest.raises(nn.DivergedError, match="weights"):
        list(nn.fit(model(), Spoiler(), nn.batch(toy), 1))


def test_a_loss_that_is_no_number_stops_before_the_update(toy: nn.Split) -> None:
    net = model()
    net.w[0] = np.nan
    updates = []

    class Watching(nn.Optimizer):
        def update(self, w, dw, state):
            updates.append(1)
            return w

    with pytest.raises(nn.DivergedError) as error:
        list(nn.fit(net, Watching(), nn.batch(toy), 1))
    assert "after 0 updates of watching the loss is nan" in error.value.what
    assert "the first weights that are not finite are in W1" in error.value.what
    assert updates == []


def test_a_last_update_that_goes_too_far_is_noticed_without_a_warning(toy: nn.Split) -> None:
    """Nothing follows it but the evaluation, whose loss is no number."""
    net = nn.MLP([12, 8, 3], "relu", dtype="float32")
    with pytest.raises(nn.DivergedError, match=r"validation loss|weights"):
        list(nn.fit(net, sgd(1e30), nn.batch(toy), 1, val=toy))


def test_fit_takes_names_as_mlp_does(toy: nn.Split) -> None:
    a, b = model(), model()
    list(nn.fit(a, "adam", nn.mini_batch(toy, 50), 2, schedule="cosine"))
    optimizer, cosine = nn.OPTIMIZERS["adam"](), nn.SCHEDULES["cosine"]()
    list(nn.fit(b, optimizer, nn.mini_batch(toy, 50), 2, schedule=cosine))
    assert (a.w == b.w).all()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"epochs": 0}, "epochs must be a whole number in [1, inf), got 0"),
        ({"epochs": 1.5}, "epochs must be a whole number"),
        ({"every": 0}, "every must be a whole number in [1, inf), got 0"),
        ({"optimizer": "adm"}, "unknown optimizer 'adm'"),
        ({"optimizer": nn.OPTIMIZERS["sgd"]}, "is no optimizer"),
        ({"schedule": "cos"}, "unknown schedule 'cos'"),
        ({"schedule": None}, "None is no schedule"),
        ({"loader": "mini_batch"}, "loader is 'mini_batch'"),
        ({"val": "images"}, "val is 'images'"),
    ],
)
def test_arguments_are_checked_when_fit_is_called_and_not_later(toy, arguments, what) -> None:
    given = {"optimizer": sgd(), "loader": nn.batch(toy), "epochs": 1, **arguments}
    with pytest.raises(nn.UsageError) as error:
        nn.fit(model(), **given)
    assert what in error.value.what
    assert error.value.fix


# --- what an optimizer may ask for ---------------------------------------------------------------

SEEN: list[dict] = []


class Curious(nn.Optimizer):
    """Writes down what it was given, and asks for each batch twice."""

    scope = "tensor"
    needs = frozenset({"loss", "norm"})

    def update(self, w, dw, state):
        given = {"loss": state.pop("loss"), "norm": state.pop("norm"), "dw": dw.copy()}
        SEEN.append(given)
        state["calls"] = state.get("calls", 0) + 1
        w -= 0.1 * dw
        return w

    def same_batch(self, state):
        return state["calls"] % 2 == 1


def test_what_an_optimizer_needs_is_in_its_state_at_each_update(toy: nn.Split) -> None:
    SEEN.clear()
    net = model(dtype="float64")
    list(nn.fit(net, Curious(), nn.batch(toy), 1))
    first_call = SEEN[: len(net.parameters)]
    whole = np.concatenate([given["dw"].reshape(-1) for given in first_call])
    for given in first_call:
        assert given["norm"] == pytest.approx(np.linalg.norm(whole))
        assert given["loss"] == first_call[0]["loss"]
    assert first_call[0]["loss"] == model(dtype="float64").evaluate(toy.x, toy.labels).loss


def test_a_batch_comes_again_when_it_is_asked_for_and_each_gradient_is_counted(toy) -> None:
    SEEN.clear()
    net, twin = model(dtype="float64"), model(dtype="float64")
    records = list(nn.fit(net, Curious(), nn.mini_batch(toy, 100), 2))
    assert [r.update for r in records] == [3, 6]
    assert [r.examples for r in records] == [600, 1200]
    loader, losses = nn.mini_batch(toy, 100), []
    for _ in range(2):
        for x, labels in loader:
            losses.append(twin.loss_and_grad(x, labels))
            twin.w -= 0.1 * twin.dw
            twin.loss_and_grad(x, labels)
            twin.w -= 0.1 * twin.dw
    np.testing.assert_allclose(net.w, twin.w, rtol=1e-12)
    assert records[0].train_loss == pytest.approx(np.mean(losses[:3]))  # before each batch's first


def test_what_the_network_cannot_give_is_refused_before_anything_is_done(toy) -> None:
    with pytest.raises(nn.UsageError, match="newton needs what the network does not give: hessian"):
        nn.fit(model(), "newton", nn.batch(toy), 1)


@pytest.mark.parametrize("missing", ["loss", "norm", "moments", "hessian"])
def test_an_optimizer_called_by_hand_says_what_it_lacks(missing: str) -> None:
    name = {"loss": "lbfgs", "norm": "sam", "moments": "kfac", "hessian": "newton"}[missing]
    with pytest.raises(nn.UsageError, match=rf"{name} needs state\['{missing}'\], the "):
        nn.OPTIMIZERS[name]().update(np.ones((3, 2)), np.ones((3, 2)), {})


def test_what_was_given_serves_once() -> None:
    """A norm of the step before would be wrong, and nobody would notice."""
    opt, w, state = nn.ClipNorm(), np.ones(3), {"norm": 3.0}
    opt.update(w, np.ones(3), state)
    assert "norm" not in state
    with pytest.raises(nn.UsageError, match="clip_norm needs"):
        opt.update(w, np.ones(3), state)


@pytest.mark.parametrize("base", ["sgd", "muon", "kfac"])
def test_the_norm_that_clips_is_that_of_all_arrays_together(base: str, toy, monkeypatch) -> None:
    seen = []
    step = nn.ClipNorm.step

    def watched(self, w, dw, state, given):
        seen.append((given["norm"], float(np.linalg.norm(dw))))
        step(self, w, dw, state, given)

    monkeypatch.setattr(nn.ClipNorm, "step", watched)
    list(nn.fit(model(), nn.ClipNorm(nn.OPTIMIZERS[base]()), nn.batch(toy), 1))
    norms = {norm for norm, _ in seen}
    assert len(norms) == 1
    assert norms.pop() == pytest.approx(np.sqrt(sum(own**2 for _, own in seen)), rel=1e-5)


@pytest.mark.parametrize("name", [n for n in nn.OPTIMIZERS if n != "newton"])
def test_every_optimizer_trains_a_network(name: str, toy: nn.Split) -> None:
    net = model()
    before = net.evaluate(toy.x, toy.labels).loss
    loader = nn.batch(toy) if name in ("rprop", "lbfgs") else nn.mini_batch(toy, 20)
    records = list(nn.fit(net, name, loader, 5, val=toy))
    assert records[-1].val_loss < before
    assert np.isfinite(net.w).all()


def test_while_sam_is_away_a_record_shows_the_weights_and_not_the_point_uphill(toy) -> None:
    shown = []
    net = model(dtype="float64")
    sam = nn.OPTIMIZERS["sam"](base=sgd(0.1))
    for record in nn.fit(net, sam, nn.batch(toy), 3, every=1, val=toy):
        assert record.val_loss == net.evaluate(toy.x, toy.labels).loss
        shown.append(net.w.copy())
    twin, points = model(dtype="float64"), []
    for _ in range(3):
        (x, labels) = toy.x, toy.labels
        twin.loss_and_grad(x, labels)
        e = 0.05 * twin.dw / np.linalg.norm(twin.dw)
        twin.w += e
        twin.loss_and_grad(x, labels)
        twin.w -= e
        twin.w -= 0.1 * twin.dw
        points.append(twin.w.copy())
    np.testing.assert_allclose(shown, points, rtol=1e-10)


def test_l_bfgs_takes_few_gradients_where_adam_takes_many(toy: nn.Split) -> None:
    net = model(dtype="float64")
    records = list(nn.fit(net, "lbfgs", nn.batch(toy), 2, val=toy))
    assert records[-1].examples < 100 * len(toy)
    assert records[-1].val_loss < 0.05


def test_the_run_is_the_same_with_the_same_seed_also_where_labels_are_drawn(toy) -> None:
    def trained(seed: int) -> np.ndarray:
        net = nn.MLP([12, 8, 3], seed=seed)
        list(nn.fit(net, "kfac", nn.mini_batch(toy, 50), 2))
        return net.w

    assert (trained(3) == trained(3)).all()
    assert (trained(3) != trained(4)).any()


class Impatient(nn.Optimizer):
    """Matrices want three gradients of a batch, vectors two."""

    scope = "tensor"

    def update(self, w, dw, state):
        state["calls"] = state.get("calls", 0) + 1
        CALLS.append((w.ndim, state["calls"]))
        w -= 0.01 * dw
        return w

    def same_batch(self, state):
        return state["calls"] < state["wanted"]

    def init(self, w):
        return {"calls": 0, "wanted": 3 if w.ndim == 2 else 2}


def test_each_array_gets_as_many_gradients_of_a_batch_as_it_wants_and_no_more(toy) -> None:
    CALLS.clear()
    list(nn.fit(model(), Impatient(), nn.batch(toy), 1))
    assert max(calls for ndim, calls in CALLS if ndim == 2) == 3
    assert max(calls for ndim, calls in CALLS if ndim == 1) == 2


@pytest.mark.parametrize("scale", [1e25, 1e-25])
def test_the_norm_is_right_where_squares_leave_single_precision(scale: float, toy) -> None:
    net, seen = model(), []

    class Watch(nn.Optimizer):
        needs = frozenset({"norm"})

        def update(self, w, dw, state):
            seen.append(state.pop("norm"))
            return w

    loss_and_grad = net.loss_and_grad

    def scaled(x, labels, rng=None):
        loss = loss_and_grad(x, labels)
        net.dw *= scale
        return loss

    net.loss_and_grad = scaled
    list(nn.fit(net, Watch(), nn.batch(toy), 1))
    expected = float(np.linalg.norm(net.dw.astype(np.float64)))
    assert seen[0] == pytest.approx(expected)
    assert 0 < seen[0] < np.inf
