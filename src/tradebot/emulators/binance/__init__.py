"""Binance spot on loopback: its REST, market streams and user stream over the simulator's matching core."""
