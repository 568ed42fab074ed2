"""`tradebot why` and `tradebot why-not`: how an order came about, and why none did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from tradebot.cli import operate, out
from tradebot.cli.lazy import command
from tradebot.cli.operate import Kept, moment, plain, with_reading, with_strategy
from tradebot.errors import UsageError

if TYPE_CHECKING:
    from tradebot.daemon.places import Places
    from tradebot.report.explain import Line, Moment
    from tradebot.store.views import HaltRow, OrderRow, Views


@command("why")
@click.argument("order", metavar="ORDER")
@with_reading
def why(order: str, account: str | None, config_file: str | None, as_json: bool) -> None:
    """Show how ORDER came about: bar, signal, sizing, rules, slices, the venue's words, fills.

    ORDER is the id that `tradebot orders` shows, or the venue's. Amounts are in the quote currency.
    """
    from tradebot.report.explain import order_story
    from tradebot.store import story

    where = operate.find_daemon(config_file)
    for kept in operate.traded(where, account):
        with operate.views(kept) as opened:
            row = _find(opened, order)
            if row is None:
                continue
            lines = order_story(story.behind(opened, row), row.id)
        if as_json:
            head = {"account": kept.name, "mode": kept.mode, "order": row.id, "instrument": row.instrument}
            out.as_json({**head, "strategy": row.strategy, "status": row.status, "steps": _plain(lines)})
            return
        operate.say_whose(kept, where)
        _show_order(kept, row, lines)
        return
    raise UsageError(f"no order {order!r}.  See: tradebot orders --all")


def _find(opened: Views, order: str) -> OrderRow | None:
    from tradebot.store import views

    return views.order(opened, order)


def _show_order(kept: Kept, row: OrderRow, lines: Sequence[Line]) -> None:
    filled = f"filled {plain(row.filled)} of {plain(row.qty)}"
    reason = f" ({row.reason})" if row.reason else ""
    out.show(
        f"{operate.mode_word(kept.mode)}  {row.id}  {row.side} {plain(row.qty)} {row.instrument}  for {row.strategy}"
    )
    out.show(f"  {row.status}{reason}, {filled}")
    _show(lines)


def _show(lines: Iterable[Line]) -> None:
    last = ""
    for line in lines:
        when = moment(line.ts) or ""
        shown = when if when != last else ""
        last = when
        out.show(f"  {shown:<19}  {line.step:<15} {line.text}")


def _plain(lines: Iterable[Line]) -> list[dict[str, object]]:
    return [line._asdict() for line in lines]


# --- why not --------------------------------------------------------------------------------------


@command("why-not")
@click.argument("symbol", metavar="SYMBOL")
@click.option(
    "--at", metavar="MOMENT", help="Then, such as 2020-03-09 or 2020-03-09T14:30:00Z; now if absent."
)
@with_strategy
@with_reading
def why_not(
    symbol: str,
    at: str | None,
    strategy: str | None,
    account: str | None,
    config_file: str | None,
    as_json: bool,
) -> None:
    """Show why SYMBOL was not traded: no signal, suspended, halted, closed, no bar, a rule, down."""
    from tradebot.report.explain import why_not as explained
    from tradebot.store import story

    where = operate.find_daemon(config_file)
    when = _when(at)
    answers: list[tuple[Kept, Moment, list[Line]]] = []
    for kept in operate.traded(where, account):
        with operate.views(kept) as opened:
            now = _latest(opened) if when is None else when
            for name in _strategies(opened, symbol, strategy):
                asked = _asked(opened, name, symbol, now, is_now=when is None and operate.is_running(where))
                found = story.decisions(opened, name, symbol, at=now, limit=200)
                answers.append((kept, asked, explained(asked, found)))
    if not answers:
        raise _nobody(where, account, symbol, strategy)
    if as_json:
        out.as_json(
            {
                "symbol": symbol,
                "answers": [
                    {"account": kept.name, "mode": kept.mode, "strategy": asked.strategy, "at": asked.at,
                     "reason": lines[0].step if lines else "", "steps": _plain(lines)}
                    for kept, asked, lines in answers
                ],
            }
        )  # fmt: skip
        return
    for kept, asked, lines in answers:
        operate.say_whose(kept, where)
        mode = operate.mode_word(kept.mode)
        out.show(
            f"{mode}  {symbol}  for {asked.strategy}  at {moment(asked.at)} UTC: {lines[0].step if lines else ''}"
        )
        _show(lines)


def _when(text: str | None) -> int | None:
    if text is None:
        return None
    from tradebot.config.times import Moment as Word

    try:
        return Word().read(text)
    except ValueError as exc:
        raise UsageError(f"--at {exc}") from exc


def _latest(opened: Views) -> int:
    """Return the time of the newest thing this journal knows: market time, which may be recorded data's."""
    return max([*opened.progress().values(), opened.last_seen()])


