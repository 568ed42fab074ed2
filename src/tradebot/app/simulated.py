"""Make the simulated venue of an account from the configuration's words.

The backtest and the paper account get the same one, so that they fill, charge and wait alike.
"""

from __future__ import annotations

from collections.abc import Mapping

from tradebot.app import plan
from tradebot.config.models import Config
from tradebot.core.model import Instrument
from tradebot.sim.accounts import SimAccount
from tradebot.sim.venue import SimVenue


def sim_venue(config: Config, account: str, instruments: Mapping[str, Instrument]) -> SimVenue:
    """Return a venue that holds the account's first cash and nothing else."""
    words = config.accounts[account]
    return SimVenue(
        instruments=instruments,
        accounts={
            account: SimAccount(model=words.model, cash={money.asset: money.amount for money in words.cash})
        },
        settings=plan.fill_settings(config.fills_of(account)),
        fees=plan.fee_model(config.fees_of(account), config.rates, instruments.values()),
        slippage=plan.slippage_model(config.slippage_of(account)),
        latency=plan.latency_model(config.latency_of(account)),
    )
