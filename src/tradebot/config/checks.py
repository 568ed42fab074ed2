"""Check what no section can see alone: names that refer to each other, and what live trading needs.

Works on the tree, not on the models, so that these problems show beside all others; whatever is
already wrong by itself is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from tradebot.config import grammar
from tradebot.config.fields import NAME, SHARE_OR_AMOUNT
from tradebot.config.messages import lost
from tradebot.config.models import LIVE_NEEDS, VENUE
from tradebot.config.nodes import MapNode, Mark, Node, ScalarNode, SeqNode, dotted
from tradebot.config.shown import quoted, safe
from tradebot.config.units import Money, decimal_text
from tradebot.errors import Problem

_VENUES = ("sim", "alpaca")
_NAME, _VENUE = re.compile(NAME), re.compile(VENUE)


class Checks:
    """The cross checks of one tree; `run` returns their problems."""

    def __init__(self, root: MapNode) -> None:
        self.root = root
        self.problems: list[Problem] = []

    def run(self) -> list[Problem]:
        """Return the problems, in no particular order."""
        self._ids()
        self._accounts_named()
        self._accounts()
        self._capital()
        if self._text(self.root, "mode") == "live":
            self._live()
        return self.problems

    def _ids(self) -> None:
        seen: dict[str, tuple[int, Mark]] = {}
        for index, strategy in self._strategies():
            name = self._text(strategy, "id")
            if name is None:
                continue
            mark = strategy.items["id"].mark
            if name in seen:
                other, first = seen[name]
                where = f"strategies[{other}]" + (f" (line {first.line})" if first.line else "")
                message = f"must be unique; {quoted(name)} is also the id of {where}"
                self._add(mark, ("strategies", index, "id"), message)
            seen.setdefault(name, (index, mark))

    def _accounts_named(self) -> None:
        names = self._account_names()
        if names is None:
            return
        listed = ", ".join(safe(name) for name in names)
        missing: set[str] = set()
        for index, strategy in self._strategies():
            path: tuple[str | int, ...] = ("strategies", index, "account")
            name = self._text(strategy, "account")
            if "account" not in strategy.items and len(names) > 1 and not lost(strategy, path[:2], "account"):
                mark = strategy.key_marks.get("id", strategy.mark)
                self._add(mark, path, f"is required when there are several accounts; there are {listed}")
            elif name is not None and name not in names and name not in missing:
                missing.add(name)
                meant = grammar.near(name, names)
                hint = f'; did you mean "{meant}"?' if meant is not None else ""
                message = f"must name an account ({listed}), was {quoted(name)}{hint}"
                self._add(strategy.items["account"].mark, path, message)

    def _accounts(self) -> None:
        accounts = self.root.items.get("accounts")
        live = self._text(self.root, "mode") == "live"
        if not isinstance(accounts, MapNode):
            return
        for name, account in accounts.items.items():
            venue = self._text(account, "venue") if isinstance(account, MapNode) else None
            if not isinstance(account, MapNode) or venue is None or _VENUE.fullmatch(venue) is None:
                continue
            path = ("accounts", name)
            mark = accounts.key_marks[name]
            meant = grammar.near(venue, _VENUES) if venue not in _VENUES else None
            if meant is not None:
                message = (
                    f'must be sim, alpaca or an exchange\'s id, was {quoted(venue)}; did you mean "{meant}"?'
                )
                self._add(account.items["venue"].mark, (*path, "venue"), message)
                continue
            needs = ["cash"] if venue == "sim" else ["account_id", "keys"] if live else ["keys"]
            why = {
                "cash": "is required for venue sim, such as 10000 USD",
                "keys": "is required for a real venue: the NAME of its stored API keys",
                "account_id": "is required in live mode: the venue's own id, so that no other account is traded",
            }
            for key in needs:
                if key not in account.items and not lost(account, path, key):
                    self._add(mark, (*path, key), why[key])

    def _capital(self) -> None:
        sums: dict[str, Decimal] = {}
        unsaid: list[tuple[int, MapNode, str]] = []
        for index, strategy in self._strategies():
            account = self._text(strategy, "account") or "the account"
            if "capital" not in strategy.items:
                unsaid.append((index, strategy, account))
                continue
            try:
                share = SHARE_OR_AMOUNT.read(self._text(strategy, "capital"))
            except ValueError:
                continue  # already said
            if isinstance(share, Money):
                continue
            sums[account] = sums.get(account, Decimal(0)) + Decimal(repr(share))
            if sums[account] > 1:
                total = decimal_text(sums[account] * 100)
                message = f"the shares of one account must add up to at most 100%, was {total}%"
                self._add(strategy.items["capital"].mark, ("strategies", index, "capital"), message)
                return
        for index, strategy, account in unsaid:
            path: tuple[str | int, ...] = ("strategies", index)
            if sums.get(account) == 1 and not lost(strategy, path, "capital"):
                message = "is required: the other strategies' shares are 100% of the account, nothing is left"
                mark = strategy.key_marks.get("id", strategy.mark)
                self._add(mark, (*path, "capital"), message)

    def _live(self) -> None:
        limits = self.root.items.get("limits", MapNode(self.root.mark))
        mark = self.root.key_marks.get("limits", self.root.key_marks["mode"])
        if isinstance(limits, MapNode) and not lost(self.root, (), "limits"):
            absent = [k for k in LIVE_NEEDS if k not in limits.items and not lost(limits, ("limits",), k)]
            if absent:
                self._add(mark, ("limits",), f"must hold {', '.join(absent)} in live mode")
        accounts = self.root.items.get("accounts")
        venues = (
            [self._text(a, "venue") for a in accounts.items.values() if isinstance(a, MapNode)]
            if isinstance(accounts, MapNode)
            else ["sim"]
        )
        if all(venue == "sim" for venue in venues) and not lost(self.root, (), "accounts"):
            message = "must be paper when every account is simulated; live needs an account at a real venue"
            self._add(self.root.items["mode"].mark, ("mode",), message)

    def _account_names(self) -> list[str] | None:
        if "accounts" not in self.root.items:
            return None if lost(self.root, (), "accounts") else ["main"]
        accounts = self.root.items["accounts"]
        if not isinstance(accounts, MapNode) or not accounts.items:
            return None
        # A name that is refused anyway may be the very one that a strategy means.
        return list(accounts.items) if all(_NAME.fullmatch(name) for name in accounts.items) else None

    def _strategies(self) -> Iterator[tuple[int, MapNode]]:
        strategies = self.root.items.get("strategies")
        if isinstance(strategies, SeqNode):
            for index, strategy in enumerate(strategies.items):
                if isinstance(strategy, MapNode):
                    yield index, strategy

    def _text(self, node: Node, key: str) -> str | None:
        value = node.items.get(key) if isinstance(node, MapNode) else None
        if not isinstance(value, ScalarNode) or value.bad:
            return None
        return value.text

    def _add(self, mark: Mark, path: tuple[str | int, ...], message: str) -> None:
        self.problems.append(Problem(file=mark.file, line=mark.line, key=dotted(path), message=message))
