"""Run the common work on the compiled kernel: `python -m benchmarks.kernel BARS.npz`.

One run is indicators, comparison and kernel: what takes closes and gives fills, an equity curve and
the deepest drawdown. The averages are the compiled twin of `core.indicators.Sma`.
"""

from __future__ import annotations

import sys
from decimal import Decimal

import numpy as np

from benchmarks import work
from benchmarks.cross import Cross
from benchmarks.engine import series_of, setup_of
from tradebot.data.arrays import BarArrays
from tradebot.sim.fees import BpsFees
from tradebot.sim.kernel.plan import Plan, Refusal, Venue, plan


def plan_of() -> Plan:
    """Return the kernel's plan for the run's terms."""
    bps = Decimal(str(work.FEE)) * 10_000
    setup = setup_of(Cross.Params(fast=work.FAST, slow=work.SLOW))
    made = plan(setup, "cross", Venue(fees=BpsFees(maker=bps, taker=bps)))
    if not isinstance(made, Plan):
        raise SystemExit(f"the kernel refuses the common work: {made.reason}")
    return made


def main() -> None:
    from tradebot.sim.kernel.rows import crossover
    from tradebot.sim.kernel.run import KernelRun, prepare, run

    stored = np.load(sys.argv[1])
    series, made = series_of({name: stored[name] for name in stored.files}), plan_of()
    columns = series.columns
    if not isinstance(columns, BarArrays):
        raise SystemExit("the common work is on bars")
    bars = prepare(columns)
    if isinstance(bars, Refusal):
        raise SystemExit(f"the kernel refuses the bars: {bars.reason}")

    def backtest() -> work.Answer:
        targets = crossover(columns.close, work.FAST, work.SLOW)
        ran = run(made, bars, targets)
        if not isinstance(ran, KernelRun):
            raise SystemExit(f"the kernel gave up: {ran.reason}")
        return {"trades": len(ran) // 2, "equity": float(ran.equity[-1])}

    work.serve(backtest, engine="tradebot kernel", bars=len(columns))


if __name__ == "__main__":
    main()
