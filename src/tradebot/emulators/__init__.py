"""Venues on loopback: servers that speak a real venue's protocol over the simulator's matching core.

`house` is the venue behind every face, `wire` brings its words (and faults) over real sockets, `admin`
lets tests and owners move the market and break things. Refuses any address but loopback.
"""