def _strategies(opened: Views, symbol: str, strategy: str | None) -> list[str]:
    """Return who looks at a symbol in this account, or the one that is asked about if it trades here."""
    from tradebot.store import views

    named = [row.strategy for row in views.targets(opened, instrument=symbol)]
    query = "SELECT DISTINCT strategy FROM decisions WHERE instrument = ? AND strategy <> ''"
    named += [row[0] for row in opened.db.execute(query, (symbol,)).fetchall()]
    if strategy is None:
        return list(dict.fromkeys(named))
    here = {row.strategy for row in views.cash(opened)}
    return [strategy] if named and strategy in {*named, *here} else []


def _nobody(where: Places, account: str | None, symbol: str, strategy: str | None) -> UsageError:
    from tradebot.store import views

    symbols: dict[str, None] = {}
    strategies: dict[str, None] = {}
    for kept in operate.traded(where, account):
        with operate.views(kept) as opened:
            symbols |= dict.fromkeys(row.instrument for row in views.targets(opened))
            symbols |= dict.fromkeys(s.rpartition("/")[0] for s in opened.progress() if s[-1].isdigit())
            strategies |= dict.fromkeys(row.strategy for row in views.cash(opened) if row.strategy)
    if strategy is not None and strategy not in strategies:
        return UsageError(f"no strategy {strategy!r} has traded here; those that have: {_listed(strategies)}")
    return UsageError(
        f"no strategy has ever looked at {symbol!r}; symbols with decisions or data: {_listed(symbols)}"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none yet"


def _asked(opened: Views, strategy: str, symbol: str, at: int, *, is_now: bool) -> Moment:
    from tradebot.report.explain import Moment
    from tradebot.store import story, views

    working = sum(
        (
            row.leaves if row.side == "buy" else -row.leaves
            for row in views.orders(opened, is_open=True, strategy=strategy, instrument=symbol)
            if row.purpose != "protect"
        ),
        Decimal(0),
    )
    seen = [ts for stream, ts in opened.progress().items() if stream.rpartition("/")[0] == symbol]
    enrolled = opened.db.execute("SELECT 1 FROM cash WHERE strategy = ? LIMIT 1", (strategy,)).fetchone()
    return Moment(
        strategy=strategy,
        instrument=symbol,
        at=at,
        is_enrolled=enrolled is not None,
        held=story.held(opened, strategy, symbol, at),
        working=working if at >= _latest(opened) else None,
        down=None if is_now else _down(opened, at),
        halt=_halt(views.halts(opened, history=True), strategy, symbol, at),
        last_data=max(seen, default=None),
    )


def _down(opened: Views, at: int) -> tuple[int, int | None] | None:
    """Return the time without a daemon that `at` lies in, None when one ran."""
    from tradebot.store import story

    lived = story.runs(opened)
    if not lived:
        return None
    if at < lived[0].started:
        return at, lived[0].started
    for gap in story.gaps(opened):
        if gap.down_from < at < gap.up_at:
            return gap.down_from, gap.up_at
    last = lived[-1]
    return (last.ended, None) if last.ended is not None and at > last.ended else None


def _halt(history: Sequence[HaltRow], strategy: str, symbol: str, at: int) -> tuple[str, str, str] | None:
    """Return the strictest halt that covered a strategy and symbol at `at`."""
    from tradebot.core.scope import HaltLevel

    latest: dict[tuple[str | None, str | None, str], HaltRow] = {}
    for row in reversed(history):  # oldest first: later ones take the place of earlier ones
        if row.ts <= at and row.strategy in (None, strategy) and row.instrument in (None, symbol):
            latest[row.strategy, row.instrument, row.rule] = row
    worst = max(latest.values(), key=lambda row: HaltLevel[row.level].value, default=None)
    return None if worst is None or worst.level == "NONE" else (worst.level, worst.rule, worst.reason)
