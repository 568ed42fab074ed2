"""Everything of ccxt: exchanges' orders, market data, history and the meaning of their errors."""
