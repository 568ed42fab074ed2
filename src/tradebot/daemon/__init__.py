"""Keep trading: the long-lived process round the engine, and everything it needs to be trusted at night."""
