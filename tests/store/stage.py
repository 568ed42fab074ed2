"""Facts of random worlds, and a daemon's way of writing them to a journal."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from tests.property.test_worlds import run
from tradebot.core.facts import OrderFilled, OrderIntended, Recorded, TargetSet
from tradebot.core.ledger import Ledger
from tradebot.store.journal import Identity, Journal

PAPER = Identity(instance="tb", venue="sim", account="main", mode="paper")
STATE = ("orders", "positions", "cash", "lots", "targets")
HISTORY = ("fills", "decisions", "halts", "runs")


@lru_cache(maxsize=8)
def world_facts(number: int) -> tuple[Recorded, ...]:
    """Return all facts of a random world of this run's seed in which enough was traded to be missed."""
    for attempt in range(50):
        facts = tuple(run(number + 10_000 * attempt).facts)
        kinds = [type(one.fact) for one in facts]
        if (
            kinds.count(OrderIntended) >= 40
            and kinds.count(OrderFilled) >= 20
            and kinds.count(TargetSet) >= 20
        ):
            return facts
    raise AssertionError("no world of this seed is busy enough")


def made(path: Path, **changes: str) -> Journal:
    """Open a journal, new if there is none."""
    fields = {name: getattr(PAPER, name) for name in ("instance", "venue", "account", "mode")}
    return Journal.open(path, create=True, identity=Identity(**{**fields, **changes}), now=1, program="0.0")


def batches(facts: Sequence[Recorded], rng: random.Random, most: int = 12) -> Iterator[Sequence[Recorded]]:
    """Cut facts into the pieces in which decisions might have led to them."""
    at = 0
    while at < len(facts):
        size = rng.randint(1, most)
        yield facts[at : at + size]
        at += size


def book(ledger: Ledger, facts: Sequence[Recorded]) -> Sequence[Recorded]:
    """Book facts as the engine does while it decides."""
    for one in facts:
        ledger.evolve(one)
    return facts


def written(path: Path, facts: Sequence[Recorded], rng: random.Random) -> Ledger:
    """Write facts to a journal batch by batch and close it; returns the ledger that lived them."""
    ledger = Ledger()
    with made(path) as journal:
        journal.replay(ledger)
        for batch in batches(facts, rng):
            journal.append(book(ledger, batch), durable=False)
    return ledger
