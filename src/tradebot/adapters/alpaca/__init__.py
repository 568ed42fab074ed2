"""Alpaca through alpaca-py: orders, the account, live and past market data.

`venue.AlpacaVenue` and `feed.AlpacaFeed` are its two doors; nothing outside imports the library. Owns the
translation both ways. Refuses to decide what an unclear answer means for an order: it says that it is unclear.
"""
