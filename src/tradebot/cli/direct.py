"""`tradebot flatten --direct` and `reconcile --adopt` without a daemon: done in this process."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from tradebot.cli import operate, out
from tradebot.cli.project import find_project, located
from tradebot.core.scope import Scope
from tradebot.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from tradebot.app.direct import Acting
    from tradebot.config.models import Config
    from tradebot.daemon.places import Places

_WITHIN = 120.0  # seconds


def flatten_direct(
    where: Places, config_file: str | None, aim: Mapping[str, str | None], *, as_json: bool
) -> None:
    """Close accounts, a strategy or a symbol. Ends with 1 when something is left. Raises Busy while a daemon runs."""
    from tradebot.app.direct import close_accounts

    kept = operate.traded(where, aim["account"])
    scope = Scope(aim["strategy"], aim["symbol"])
    project = find_project(config_file)
    loaded = project.load()
    mode = loaded.config.mode
    owning = [k.name for k in kept if k.mode == mode and _owns(k, scope)]
    if not owning and scope != Scope():
        named = " in ".join(filter(None, scope))
        raise UsageError(f"nothing is held or working of {named}; see tradebot positions")
    acting = _acting(
        where, project.root, loaded.config, owning, aim["reason"] or "flatten --direct by the owner"
    )
    with located(loaded):
        left = close_accounts(acting, scope)
    if as_json:
        out.as_json({"mode": mode, "closed": owning, "left": {n: list(x) for n, x in left.items()}})
    else:
        _print(mode, left)
    is_done = not any(left.values())
    click.get_current_context().exit(int(ExitCode.OK if is_done else ExitCode.FAILED))


def adopt_direct(
    where: Places, config_file: str | None, account: str | None, reason: str
) -> Mapping[str, Any]:
    """Take the venue's word; returns what a daemon would have answered. Raises Busy while one runs."""
    from tradebot.app.direct import adopt_accounts
    from tradebot.daemon.control_state import line

    project = find_project(config_file)
    loaded = project.load()
    mode = loaded.config.mode
    names = [k.name for k in operate.traded(where, account) if k.mode == mode]
    with located(loaded):
        adopted = adopt_accounts(_acting(where, project.root, loaded.config, names, reason))
    return {"mode": mode, "adopted": {name: [line(one) for one in found] for name, found in adopted.items()}}


def _acting(where: Places, project: Path, config: Config, accounts: Sequence[str], reason: str) -> Acting:
    from tradebot.app.direct import Acting
    from tradebot.daemon.secrets import Vault

    vault = Vault(credentials=where.credentials, files=where.key_files, env=os.environ, warn=out.note)
    return Acting(
        config=config,
        project=project,
        where=where,
        vault=vault,
        accounts=accounts,
        reason=reason,
        within=_WITHIN,
    )


def _owns(kept: operate.Kept, scope: tuple[str | None, ...]) -> bool:
    from tradebot.store import views

    strategy, instrument = scope[:2]
    with operate.views(kept) as opened:
        held = [
            row
            for row in views.positions(opened)
            if row.strategy is not None
            and strategy in (None, row.strategy)
            and instrument in (None, row.instrument)
        ]
        working = views.orders(opened, is_open=True, limit=1, strategy=strategy, instrument=instrument)
        return bool(held or working)


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
