"""Ask Alpaca about what is traded and what was: assets, bars with paging, corporate actions.

Owns the conversion of Alpaca's bar times (the start; New York's midnight for a day of a stock) into ours
(the close). Refuses bars that are not over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from tradebot.adapters.alpaca.account import NEW_YORK, new_york_midnight, stamp
from tradebot.adapters.alpaca.parse import (
    Row,
    Unreadable,
    amount,
    amount_or_none,
    moment,
    price,
    row_of,
    text,
)
from tradebot.adapters.alpaca.refusals import is_absent
from tradebot.adapters.alpaca.rest import Json, Refused, Rest
from tradebot.core.messages import Dividend, Split
from tradebot.core.model import (
    ALWAYS_OPEN,
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    AssetClass,
    Bar,
    Instrument,
)
from tradebot.errors import ConfigError, Problem, VenueUnreachable

_CENT = Decimal("0.01")
_FRACTION = Decimal("0.000001")
_CLASSES = {"us_equity": AssetClass.STOCK, "crypto": AssetClass.CRYPTO}
_AROUND = timedelta(days=60)  # Alpaca lists an action under the day it is processed


class History:
    """What Alpaca knows of the past. `feed` is "iex" or "sip"."""

    def __init__(
        self,
        rest: Rest,
        feed: str,
        *,
        now: Callable[[], int],
        is_fractional: bool = False,
        page: int = 10_000,
    ) -> None:
        self._rest = rest
        self._feed = feed
        self._now = now
        self._is_fractional = is_fractional
        self._page = page
        self._closes: dict[date, int] = {}
        self._known: tuple[date, date] | None = None

    async def instruments(self, names: Sequence[str]) -> dict[str, Instrument]:
        """Return what Alpaca says of these. Raises ConfigError naming those it does not trade."""
        found: dict[str, Instrument] = {}
        problems: list[Problem] = []
        for name in names:
            row = await self._asset(name)
            if row is None or row.get("tradable") is not True or row.get("symbol") != name:
                why = "no such symbol" if row is None else f"status {row.get('status')}"
                said = "must be a symbol that Alpaca trades"
                problems.append(Problem(file="alpaca", line=None, key=name, message=f"{said}: {why}"))
                continue
            try:
                found[name] = self._instrument(row)
            except Unreadable as exc:
                raise VenueUnreachable(f"Alpaca's word on {name} cannot be read: {exc}") from exc
        if problems:
            raise ConfigError(problems)
        return found

    async def bars(self, instrument: Instrument, interval: int, start: int, end: int) -> list[Bar]:
        """Return the closed bars with start < ts <= end, oldest first."""
        timeframe, end = _timeframe(interval), min(end, self._now())
        if end <= start:
            return []
        is_crypto = instrument.asset_class is AssetClass.CRYPTO
        if interval == DAY and is_crypto:
            # Alpaca's days of crypto do not begin at UTC's midnight; its hours do.
            return _days(await self.bars(instrument, HOUR, start - DAY, end), start, end)
        if interval == DAY:
            await self._learn_closes(start, end)
        began = start - interval + 1 if interval < DAY else start - 2 * DAY
        found: dict[int, Bar] = {}
        for row in await self._pages(instrument, timeframe, began, end):
            bar = self.bar(row, instrument.id, interval)
            if bar is not None and start < bar.ts <= end:
                found[bar.ts] = bar
        return [found[ts] for ts in sorted(found)]

    def bar(self, row: Row, name: str, interval: int) -> Bar | None:
        """Return the bar of a row, None where no session of its day is known. Raises VenueUnreachable."""
        try:
            began = moment(row, "t") if isinstance(row.get("t"), str) else int(row["t"].to_unix_nano())
            values = [price(row, field) for field in ("o", "h", "l", "c", "v")]
        except (Unreadable, AttributeError, KeyError) as exc:
            raise VenueUnreachable(f"a bar of {name} cannot be read: {exc}") from exc
        ts: int | None = began + interval
        if interval == DAY:
            ts = self._closes.get(datetime.fromtimestamp(began // SECOND, NEW_YORK).date())
        return None if ts is None else Bar(name, ts, interval, *values)

    async def actions(self, names: Sequence[str], start: int, end: int) -> list[Split | Dividend]:
        """Return splits and cash dividends whose ex-day began in start < ts <= end, oldest first."""
        first = datetime.fromtimestamp(start // SECOND, UTC).date() - _AROUND
        last = datetime.fromtimestamp(end // SECOND, UTC).date() + _AROUND
        params = {
            "symbols": ",".join(names),
            "types": "forward_split,reverse_split,cash_dividend",
            "start": first.isoformat(),
            "end": last.isoformat(),
            "limit": "1000",
        }
        found: list[Split | Dividend] = []
        while names:
            page = await self._object("/corporate-actions", params, "actions")
            groups = page.get("corporate_actions")
            for group, rows in (groups or {}).items() if isinstance(groups, dict | None) else ():
                for row in rows or ():
                    action = _action(group, row)
                    if action is not None and start < action.ts <= end and action.instrument in names:
                        found.append(action)
            token = page.get("next_page_token")
            if not isinstance(token, str) or not token:
                break
            params["page_token"] = token
        return sorted(found, key=lambda action: action.ts)

    async def clock(self) -> int:
        """Return the venue's time."""
        row = await self._object("/clock", {}, "read")
        try:
            return moment(row, "timestamp")
        except Unreadable as exc:
            raise VenueUnreachable(f"Alpaca's clock cannot be read: {exc}") from exc

    # --- pieces -----------------------------------------------------------------------------------

    async def _asset(self, name: str) -> Row | None:
        try:
            return row_of(await self._rest.get(f"/assets/{name.replace('/', '%2F')}"))
        except Refused as exc:
            if is_absent(exc.said) or exc.said.status == 404:
                return None
            raise VenueUnreachable(f"Alpaca did not say what {name} is: {exc}") from exc
        except Unreadable as exc:
            raise VenueUnreachable(f"Alpaca's word on {name} cannot be read: {exc}") from exc

    def _instrument(self, row: Row) -> Instrument:
        name, kind = text(row, "symbol"), _CLASSES.get(str(row.get("class")))
        if kind is AssetClass.CRYPTO:
            base, _, quote = name.partition("/")
            return Instrument(
                id=name,
                base=base,
                quote=quote or "USD",
                asset_class=kind,
                tick_size=amount(row, "price_increment"),
                lot_size=amount(row, "min_trade_increment"),
                min_qty=amount_or_none(row, "min_order_size") or Decimal(0),
                min_notional=Decimal(1),
                shortable=False,
                calendar=ALWAYS_OPEN,
            )
        if kind is not AssetClass.STOCK:
            raise Unreadable(f"class must be us_equity or crypto, was {row.get('class')!r}")
        may_split = self._is_fractional and row.get("fractionable") is True
        return Instrument(
            id=name,
            base=name,
            quote="USD",
            asset_class=kind,
            tick_size=_CENT,
            lot_size=_FRACTION if may_split else Decimal(1),
            min_notional=Decimal(1) if may_split else Decimal(0),
            shortable=row.get("shortable") is True and row.get("easy_to_borrow") is True,
            calendar="XNYS",
        )

    async def _pages(self, instrument: Instrument, timeframe: str, start: int, end: int) -> list[Row]:
        is_crypto = instrument.asset_class is AssetClass.CRYPTO
        path, lane = ("/crypto/us/bars", "crypto") if is_crypto else ("/stocks/bars", "stocks")
        params = {
            "symbols": instrument.id,
            "timeframe": timeframe,
            "start": stamp(start),
            "end": stamp(end),
            "limit": str(self._page),
            "sort": "asc",
        }
        if not is_crypto:
            params |= {"adjustment": "raw", "feed": self._feed}
        found: list[Row] = []
        seen: set[str] = set()
        while True:
            page = await self._object(path, params, lane)
            bars = page.get("bars")
            rows = bars.get(instrument.id) if isinstance(bars, dict) else None
            found += [row for row in rows or () if isinstance(row, dict)]
            token = page.get("next_page_token")
            if not isinstance(token, str) or not token:
                return found
            if token in seen:
                raise VenueUnreachable(f"Alpaca gave the same page of {instrument.id} twice")
            seen.add(token)
            params["page_token"] = token

    async def _learn_closes(self, start: int, end: int) -> None:
        """Learn when the sessions around a span closed, half-days included."""
        first = datetime.fromtimestamp(start // SECOND, NEW_YORK).date() - timedelta(days=3)
        last = datetime.fromtimestamp(end // SECOND, NEW_YORK).date() + timedelta(days=1)
        if self._known is not None and self._known[0] <= first and last <= self._known[1]:
            return
        answer = await self._get("/calendar", {"start": first.isoformat(), "end": last.isoformat()}, "read")
        for row in answer if isinstance(answer, list) else ():
            try:
                day = date.fromisoformat(text(row, "date"))
                hours, _, minutes = text(row, "close").partition(":")
                closed = datetime(day.year, day.month, day.day, int(hours), int(minutes), tzinfo=NEW_YORK)
            except ValueError as exc:
                raise VenueUnreachable(f"Alpaca's calendar cannot be read: {exc}") from exc
            self._closes[day] = int(closed.timestamp()) * SECOND
        self._known = (first, last)

    async def _object(self, path: str, params: dict[str, str], lane: str) -> Row:
        try:
            return row_of(await self._get(path, params, lane))
        except Unreadable as exc:
            raise VenueUnreachable(f"Alpaca's answer to {path} cannot be read: {exc}") from exc

    async def _get(self, path: str, params: dict[str, str], lane: str) -> Json:
        try:
            return await self._rest.get(path, params, lane=lane)
        except Refused as exc:
            raise VenueUnreachable(f"Alpaca did not answer {path}: {exc}") from exc


def _timeframe(interval: int) -> str:
    for unit, name, most in ((DAY, "Day", 1), (HOUR, "Hour", 23), (MINUTE, "Min", 59)):
        count, rest = divmod(interval, unit)
        if not rest and 1 <= count <= most:
            return f"{count}{name}"
    seconds = interval / SECOND
    said = f"must be 1 to 59 minutes, 1 to 23 hours or a day at Alpaca, was {seconds:g} s"
    raise ConfigError([Problem(file="alpaca", line=None, key="interval", message=said)])


def _days(hours: Sequence[Bar], start: int, end: int) -> list[Bar]:
    """Return whole UTC days made of hours."""
    days: dict[int, Bar] = {}
    for bar in hours:
        ts = -(-bar.ts // DAY) * DAY
        day = days.get(ts)
        if day is None:
            days[ts] = bar._replace(ts=ts, interval=DAY)
        else:
            days[ts] = day._replace(
                high=max(day.high, bar.high),
                low=min(day.low, bar.low),
                close=bar.close,
                volume=day.volume + bar.volume,
            )
    return [bar for ts, bar in sorted(days.items()) if start < ts <= end]


def _action(group: str, row: Row) -> Split | Dividend | None:
    try:
        name, ts = text(row, "symbol"), new_york_midnight(text(row, "ex_date"))
        if group in ("forward_splits", "reverse_splits"):
            new, old = amount(row, "new_rate"), amount(row, "old_rate")
            if new <= 0 or old <= 0:
                raise Unreadable(f"a split must have rates above 0, had {new} for {old}")
            return Split(ts=ts, instrument=name, ratio=new / old)
        if group == "cash_dividends":
            pays = row.get("payable_date")
            pays_at = new_york_midnight(pays) if isinstance(pays, str) else ts
            return Dividend(ts=ts, instrument=name, amount=amount(row, "rate"), pays_at=max(pays_at, ts))
    except Unreadable as exc:
        raise VenueUnreachable(f"a corporate action of Alpaca cannot be read: {exc}") from exc
    return None
