"""Hyper-parameters: what their one statement guarantees."""

import math
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest

import nnscratch as nn
from nnscratch.hyper import Interval, Part, described, hypers, known_name

REGISTRIES = {
    "optimizer": nn.OPTIMIZERS,
    "activation": nn.ACTIVATIONS,
    "initializer": nn.INITIALIZERS,
    "loss": nn.LOSSES,
    "schedule": nn.SCHEDULES,
}
PARTS = [part for registry in REGISTRIES.values() for part in registry.values()]
FIELDS = [
    pytest.param(part, hyper, id=f"{part.name}.{hyper.name}")
    for part in PARTS
    for hyper in hypers(part).values()
]


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("[0, 1)", [0, 0.5, math.nextafter(1, 0)], [-1e-300, 1, math.nan, math.inf]),
        ("(0, inf)", [1e-300, 1e300], [0, -1, math.inf, math.nan]),
        ("(-inf, inf)", [-1e300, 0, 1e300], [-math.inf, math.inf, math.nan]),
        ("[2, 3]", [2, 3], [1.999, 3.001]),
    ],
)
def test_an_interval_holds_what_mathematics_says(
    text: str, inside: list[float], outside: list[float]
) -> None:
    interval = Interval(text)
    assert all(number in interval for number in inside)
    assert not any(number in interval for number in outside)


@pytest.mark.parametrize("text", ["0, 1", "[0 1)", "[0, 1", "[zero, 1)"])
def test_an_interval_that_cannot_be_read_is_refused_when_the_class_is_written(text: str) -> None:
    with pytest.raises(ValueError, match=r"interval|could not convert"):
        nn.hyper(0.5, text, "anything")


@pytest.mark.parametrize(("part", "hyper"), FIELDS)
def test_every_default_lies_in_its_own_range(part, hyper) -> None:
    assert hyper.check(hyper.default) == hyper.default
    assert hyper.meaning


@pytest.mark.parametrize(("part", "hyper"), FIELDS)
@pytest.mark.parametrize("value", [math.nan, math.inf, 10**400, "0.5", None, True, 1j])
def test_what_is_no_finite_number_is_refused_by_every_field(part, hyper, value) -> None:
    with pytest.raises(nn.UsageError) as error:
        part(**{hyper.name: value})
    assert hyper.name in error.value.what
    assert str(hyper.interval) in error.value.what
    assert part.name in error.value.what
    assert error.value.fix


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: nn.OPTIMIZERS["adam"](lr=0), "(0, inf)"),
        (lambda: nn.OPTIMIZERS["adam"](lr=-1), "(0, inf)"),
        (lambda: nn.OPTIMIZERS["adam"](beta1=1.0), "[0, 1)"),
        (lambda: nn.OPTIMIZERS["momentum"](momentum=1.5), "[0, 1)"),
        (lambda: nn.OPTIMIZERS["sgd"](weight_decay=-1e-9), "[0, inf)"),
        (lambda: nn.SCHEDULES["step"](every=0), "[1, inf)"),
        (lambda: nn.SCHEDULES["step"](every=1.5), "a whole number"),
    ],
)
def test_a_number_out_of_range_is_refused_with_the_range(make, named: str) -> None:
    with pytest.raises(nn.UsageError) as error:
        make()
    assert named in error.value.what


def test_numpy_numbers_become_python_numbers_so_that_float32_weights_stay_float32() -> None:
    opt = nn.OPTIMIZERS["sgd"](lr=np.float64(0.5))
    assert type(opt.lr) is float
    w, dw = np.ones(3, np.float32), np.ones(3, np.float32)
    opt.update(w, dw, {})
    assert w.dtype == np.float32


def test_a_forgotten_dataclass_is_found_when_the_part_is_made() -> None:
    class Forgetful(nn.Elementwise):
        lr: float = nn.hyper(0.1, "(0, inf)", "step size")

        @staticmethod
        def rule(w, dw, *, lr):
            return w - lr * dw

    with pytest.raises(nn.UsageError) as error:
        Forgetful()
    assert "Forgetful states hyper-parameters, but is no dataclass" in error.value.what
    assert "@dataclass(frozen=True)" in error.value.fix


def test_parts_cannot_be_changed_after_they_were_made() -> None:
    opt = nn.OPTIMIZERS["adam"]()
    with pytest.raises(FrozenInstanceError):
        opt.lr = 1.0


def test_a_name_is_found_in_whatever_case_and_a_near_one_is_suggested() -> None:
    assert known_name(nn.OPTIMIZERS, "optimizer", " Heavy-Ball ") == "heavy_ball"
    with pytest.raises(nn.UsageError) as error:
        known_name(nn.OPTIMIZERS, "optimizer", "adm")
    assert error.value.what == "unknown optimizer 'adm'"
    assert "did you mean 'adam'?" in error.value.fix
    assert ", ".join(nn.OPTIMIZERS) in error.value.fix


def test_a_name_like_no_other_gets_the_choices_and_no_guess() -> None:
    with pytest.raises(nn.UsageError) as error:
        known_name(nn.LOSSES, "loss", "zzzz")
    assert error.value.fix.startswith("choices: softmax_cross_entropy")


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_registry_is_a_plain_dict_under_the_names_of_its_parts(kind: str) -> None:
    registry = REGISTRIES[kind]
    assert type(registry) is dict
    assert all(name == part.name for name, part in registry.items())
    assert all(isinstance(part(), Part) for part in registry.values())


def test_two_kinds_of_part_never_share_the_name_of_a_hyper_parameter() -> None:
    """They become flags of one command."""
    owners: dict[str, set[str]] = {}
    for kind, registry in REGISTRIES.items():
        for part in registry.values():
            for name in hypers(part):
                owners.setdefault(name, set()).add(kind)
    assert {name: kinds for name, kinds in owners.items() if len(kinds) > 1} == {}


def test_a_part_added_to_a_registry_is_found_by_its_name() -> None:
    @dataclass(frozen=True)
    class Double(nn.Activation):
        def forward(self, z, a):
            np.multiply(z, 2, out=a)

        def backward(self, da, z, a, dz):
            np.multiply(da, 2, out=dz)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(nn.ACTIVATIONS, Double.name, Double)
        assert nn.MLP([2, 3, 2], activation="double").activation == Double()


def test_a_search_range_is_shown_as_it_is_written() -> None:
    search = hypers(nn.OPTIMIZERS["adam"])["beta1"].search
    assert search is not None
    assert str(search) == search.text


def test_a_part_without_numbers_is_described_by_its_name() -> None:
    class Square(nn.Activation):
        forward = backward = None

    assert described(Square()) == {"name": "square"}
