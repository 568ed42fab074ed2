"""What the journal holds reads back as it was, and a changed form does not go unnoticed."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.core import codec, facts
from tradebot.core.model import ExitRules, Explained
from tradebot.core.scope import HaltLevel, Scope
from tradebot.errors import InvariantError, StoreError

PROVING = os.environ.get("TRADEBOT_PROVE") == "1"
SCHEMAS = Path(__file__).parents[1] / "golden" / "fact_schemas.json"
D = Decimal

FINITE = st.floats(allow_nan=False, allow_infinity=False)
AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**12), max_value=10**12)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return what a field of this type may hold."""
    if hint is float:
        return FINITE
    if hint is Decimal:
        return AMOUNTS
    if get_origin(hint) in (Union, UnionType):
        return st.one_of(*(values_of(option) for option in get_args(hint)))
    if get_origin(hint) is tuple:
        parts = get_args(hint)
        if parts[1:] == (Ellipsis,):
            return st.lists(values_of(parts[0]), max_size=3).map(tuple)
        return st.tuples(*(values_of(part) for part in parts))
    if hasattr(hint, "_fields") or hasattr(hint, "__dataclass_fields__"):
        fields = {name: values_of(field) for name, field in get_type_hints(hint).items() if name != "VERSION"}
        return st.fixed_dictionaries(fields).map(lambda given_: hint(**given_))
    return st.from_type(hint)


@pytest.mark.parametrize("kind", codec.kinds())
@settings(max_examples=200 if PROVING else 8)
@given(data=st.data())
def test_every_fact_reads_back_equal_and_writes_the_same_text_again(kind: str, data: st.DataObject) -> None:
    fact = data.draw(values_of(getattr(facts, kind)))
    recorded = facts.Recorded(7, fact.ts, 3, fact)
    row = codec.encode(recorded)
    assert codec.recorded_of(row) == recorded
    assert codec.encode(codec.recorded_of(row)) == row


def test_every_fact_that_is_exported_has_a_form() -> None:
    named = {name for name in facts.__all__ if isinstance(getattr(facts, name), type)}
    assert set(codec.kinds()) == {
        name for name in named if issubclass(getattr(facts, name), facts.Fact) and name != "Fact"
    }
    assert {kind.__name__ for kind in facts.Fact.__subclasses__()} <= set(codec.kinds())


def test_amounts_are_text_enums_their_values_and_records_objects() -> None:
    halt = facts.HaltSet(
        ts=5,
        level=HaltLevel.NO_NEW_RISK,
        scope=Scope(None, "COIN"),
        reason="was 0.2 & more",
        numbers=(Explained(name="loss", value=0.1),),
    )
    row = codec.encode(facts.Recorded(1, 6, 0, halt))
    assert row[:6] == (1, 5, 6, "HaltSet", 2, 0)
    assert json.loads(row.data) == {
        "ts": 5,
        "level": 2,
        "scope": {"strategy": None, "instrument": "COIN", "account": None},
        "reason": "was 0.2 & more",
        "rule": "owner",
        "numbers": [{"name": "loss", "value": 0.1}],
    }
    move = facts.CashMoved(
        ts=5, account="a", asset="USD", amount=D("0.10"), because="x", strategy=None, settles_at=5
    )
    assert '"amount":"0.10"' in codec.encode(facts.Recorded(1, 6, 0, move)).data


def target(**changes: Any) -> facts.TargetSet:
    given_: dict[str, Any] = {
        "ts": 1,
        "strategy": "s",
        "instrument": "COIN",
        "weight": 1.0,
        "asked_qty": None,
        "wanted_qty": D(1),
        "price": 100.0,
        "equity": 1.0,
        "because": "signal",
        "reason": "",
    }
    return facts.TargetSet(**{**given_, **changes})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_refused(number: float) -> None:
    with pytest.raises(InvariantError, match="finite numbers only, was"):
        codec.encode(facts.Recorded(1, 1, 0, target(weight=number)))


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_an_amount_that_is_not_finite_is_refused_both_ways(amount: str) -> None:
    with pytest.raises(InvariantError, match="finite Decimal, was"):
        codec.encode(facts.Recorded(1, 1, 0, target(wanted_qty=D(amount))))
    data = codec.encode(facts.Recorded(1, 1, 0, target())).data
    with pytest.raises(StoreError, match="wanted_qty must be an amount as text"):
        codec.decode("TargetSet", 1, data.replace('"wanted_qty":"1"', f'"wanted_qty":"{amount}"'))


def test_a_whole_number_where_a_float_belongs_is_written_as_one() -> None:
    assert '"weight":1.0' in codec.encode(facts.Recorded(1, 1, 0, target(weight=1))).data


def test_exit_rules_tell_a_word_from_a_number_of_bars() -> None:
    for after in ("next_signal", 5):
        fact = target(exits=ExitRules(stop_loss=0.08, after_exit=after))
        assert codec.recorded_of(codec.encode(facts.Recorded(1, 1, 0, fact))).fact == fact


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"ts":1,', ""), "TargetSet must be an object with ts, strategy"),
        (('"ts":1', '"ts":1,"new":2'), "TargetSet must be an object with ts, strategy"),
        (('"ts":1', '"ts":1.5'), r"TargetSet\.ts must be a whole number, was 1\.5"),
        (('"ts":1', '"ts":true'), r"TargetSet\.ts must be a whole number, was True"),
        (('"price":100.0', '"price":NaN'), "NaN is no number a fact may hold"),
        (('"price":100.0', '"price":"100"'), r"TargetSet\.price must be a number, was '100'"),
        (
            ('"explained":[]', '"explained":[{"name":"z"}]'),
            r"explained\[0\] must be an object with name, value",
        ),
        (('"explained":[]', '"explained":{}'), r"explained must be a list, was \{\}"),
    ],
)
def test_data_that_do_not_fit_are_refused_with_their_place(change: tuple[str, str], message: str) -> None:
    data = codec.encode(facts.Recorded(1, 1, 0, target())).data
    assert change[0] in data
    with pytest.raises(StoreError, match=message):
        codec.decode("TargetSet", facts.TargetSet.VERSION, data.replace(*change))


