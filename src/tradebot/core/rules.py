"""Name the reasons for which trading halts: whoever sets, tells of or lifts a halt takes the word from here.

Owns the words. Refuses the pre-trade rules: what they deny is denied once and halts nothing.
"""

from __future__ import annotations

OWNER = "owner"
MAX_DRAWDOWN = "max_drawdown"
MAX_DAILY_LOSS = "max_daily_loss"
MAX_REPEATS = "max_repeats"  # orders trade again and again towards one target
UNKNOWN_ORDER = "unknown_order"  # one whose fate stayed unknown
FOREIGN_FILL = "foreign_fill"  # of an order that is not ours, told as one of ours
MISMATCH = "mismatch"  # quantity or cash differs from the venue's, and nothing explains it
ANOTHER_LIFE = "another_life"  # the venue has orders under our ids that the journal does not know
NOT_MINE = "not_mine"  # something of its owner's own is in a symbol, and the owner wants to know
STORE = "store"  # facts could not be recorded
TIME_BUDGET = "time_budget"  # a strategy did not come back
CRASH_LOOP = "crash_loop"
ORPHAN = "orphan"  # its strategy was taken out of the file

KEYS = "keys"  # the venue does not accept them

# Conditions: they stand while something outside is amiss, and are lifted by whoever saw it begin.
DISCONNECTED = "disconnected"
STALE_FEED = "stale_feed"
NOT_TRADING = "not_trading"  # the venue has halted a symbol, or only takes cancels
CLOCK_OFF = "clock_off"
DIRECT = "direct"  # an account is opened without a daemon, for one thing only

CONDITIONS = (DISCONNECTED, STALE_FEED, NOT_TRADING, CLOCK_OFF, DIRECT)
BREAKERS = (MAX_DAILY_LOSS, MAX_DRAWDOWN)
CRITICAL = (MISMATCH, ANOTHER_LIFE, STORE, TIME_BUDGET, CRASH_LOOP, KEYS)  # somebody must look at once
