"""Time tradebot beside its peers; see docs/performance.md."""
