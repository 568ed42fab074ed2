"""Replay one strategy leg over arrays of bars, compiled: the fast twin of engine and simulated venue.

The engine is the reference. The kernel repeats the rules of `core` and `sim.bars` for one strategy
that decides on bars in advance (an array of targets), with cash in integer quanta, quantities and
prices in integer grid steps, and float64 in the engine's order of operations wherever the engine
computes in float. What it cannot repeat exactly it refuses, with the reason: `plan` before the run
for settings, `run` during it for events (a denied order, an empty account, a number too large).

`plan` needs neither numba nor numpy, so that asking costs nothing; importing `run` loads the
compiled code. It is compiled once per version of this package and kept by numba beside the sources
or, where those are read-only, in the user's cache directory (NUMBA_CACHE_DIR overrides both).
"""
