"""Decide what the owner is told, how loudly and how often.

Owns severities, the counting of what repeats, the day's budget, the digest of a flood and the daily
summary. Sends nothing and reads no clock: `now` is seconds of any clock that never goes back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
_LONGEST_TITLE, _LONGEST_BODY = 120, 1_500  # characters; some services refuse longer ones


class Severity(IntEnum):
    """How much a message matters; the words of `from:` in the configuration."""

    INFO = 0
    WARNING = 1
    ERROR = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that the owner may want to know; alerts of one `key` are the same thing again."""

    severity: Severity
    key: str
    title: str
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is really sent."""

    severity: Severity
    title: str
    body: str
    # The summary goes also to who wants warnings only: it is the proof that silence means peace.
    is_summary: bool = False

    def is_for(self, at_least: Severity) -> bool:
        """Return whether someone who wants to hear from `at_least` on wants this."""
        return max(self.severity, Severity.WARNING if self.is_summary else self.severity) >= at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How often the owner is spoken to. Budgets are messages a day; what is over waits for the summary."""

    first_window_s: float = HOUR  # the same thing again within this is only counted, and twice that next
    critical_window_s: float = 15 * MINUTE
    longest_window_s: float = DAY
    budget: tuple[int | None, int | None, int | None, int | None] = (3, 12, 40, None)  # by severity
    flood: int = 8  # messages of different things within `flood_window_s`; the rest becomes one digest
    flood_window_s: float = 10 * MINUTE


@dataclass(slots=True)
class _Topic:
    told_at: float
    window_s: float
    held: int = 0


@dataclass(slots=True)
class _Held:
    """What was not sent, by title, for a digest or the summary."""

    counts: Counter[str] = field(default_factory=Counter)
    severity: Severity = Severity.INFO

    def add(self, alert: Alert) -> None:
        self.counts[alert.title] += 1
        self.severity = max(self.severity, alert.severity)

    def lines(self, most: int = 12) -> list[str]:
        rows = [f"{count} x {title}" for title, count in self.counts.most_common(most)]
        rest = len(self.counts) - len(rows)
        return rows + ([f"and {rest} other kinds"] if rest > 0 else [])


class Desk:
    """Turn alerts into the messages that are worth sending."""

    def __init__(self, label: str, manners: Manners | None = None) -> None:
        self._label, self._manners = label, manners or Manners()
        self._topics: dict[str, _Topic] = {}
        self._spent: Counter[Severity] = Counter()
        self._day_began = float("-inf")
        self._unsaid = _Held()  # for the summary
        self._sent_at: list[float] = []
        self._digest = _Held()

    def offer(self, alert: Alert, now: float) -> Message | None:
        """Return the message to send for this alert, None when it is only counted."""
        self._turn_day(now)
        topic = self._topics.get(alert.key)
        if topic is not None and now - topic.told_at < topic.window_s:
            topic.held += 1
            self._unsaid.add(alert)
            return None
        again = self._begin(alert, topic, now)
        limit = self._manners.budget[alert.severity]
        if limit is not None and self._spent[alert.severity] >= limit:
            self._unsaid.add(alert)
            return None
        if self._is_flood(now):
            self._digest.add(alert)
            return None
        self._spent[alert.severity] += 1
        self._sent_at.append(now)
        return self._message(alert.severity, alert.title, [alert.body, again])

    def due(self, now: float) -> Message | None:
        """Return the digest of a flood when it has waited long enough, else None."""
        self._sent_at = [at for at in self._sent_at if now - at < self._manners.flood_window_s]
        if not self._digest.counts or self._is_flood(now):
            return None
        held, self._digest = self._digest, _Held()
        self._sent_at.append(now)
        total = sum(held.counts.values())
        return self._message(held.severity, f"{total} more alerts", held.lines())

    def summary(self, lines: list[str], now: float) -> Message:
        """Return the message of the day with what was counted instead of sent, and begin a new day."""
        unsaid, self._unsaid = self._unsaid, _Held()
        counted = ["Counted, not sent:", *unsaid.lines()] if unsaid.counts else []
        self._begin_day(now)
        return self._message(Severity.INFO, "daily summary", [*lines, *counted], is_summary=True)

    def _begin(self, alert: Alert, topic: _Topic | None, now: float) -> str:
        # A thing that keeps happening is told less and less often; after silence it is new.
        manners = self._manners
        first = manners.critical_window_s if alert.severity is Severity.CRITICAL else manners.first_window_s
        goes_on = topic is not None and now - topic.told_at < 2 * topic.window_s
        window = min(2 * topic.window_s, manners.longest_window_s) if topic is not None and goes_on else first
        self._topics.pop(alert.key, None)
        self._topics[alert.key] = _Topic(told_at=now, window_s=window)
        self._forget(now)
        if topic is None or not topic.held:
            return ""
        return f"({topic.held + 1} times since the last message about this)"

    def _forget(self, now: float) -> None:
        # Oldest first: keys with ids in them must not fill the memory.
        while len(self._topics) > 1_000 or self._is_over(next(iter(self._topics.values())), now):
            del self._topics[next(iter(self._topics))]

    def _is_over(self, topic: _Topic, now: float) -> bool:
        return now - topic.told_at >= 2 * self._manners.longest_window_s

    def _is_flood(self, now: float) -> bool:
        recent = [at for at in self._sent_at if now - at < self._manners.flood_window_s]
        return len(recent) >= self._manners.flood

    def _turn_day(self, now: float) -> None:
        # Without summaries (none configured, or the timer is ill) the budget still comes back.
        if now - self._day_began >= 1.5 * DAY:
            self._begin_day(now)

    def _begin_day(self, now: float) -> None:
        self._spent.clear()
        self._day_began = now

    def _message(
        self, severity: Severity, title: str, lines: list[str], *, is_summary: bool = False
    ) -> Message:
        body = "\n".join(line for line in lines if line)
        return Message(
            severity=severity,
            title=_cut(f"{self._label}: {title}", _LONGEST_TITLE),
            body=_cut(body or title, _LONGEST_BODY),
            is_summary=is_summary,
        )


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
