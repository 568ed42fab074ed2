"""Keep a paper account's venue on disk, as a real venue keeps its own books.

Owns the file: the state at rest, a log of what was asked of the venue since, and its history. A call is
logged before it takes effect and made good before its reports are told, so that killing the daemon
never kills the venue's memory. The daemon's own journal is another file, on purpose: the two meet only
through questions, and disagree like strangers would.
"""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from tradebot.core.forms import Plain, from_plain, to_plain
from tradebot.core.messages import CashEvent
from tradebot.core.model import Fill
from tradebot.core.ports import VenueOrder
from tradebot.errors import StoreError
from tradebot.sim.exchange import News

T = TypeVar("T")

_VERSION = 1
_DDL = """
CREATE TABLE state(id INTEGER PRIMARY KEY CHECK (id = 1), fills INTEGER NOT NULL, events INTEGER NOT NULL,
                   data TEXT NOT NULL) STRICT;
CREATE TABLE log(n INTEGER PRIMARY KEY, kind TEXT NOT NULL, after INTEGER, data TEXT NOT NULL) STRICT;
CREATE TABLE orders(id TEXT PRIMARY KEY, data TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE fills(n INTEGER PRIMARY KEY, data TEXT NOT NULL) STRICT;
CREATE TABLE events(n INTEGER PRIMARY KEY, data TEXT NOT NULL) STRICT;
"""


class Logged(NamedTuple):
    """A call to the venue. `after`: how many reports of the running bar came before it, None outside."""

    kind: str
    after: int | None
    data: Plain


class PaperFile:
    """The venue's file. Every method raises StoreError when the disk does not take it."""

    def __init__(self, path: Path | str) -> None:
        try:
            if isinstance(path, Path):
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._sync("NORMAL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._db.executescript(f"BEGIN; {_DDL} PRAGMA user_version={_VERSION}; COMMIT;")
            elif version != _VERSION:
                raise StoreError(
                    f"{path}: the paper venue's file must be of version {_VERSION}, was {version}; "
                    "start the program that wrote it"
                )
        except sqlite3.Error as exc:
            raise _failed(f"{path} cannot be opened", exc) from exc
        self.length = int(self._db.execute("SELECT count(*) FROM log").fetchone()[0])

    def log(self, call: Logged) -> None:
        """Note a call before it takes effect."""
        try:
            self._db.execute(
                "INSERT INTO log(kind, after, data) VALUES (?, ?, ?)",
                (call.kind, call.after, json.dumps(call.data, separators=(",", ":"), allow_nan=False)),
            )
        except sqlite3.Error as exc:
            raise _failed("the paper venue cannot note what it was asked", exc) from exc
        self.length += 1

    def make_good(self, news: News, fills: int, events: int) -> None:
        """Let everything so far survive a loss of power; `fills` and `events` count the history before."""
        try:
            self._sync("FULL")
            self._db.execute("BEGIN IMMEDIATE")
            self._history(news, fills, events)
            self._db.execute("COMMIT")
        except sqlite3.Error as exc:
            self._give_up()
            raise _failed("the paper venue cannot keep its history", exc) from exc
        finally:
            self._sync("NORMAL")

    def compact(self, state: Plain, fills: int, events: int) -> None:
        """Put the state at rest in the log's place."""
        text = json.dumps(state, separators=(",", ":"), allow_nan=False)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?)", (fills, events, text))
            self._db.execute("DELETE FROM log")
            self._db.execute("COMMIT")
        except sqlite3.Error as exc:
            self._give_up()
            raise _failed("the paper venue cannot keep its state", exc) from exc
        self.length = 0

    def state(self) -> dict[str, Plain] | None:
        """Return the last state at rest, None before the first."""
        row = self._db.execute("SELECT data FROM state").fetchone()
        return None if row is None else cast("dict[str, Plain]", json.loads(row[0]))

    def history(self) -> tuple[int, list[CashEvent]]:
        """Return how many fills belong to the last state at rest, and which events."""
        fills, events = self._db.execute("SELECT fills, events FROM state").fetchone() or (0, 0)
        return fills, self._rows("SELECT data FROM events WHERE n < ? ORDER BY n", CashEvent, events)

    def order(self, client_order_id: str) -> VenueOrder | None:
        """Return a finished order, None when there is none of that id."""
        found = self._rows("SELECT data FROM orders WHERE id = ?", VenueOrder, client_order_id)
        return found[0] if found else None

    def fills(self, first: int, last: int) -> list[Fill]:
        """Return trades by their place in the history, `last` excluded."""
        return self._rows("SELECT data FROM fills WHERE n >= ? AND n < ? ORDER BY n", Fill, first, last)

    def calls(self) -> list[Logged]:
        """Return what was asked since the last state at rest, in order."""
        rows = self._db.execute("SELECT kind, after, data FROM log ORDER BY n")
        return [Logged(kind, after, json.loads(data)) for kind, after, data in rows]

    def close(self) -> None:
        self._db.close()

    def _rows(self, query: str, kind: type[T], *terms: int | str) -> list[T]:
        try:
            # Row by row: a start reads the whole history, and its text would be a third of what that takes.
            return [cast(T, from_plain(kind, json.loads(data))) for (data,) in self._db.execute(query, terms)]
        except sqlite3.Error as exc:
            raise _failed("the paper venue cannot read its history", exc) from exc

    def _history(self, news: News, fills: int, events: int) -> None:
        for order in news.orders:
            self._db.execute(
                "INSERT OR REPLACE INTO orders VALUES (?, ?)",
                (order.client_order_id, _json(VenueOrder, order)),
            )
        for n, fill in enumerate(news.fills, fills):
            self._db.execute("INSERT OR IGNORE INTO fills VALUES (?, ?)", (n, _json(Fill, fill)))
        for n, event in enumerate(news.events, events):
            self._db.execute("INSERT OR IGNORE INTO events VALUES (?, ?)", (n, _json(CashEvent, event)))

    def _sync(self, level: str) -> None:
        self._db.execute(f"PRAGMA synchronous={level}")

    def _give_up(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


def _json(kind: type, value: object) -> str:
    return json.dumps(to_plain(kind, value), separators=(",", ":"), allow_nan=False)


def _failed(what: str, exc: sqlite3.Error) -> StoreError:
    return StoreError(f"{what}: {exc}; nothing was sent, look at the disk and start again")
