"""Dialling again: soon, later, and never in a storm."""

from tradebot.adapters.ccxt.pauses import Pauses


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_never_stood_is_dialled_ever_later() -> None:
    pauses = Pauses(clock=Clock())

    assert [pauses.after(has_stood=False) for _ in range(9)] == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert pauses.after(has_stood=True) == 0.25


def test_what_stands_and_falls_at_once_is_not_dialled_in_a_storm() -> None:
    clock = Clock()
    pauses = Pauses(quick=5, clock=clock)
    waited = []
    for _ in range(12):
        waited.append(pauses.after(has_stood=True))
        clock.now += waited[-1] + 0.1

    assert waited[:5] == [0.25] * 5
    assert waited[-1] >= 16
    clock.now += 120
    assert pauses.after(has_stood=True) == 0.25
