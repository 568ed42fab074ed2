"""What may be asked per second, and that cancels go first."""

from __future__ import annotations

import pytest

from tradebot.adapters.ccxt.budget import Budget
from tradebot.errors import RateLimited


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make_budget(clock: Clock, **terms: float) -> Budget:
    return Budget(per_second=10.0, capacity=100.0, clock=clock, **terms)


async def spend(budget: Budget, cost: float, *, is_urgent: bool = False) -> None:
    assert budget.wait_for(cost, is_urgent=is_urgent) == 0
    await budget.take(cost, is_urgent=is_urgent)


async def test_ordinary_requests_leave_a_fifth_for_cancels() -> None:
    clock = Clock()
    budget = make_budget(clock)

    await spend(budget, 80)

    assert budget.wait_for(1, is_urgent=False) > 0
    await spend(budget, 20, is_urgent=True)
    assert budget.wait_for(1, is_urgent=True) == pytest.approx(0.1)
    clock.now = 2.1
    assert budget.wait_for(1, is_urgent=False) == pytest.approx(0)


async def test_a_pause_that_is_asked_for_holds_for_everything() -> None:
    clock = Clock()
    budget = make_budget(clock)

    budget.heard(429, {"Retry-After": "20"})

    for is_urgent in (False, True):
        assert budget.wait_for(1, is_urgent=is_urgent) == 20
        with pytest.raises(RateLimited, match="nothing was sent"):
            await budget.take(1, is_urgent=is_urgent)
    clock.now = 20.0
    assert budget.wait_for(1, is_urgent=False) == 0


async def test_a_ban_without_a_time_is_waited_out() -> None:
    budget = make_budget(Clock())

    budget.heard(418, {})
    budget.heard(200, {"Retry-After": "500"})

    assert budget.wait_for(1, is_urgent=True) == 120


async def test_a_request_dearer_than_the_bucket_goes_when_it_is_full() -> None:
    budget = make_budget(Clock())

    await spend(budget, 1000)
