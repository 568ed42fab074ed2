"""Say once what every engine is asked to do, and answer the runner line by line.

Owns the terms of the comparison and the way a measured process speaks: one line in ("run"), one
line of JSON out. Imported by the peers' environment too, so it needs nothing but Python.

A process measures its own CPU time: on a shared machine that is what stays comparable.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable

BARS = 525_600  # a year of minutes
FAST, SLOW = 50, 200  # bars of the two averages
SIZE = 10  # units bought while fast > slow, sold while fast < slow; a tie changes nothing
CASH = 100_000
FEE = 0.001  # of the notional, each side

Answer = dict[str, float | int | str]


def serve(run: Callable[[], Answer], **known: float | int | str) -> None:
    """Do `run` once per line read, and answer with its CPU seconds and what it returned."""
    for _ in sys.stdin:
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        found = run()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answer = {**known, **found, "cpu_s": cpu, "wall_s": wall, "peak_mb": round(peak_mb, 1)}
        print(json.dumps(answer), flush=True)
