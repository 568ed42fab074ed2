"""Compare two computed floats so that rounding never decides.

Owns the tie rule of the project. Refuses to round anything: values stay as they are, only the
answer to "which is larger" knows that the last digits mean nothing.

Two averages that are equal on paper come out different in the last digits, depending on how
they were summed and on where the series began; a plain `>` then trades on noise. A relative
difference of at most `TIE` therefore counts as equal. On prices that are multiples of a tick,
averages over m and n bars differ by 0 or by at least tick / lcm(m, n); the rule is exact while
that is more than `TIE` times the price (cents and SMA 50/200: prices below 50,000).
"""

from __future__ import annotations

TIE = 1e-9


def above(a: float, b: float) -> bool:
    """Return whether `a` is larger than `b` by more than rounding: a - b > TIE * max(|a|, |b|).

    False when either is NaN. Both must be finite.
    """
    # Of two numbers a > b the one of larger size is a if a > -b, else b: three times faster than
    # max(abs(a), abs(b)), in a function that runs on every bar.
    return a > b and a - b > TIE * (a if a > -b else -b)


def below(a: float, b: float) -> bool:
    """Return whether `a` is smaller than `b` by more than rounding; False when either is NaN."""
    return b > a and b - a > TIE * (b if b > -a else -a)


def tied(a: float, b: float) -> bool:
    """Return whether `a` and `b` differ by no more than rounding; False when either is NaN."""
    return abs(a - b) <= TIE * max(abs(a), abs(b))


def crossed_above(a_before: float, b_before: float, a: float, b: float) -> bool:
    """Return whether `a` is above `b` now and was not on the bar before (a tie is "not above").

    So a line that comes from below through a tie crosses on the bar that leaves the tie, and so
    does one that touches and goes up again. False when any of the four is NaN.
    """
    return above(a, b) and (a_before <= b_before or tied(a_before, b_before))


def crossed_below(a_before: float, b_before: float, a: float, b: float) -> bool:
    """Return whether `a` is below `b` now and was not on the bar before (a tie is "not below")."""
    return crossed_above(b_before, a_before, b, a)
