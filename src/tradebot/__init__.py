"""tradebot: a trading daemon and research command line for one person's own money."""

__version__ = "0.1.0"
