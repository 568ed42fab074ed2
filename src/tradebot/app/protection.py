"""See to it that protective exits can rest at a venue over a wire before anything is bought there.

Owns that check. An exit that its venue would refuse shows only once a position is open, and then it is
without protection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tradebot.config.models import Config
from tradebot.config.strategies import Exits
from tradebot.core.model import Instrument, OrderKind
from tradebot.core.ports import LiveVenue
from tradebot.core.resting import Beside
from tradebot.errors import ConfigError, Problem

_PAIR = {"stop_loss", "take_profit"}


def check_exits(
    config: Config, account: str, venue: LiveVenue, instruments: Mapping[str, Instrument]
) -> None:
    """Raise ConfigError naming each exit that cannot rest where the configuration wants it."""
    problems: list[Problem] = []
    for i, words in enumerate(config.strategies):
        wanted = _wanted(words.exits)
        if words.account != account or words.exits.where != "venue" or not wanted:
            continue
        place = config.accounts[account].venue
        why = [
            f"{key}: {reason}"
            for key, kind in wanted.items()
            for reason in _reasons(venue, kind, [instruments[n] for n in words.instruments])
        ]
        if len(wanted) > 1 and not (venue.resting.pairs and set(wanted) == _PAIR):
            why.append(f"{' and '.join(wanted)} cannot both rest there: one holds what the other would need")
        if venue.resting.beside is Beside.NOTHING:
            why += _shared(config, i, account)
        if why:
            message = f"must be able to rest at {place}, or say `where: engine`: {'; '.join(why)}"
            problems.append(
                Problem(file="configuration", line=None, key=f"strategies[{i}].exits", message=message)
            )
    if problems:
        raise ConfigError(problems)


def _shared(config: Config, index: int, account: str) -> list[str]:
    """Return which instruments another strategy of the account trades: it could send nothing beside a stop."""
    mine = config.strategies[index]
    others = [s for k, s in enumerate(config.strategies) if k != index and s.account == account]
    return [
        f"{name} is traded by {other.id}, too, and the venue takes nothing beside what protects it"
        for other in others
        for name in mine.instruments
        if name in other.instruments
    ]


def _wanted(exits: Exits) -> dict[str, OrderKind]:
    kinds = {
        "stop_loss": (exits.stop_loss, OrderKind.STOP),
        "take_profit": (exits.take_profit, OrderKind.LIMIT),
        "trailing": (exits.trailing, OrderKind.TRAILING_STOP),
    }
    return {key: kind for key, (value, kind) in kinds.items() if value is not None}


def _reasons(venue: LiveVenue, kind: OrderKind, instruments: list[Instrument]) -> Iterator[str]:
    found = (venue.cannot_rest(kind, instrument) for instrument in instruments)
    yield from dict.fromkeys(reason for reason in found if reason)
