"""An Alpaca-compatible server: REST, market data streams and trade updates over one emulated house.

Written from Alpaca's published documents and recorded answers. Refuses what Alpaca refuses, in its
words. Not modelled: options, margin interest, borrow fees, the broker API, news.
"""