def test_an_unknown_kind_and_a_newer_version_name_the_way_out() -> None:
    with pytest.raises(StoreError, match="'Wish' is not known here; a newer program wrote it"):
        codec.decode("Wish", 1, "{}")
    with pytest.raises(StoreError, match="known here up to version 2, was 3"):
        codec.decode("TargetSet", 3, "{}")


def test_an_old_version_is_read_through_its_upcasters_one_by_one() -> None:
    steps: dict[tuple[str, int], codec.Upcaster] = {
        ("TimerFired", 1): lambda values: {"ts": values["ts"], "label": values["name"]},
        ("TimerFired", 2): lambda values: {"ts": values["ts"], "key": values["label"]},
    }
    wanted: dict[str, codec.Plain] = {"ts": 4, "key": "retry"}
    assert codec.upgraded("TimerFired", 1, 3, {"ts": 4, "name": "retry"}, steps) == wanted
    assert codec.upgraded("TimerFired", 2, 3, {"ts": 4, "label": "retry"}, steps) == wanted
    assert codec.upgraded("TimerFired", 3, 3, wanted, steps) == wanted
    with pytest.raises(
        StoreError, match="TimerFired version 1 cannot be read: no upcaster leads to version 2"
    ):
        codec.upgraded("TimerFired", 1, 3, {"ts": 4, "name": "retry"}, {})


# --- committed digests ----------------------------------------------------------------------------


def problems_of(known: dict[str, dict[str, Any]], now: dict[str, tuple[int, str]]) -> list[str]:
    """Compare committed (version, digest) per kind with today's; say what to do about each difference."""
    found = []
    for kind, (version, digest) in now.items():
        before = known.get(kind)
        if before is None:
            found.append(f"{kind} is new: run the tests once with UPDATE_GOLDEN=1 and commit {SCHEMAS.name}")
        elif before["version"] == version and before["sha256"] != digest:
            found.append(
                f"{kind} changed its fields but not its VERSION ({version}): raise VERSION, add an upcaster "
                f"for ({kind!r}, {version}) to codec.UPCASTERS, then run with UPDATE_GOLDEN=1"
            )
        elif version < before["version"]:
            found.append(
                f"{kind} went back from VERSION {before['version']} to {version}: journals hold the newer"
            )
        elif before["version"] != version:
            missing = [v for v in range(1, version) if (kind, v) not in codec.UPCASTERS]
            found += [
                f"{kind} is at VERSION {version}: codec.UPCASTERS needs ({kind!r}, {v})" for v in missing
            ]
            if before["sha256"] == digest or not missing:
                found.append(
                    f"{kind} is at VERSION {version}: run with UPDATE_GOLDEN=1 and commit {SCHEMAS.name}"
                )
    found += [
        f"{kind} is gone: journals hold it, so it must still be readable" for kind in known if kind not in now
    ]
    return found


def test_facts_keep_their_form_or_raise_their_version() -> None:
    now = {kind: (codec.version_of(kind), codec.schema_digest(kind)) for kind in codec.kinds()}
    known = json.loads(SCHEMAS.read_text()) if SCHEMAS.exists() else {}
    found = problems_of(known, now)
    if os.environ.get("UPDATE_GOLDEN") == "1":
        found = [problem for problem in found if "UPDATE_GOLDEN" not in problem or "upcaster" in problem]
        if not found:
            lines = {kind: {"version": v, "sha256": digest} for kind, (v, digest) in now.items()}
            SCHEMAS.write_text(json.dumps(lines, indent=2, sort_keys=True) + "\n")
    assert not found, "\n".join(found)


def test_a_changed_form_is_told_apart_from_a_new_version() -> None:
    known = {"TimerFired": {"version": 1, "sha256": "old"}}
    assert problems_of(known, {"TimerFired": (1, "old")}) == []
    (said,) = problems_of(known, {"TimerFired": (1, "new")})
    assert "raise VERSION, add an upcaster for ('TimerFired', 1)" in said
    assert "codec.UPCASTERS needs ('TimerFired', 1)" in problems_of(known, {"TimerFired": (2, "new")})[0]
    assert "is gone" in problems_of(known, {})[0]
    assert "is new: run the tests once with UPDATE_GOLDEN=1" in problems_of({}, {"TimerFired": (1, "x")})[0]
    assert (
        "went back" in problems_of({"TimerFired": {"version": 2, "sha256": "x"}}, {"TimerFired": (1, "x")})[0]
    )


def test_the_digest_sees_nested_types_names_and_order() -> None:
    assert "stop_price:Decimal|None" in codec.schema("OrderIntended")
    assert "Side<buy|sell>" in codec.schema("OrderFilled")
    assert len({codec.schema_digest(kind) for kind in codec.kinds()}) == len(codec.kinds())
