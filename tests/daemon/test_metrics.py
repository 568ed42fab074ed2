"""Figures for Prometheus: there, right, and for this machine only."""

import re
import socket
from pathlib import Path

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import tradebot
from tradebot.daemon.metrics import Metrics, require_loopback, serve
from tradebot.errors import Busy, ConfigError, ExitCode

RULES = Path(__file__).parents[2] / "config" / "alerts.rules.yml"
NINE_NS = 1_777_885_200_000_000_000


def used() -> Metrics:
    """Return metrics in which everything has happened once."""
    metrics = Metrics("paper", wall_ns=lambda: NINE_NS)
    metrics.bar("SPX", NINE_NS - 12_500_000_000)
    metrics.cycle("engine", NINE_NS - 1_000_000_000)
    metrics.loop_lag.set(0.002)
    metrics.queue_depth.set(3)
    metrics.conflated.inc()
    metrics.order_latency.observe(0.0008)
    metrics.orders.labels("main").inc(2)
    metrics.rejects.labels("main", "gate").inc()
    metrics.fills.labels("main").inc()
    metrics.unknown.labels("main").set(0)
    metrics.equity.labels("main", "USD").set(10_212.4)
    metrics.drawdown.labels("main").set(0.012)
    metrics.halt_level.labels("main").set(0)
    metrics.breaker.labels("main", "max_drawdown").set(0)
    metrics.database.labels("main", "journal.db").set(4096)
    metrics.alerts_lost.inc()
    metrics.log_lines_dropped.inc()
    return metrics


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return what the page says, by name and values of labels."""
    families = text_string_to_metric_families(metrics.page().decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_page_shows_what_was_told() -> None:
    found = samples(used())

    assert found["tradebot_last_bar_age_seconds", "SPX"] == 12.5
    assert found["tradebot_last_cycle_age_seconds", "engine"] == 1.0
    assert found["tradebot_orders_total", "main"] == 2.0
    assert found["tradebot_rejects_total", "main", "gate"] == 1.0
    assert found["tradebot_equity", "main", "USD"] == 10_212.4
    assert found["tradebot_order_latency_seconds_bucket", "0.001"] == 1.0
    assert ("process_resident_memory_bytes",) in found
    (build,) = [key for key in found if key[0] == "tradebot_build_info"]
    assert {"paper", tradebot.__version__} <= set(build)


def test_instrument_that_is_not_followed_any_more_has_no_age() -> None:
    metrics = used()
    metrics.forget("SPX")
    metrics.forget("never followed")

    assert not [key for key in samples(metrics) if key[0] == "tradebot_last_bar_age_seconds"]


def test_two_daemons_in_one_process_share_no_figure() -> None:
    one, two = used(), Metrics("live")

    assert ("tradebot_orders_total", "main") in samples(one)
    assert ("tradebot_orders_total", "main") not in samples(two)


def test_every_metric_of_the_alert_rules_is_exported() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    exported = {key[0] for key in samples(used())}

    assert len(rules) >= 10
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        names = set(re.findall(r"\b(?:tradebot|process)_\w+", rule["expr"]))
        assert names
        assert sorted(names - exported) == [], rule["alert"]


def test_every_label_of_the_alert_rules_is_exported() -> None:
    families = text_string_to_metric_families(used().page().decode())
    labels = {label for family in families for sample in family.samples for label in sample.labels}

    assert set(re.findall(r"\$labels\.(\w+)", RULES.read_text())) <= labels


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "::", "example.org", ""])
async def test_address_that_others_reach_is_78(host: str) -> None:
    with pytest.raises(ConfigError, match=r"must be 127\.0\.0\.1, ::1 or localhost, was") as raised:
        await serve(Metrics("paper"), host)
    assert raised.value.exit_code is ExitCode.CONFIG


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_address_of_this_machine_is_fine(host: str) -> None:
    require_loopback(host)


async def test_page_is_served_to_who_asks_for_this_machine_by_name() -> None:
    served = await serve(used(), port=0)
    try:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{served.port}/metrics"
            async with session.get(url) as answer:
                assert answer.status == 200
                assert b"tradebot_fills_total" in await answer.read()
            for name, status in (
                ("localhost", 200),
                ("[::1]:9", 200),
                ("evil.example", 403),
                ("evil.example:9", 403),
            ):
                async with session.get(url, headers={"Host": name}) as answer:
                    assert answer.status == status, name
            for method, path, status in (("GET", "", 404), ("POST", "metrics", 405)):
                async with session.request(method, f"http://127.0.0.1:{served.port}/{path}") as answer:
                    assert answer.status == status
    finally:
        await served.close()


async def test_port_that_is_taken_is_said() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(Busy, match=f"metrics: 127.0.0.1:{port} must be free, is not"):
            await serve(Metrics("paper"), port=port)
