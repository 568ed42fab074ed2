"""Tell what a finished run did: measure it, print it, draw it, keep it.

Reads `RunResult` and nothing else; knows no engine, venue or catalogue. Heavy parts (rich,
plotly's script) are loaded by the functions that need them, never by importing this package.
"""
