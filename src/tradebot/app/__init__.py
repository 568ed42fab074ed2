"""Put a run together: configuration in, feed, venue, engine and driver out.

The composition root, and the only reader of `mode`. Decides nothing about trading.
"""

from tradebot.app.backtest import BacktestRequest, backtest

__all__ = ["BacktestRequest", "backtest"]
