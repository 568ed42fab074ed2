"""Replay one strategy leg over arrays of bars, compiled: the fast twin of engine and simulated venue.

The engine is the reference. The kernel repeats the rules of `core` and `sim.bars` for one strategy
that decides on bars in advance (an array of targets), with cash in integer quanta, quantities and
prices in integer grid steps, and float64 in the engine's order of operations wherever the engine
computes in float. What it cannot repeat exactly it refuses, with the reason: `plan` before the run
for settings, `run` during it for events (a denied order, an empty account, a number too large).

It is compiled once per version of these sources and kind of CPU (see `tradebot.native`). Modules that
import `jit` are what is compiled and load the compiler; `plan`, `run` and `rows` are what calls it.
"""
