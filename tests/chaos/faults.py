"""Draw what goes wrong, from one seed, and count what did.

Owns the names of all faults and of the recovery branches that must be seen to be taken. Refuses to act:
whoever draws a fault lets it happen.
"""

from __future__ import annotations

import random
from collections import Counter

# name -> how likely at most, each time it could happen; a seed takes some of them, at rates of its own.
RATES = {
    "request lost": 0.2,
    "connection refused": 0.15,
    "answer lost": 0.2,
    "504 before": 0.15,
    "504 after": 0.2,
    "request late": 0.1,
    "request very late": 0.2,
    "request twice": 0.2,
    "answer empty": 0.5,
    "refused": 0.1,
    "report dropped": 0.5,
    "report twice": 0.3,
    "report late": 0.3,
    "reports reordered": 0.4,
    "read fails": 0.2,
    "read stale": 0.3,
}


class Faults:
    """The faults of one seed. `counts` are all that happened, of faults and of recovery alike."""

    def __init__(self, rng: random.Random, strength: float = 1.0) -> None:
        self._rng = rng
        self.is_on = True
        self.counts: Counter[str] = Counter()
        self.rates = {
            name: rng.random() * most * strength if rng.random() < 0.4 else 0.0
            for name, most in RATES.items()
        }

    def hit(self, name: str) -> bool:
        """Return whether this fault happens now."""
        rate = self.rates[name]
        if not self.is_on or not rate or self._rng.random() >= rate:
            return False
        self.counts[name] += 1
        return True

    def saw(self, name: str) -> None:
        """Count something that happened."""
        self.counts[name] += 1
