"""Market data on disk: the catalogue, import, checks, resampling, calendars, synthetic markets.

Nothing here trades. Imports of pandas and exchange_calendars are deferred: reading stored bars
costs numpy and pyarrow, nothing else.
"""
