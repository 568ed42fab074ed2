"""A deterministic venue: orders in, reports out, the same fills for the same bars every time.

Depends on the core only; knows no engine, strategy, clock, file or random number.
"""
