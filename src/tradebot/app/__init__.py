"""Put a run together: configuration in, feed, venue, engine and driver out.

The composition root, and the only reader of `mode`. Decides nothing about trading. Imports nothing here:
the daemon and a backtest load only what they use.
"""
