"""`tradebot flatten --direct`: close positions without a daemon, in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from tradebot.cli import operate, out
from tradebot.cli.project import find_project, located
from tradebot.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from tradebot.daemon.places import Places

_WITHIN = 120.0  # seconds


def flatten_direct(
    where: Places, config_file: str | None, aim: Mapping[str, str | None], *, as_json: bool
) -> None:
    """Close whole accounts. Ends with 1 when something is left. Raises Busy while a daemon runs."""
    from tradebot.app.direct import Closing, close_accounts

    if aim["strategy"] is not None or aim["symbol"] is not None:
        raise UsageError("--direct closes whole accounts; name one with --account")
    project = find_project(config_file)
    loaded = project.load()
    owning = [
        k.name for k in operate.traded(where, aim["account"]) if _owns(k) and k.mode == loaded.config.mode
    ]
    closing = Closing(
        config=loaded.config,
        project=project.root,
        where=where,
        accounts=owning,
        reason=aim["reason"] or "flatten --direct by the owner",
        within=_WITHIN,
    )
    with located(loaded):
        left = close_accounts(closing)
    if as_json:
        out.as_json(
            {"mode": loaded.config.mode, "closed": owning, "left": {n: list(x) for n, x in left.items()}}
        )
    else:
        _print(loaded.config.mode, left)
    is_done = not any(left.values())
    click.get_current_context().exit(int(ExitCode.OK if is_done else ExitCode.FAILED))


def _owns(kept: operate.Kept) -> bool:
    from tradebot.store import views

    with operate.views(kept) as opened:
        held = [row for row in views.positions(opened) if row.strategy is not None]
        return bool(held or views.orders(opened, is_open=True, limit=1))


def _print(mode: str, left: Mapping[str, object]) -> None:
    word = operate.mode_word(mode)
    if not left:
        out.show(f"{word}  nothing is held and no order works")
    for name, rest in left.items():
        lines = list(rest) if isinstance(rest, (list, tuple)) else []
        out.show(f"{word}  {name}  {'closed' if not lines else 'not all could be closed'}")
        for line in lines:
            out.show(f"  still {line}")
    if left:
        out.note("It stays halted: nothing is opened again before tradebot resume.")
