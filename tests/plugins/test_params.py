"""Filling a strategy's Params: what is taken, what is refused, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.core.strategy import BarStrategy
from tradebot.plugins.params import build_params


class Mode(Enum):
    CALM = "calm"
    WILD = "wild"


class Crossing(BarStrategy):
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        fast: int = 10
        slow: int = 20
        width: float = 2.0
        kind: Literal["sma", "ema"] = "sma"
        mode: Mode = Mode.CALM
        strict: bool = False
        label: str | None = None
        steps: tuple[float, ...] = ()
        weights: Mapping[str, float] = field(default_factory=dict)

        def __post_init__(self) -> None:
            if self.fast >= self.slow:
                raise ValueError(f"fast: must be < slow ({self.slow}), was {self.fast}")
            if self.width == 13.0:
                raise ValueError("thirteen is bad luck: choose another width")
            if self.width == 0.0:
                raise ZeroDivisionError("no width")


class Demanding(BarStrategy):
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Params:
        symbol: str


class Plain(BarStrategy):
    pass


def test_given_values_replace_defaults() -> None:
    given_values = {
        "fast": 5,
        "width": 3,
        "kind": "ema",
        "mode": "wild",
        "strict": True,
        "label": "a",
        "steps": [1, 2.5],
        "weights": {"SPY": 1},
    }
    params, problems = build_params(Crossing, given_values)
    assert problems == ()
    assert params == Crossing.Params(
        fast=5,
        width=3.0,
        kind="ema",
        mode=Mode.WILD,
        strict=True,
        label="a",
        steps=(1.0, 2.5),
        weights={"SPY": 1.0},
    )
    assert isinstance(params, Crossing.Params)
    assert type(params.width) is float


REFUSED: dict[str, tuple[dict[str, object], str, str]] = {
    "text for int": ({"fast": "5"}, "fast", "must be int, was the text '5'"),
    "bool for int": ({"fast": True}, "fast", "must be int, was true"),
    "float for int": ({"fast": 5.0}, "fast", "must be int, was 5.0"),
    "nothing for int": ({"fast": None}, "fast", "must be int, was nothing"),
    "list for int": ({"fast": [5]}, "fast", "must be int, was a list"),
    "text for float": ({"width": "2"}, "width", "must be float, was the text '2'"),
    "bool for float": ({"width": False}, "width", "must be float, was false"),
    "nan": ({"width": float("nan")}, "width", "must be a finite number, was nan"),
    "inf": ({"width": float("-inf")}, "width", "must be a finite number, was -inf"),
    "too large": ({"width": 10**400}, "width", "must be a number below 1e308, was a larger one"),
    "int for bool": ({"strict": 1}, "strict", "must be bool, was 1"),
    "int for text": ({"label": 5}, "label", "must be str, was 5"),
    "no choice": (
        {"kind": "smaa"},
        "kind",
        "must be one of sma, ema, was the text 'smaa'; did you mean sma?",
    ),
    "no member": ({"mode": "WILD"}, "mode", "must be one of calm, wild, was the text 'WILD'"),
    "in a list": ({"steps": [1, "x"]}, "steps[1]", "must be float, was the text 'x'"),
    "not a list": ({"steps": 1}, "steps", "must be list of float, was 1"),
    "in a mapping": ({"weights": {"SPY": "all"}}, "weights.SPY", "must be float, was the text 'all'"),
    "not a mapping": ({"weights": 1}, "weights", "must be mapping of str to float, was 1"),
    "unknown": (
        {"fats": 5},
        "fats",
        "is not a parameter of Crossing; it has fast, slow, width, kind, mode, strict, label, steps, weights; "
        "did you mean fast?",
    ),
    "post init": ({"fast": 30}, "fast", "must be < slow (20), was 30"),
    "post init of no field": ({"width": 13}, "", "thirteen is bad luck: choose another width"),
    "post init fails": ({"width": 0}, "", "Params raised ZeroDivisionError: no width"),
}


@pytest.mark.parametrize(("values", "key", "message"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_value_is_named_with_what_must_hold(
    values: dict[str, object], key: str, message: str
) -> None:
    params, problems = build_params(Crossing, values)
    assert params is None
    assert problems == ((key, message),)


def test_all_problems_come_at_once() -> None:
    _, problems = build_params(Crossing, {"fast": "5", "fats": 1, "kind": 3})
    assert [problem.key for problem in problems] == ["fats", "fast", "kind"]


def test_a_missing_value_is_asked_for() -> None:
    assert build_params(Demanding, {}) == (None, (("symbol", "must be given (str)"),))


def test_a_strategy_without_parameters_takes_none() -> None:
    assert build_params(Plain, {}) == (Plain.Params(), ())
    assert build_params(Plain, {"a": 1})[1] == (("a", "is not a parameter: Plain has none"),)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "5", "sma"])


@given(
    st.dictionaries(
        st.sampled_from(["fast", "slow", "width", "kind", "strict", "label", "steps", "weights", "x"]),
        SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.sampled_from(["SPY", ""]), SCALARS),
    )
)
def test_whatever_is_given_ends_in_params_of_the_declared_types_or_in_problems(
    values: dict[str, object],
) -> None:
    params, problems = build_params(Crossing, values)
    assert (params is None) == bool(problems)
    if isinstance(params, Crossing.Params):
        assert type(params.fast) is int
        assert type(params.width) is float
        assert type(params.strict) is bool
        assert all(type(step) is float for step in params.steps)
