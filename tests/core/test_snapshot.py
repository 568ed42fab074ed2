"""A ledger that was written and read again is the same ledger, and goes on alike."""

from __future__ import annotations

import json
import os
import random

import pytest

from tests.core.ledger_text import ledger_text
from tests.property.test_worlds import run
from tradebot.core import snapshot
from tradebot.core.books import AccountBook, Position, SubLedger
from tradebot.core.ledger import Ledger
from tradebot.core.orderbook import WrittenOrder
from tradebot.core.orders import OrderRecord
from tradebot.core.wishes import ParentState, WishState
from tradebot.errors import InvariantError, StoreError

COUNT = 300 if os.environ.get("TRADEBOT_PROVE") == "1" else 8


def copy_of(ledger: Ledger) -> Ledger:
    again = Ledger()
    snapshot.load(snapshot.dump(ledger), again)
    return again


@pytest.mark.parametrize("number", range(COUNT))
def test_a_copy_made_at_any_fact_goes_on_like_the_ledger_itself(number: int, rng: random.Random) -> None:
    facts = run(number).facts
    at = set(rng.sample(range(1, len(facts)), 3))
    lived, copies = Ledger(), []
    for recorded in facts:
        for ledger in (lived, *copies):
            ledger.evolve(recorded)
        if recorded.seq in at:
            copies.append(copy_of(lived))
            assert ledger_text(copies[-1]) == ledger_text(lived)
    for ledger in copies:
        ledger.check()
        assert ledger_text(ledger) == ledger_text(lived)
        assert snapshot.dump(ledger) == snapshot.dump(lived)


def test_everything_a_ledger_has_is_in_its_snapshot() -> None:
    """A field added to the ledger and forgotten here would be lost at the next pruning."""
    assert set(snapshot._State._fields) == set(vars(Ledger()))
    for kind, part, elsewhere in (
        (Position, snapshot._Position, {"instrument"}),
        (SubLedger, snapshot._Sub, set()),
        (AccountBook, snapshot._Account, set()),
        (OrderRecord, WrittenOrder, set()),
        (WishState, snapshot._Wish, {"strategy", "instrument"}),
        (ParentState, snapshot._Parent, set()),
    ):
        assert set(part._fields) - elsewhere == set(kind.__slots__), kind


def test_text_of_another_form_and_a_ledger_in_use_are_refused() -> None:
    text = snapshot.dump(Ledger())
    snapshot.load(text, Ledger())
    other = json.dumps({**json.loads(text), "form": "older"})
    for bad, said in (
        (other, "another form than this program's"),
        ("[]", "another form than this program's"),
        ("{", "a snapshot must be JSON"),
        (text.replace('"seq":0', '"seq":"0"'), r"snapshot\.seq must be a whole number, was '0'"),
    ):
        with pytest.raises(StoreError, match=said):
            snapshot.load(bad, Ledger())
    used = Ledger()
    used.seq = 1
    with pytest.raises(InvariantError, match="into an empty ledger, this one is at 1"):
        snapshot.load(text, used)
