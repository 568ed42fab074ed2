"""A process that writes facts to a journal and says so after each commit, until it is killed.

Arguments: the journal, a file with rows of facts as JSON lines, a number that mixes the batches.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from tradebot.core.codec import Row, recorded_of
from tradebot.core.ledger import Ledger
from tradebot.store.journal import Identity, Journal


def main(path: Path, rows: Path, number: str) -> None:
    facts = [recorded_of(Row(*json.loads(line))) for line in rows.read_text().splitlines()]
    rng = random.Random(number)
    identity = Identity(instance="tb", venue="sim", account="main", mode="paper")
    ledger = Ledger()
    with Journal.open(path, create=True, identity=identity) as journal:
        journal.replay(ledger)
        while journal.last_seq < len(facts):
            batch = facts[journal.last_seq : journal.last_seq + rng.randint(1, 5)]
            for one in batch:
                ledger.evolve(one)
            journal.append(batch, durable=rng.random() < 0.5, progress={"s": batch[-1].seen})
            sys.stdout.write(f"{journal.last_seq}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
