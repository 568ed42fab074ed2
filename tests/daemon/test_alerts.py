"""The owner is told what matters, once, and is left in peace on a quiet day."""

from hypothesis import given
from hypothesis import strategies as st

from tradebot.daemon.alerts import DAY, HOUR, MINUTE, Alert, Desk, Message, Severity

INFO, WARNING, ERROR, CRITICAL = Severity


def alert(severity: Severity = WARNING, key: str = "feed:SPX", title: str = "", body: str = "") -> Alert:
    return Alert(severity=severity, key=key, title=title or key, body=body)


def told(desk: Desk, times: list[float], severity: Severity = WARNING) -> list[float]:
    """Return at which of `times` one and the same alert was sent."""
    return [at for at in times if desk.offer(alert(severity), at)]


def test_a_message_says_paper_or_live_first() -> None:
    message = Desk("PAPER bot").offer(alert(title="feed is silent", body="SPX, 4 minutes"), 0.0)

    assert message == Message(severity=WARNING, title="PAPER bot: feed is silent", body="SPX, 4 minutes")


def test_the_same_thing_again_is_told_less_and_less_often() -> None:
    every_minute = [i * MINUTE for i in range(3 * 24 * 60)]

    hours = [at / HOUR for at in told(Desk("PAPER"), every_minute)]
    assert hours == [0, 1, 3, 7, 15, 31, 55]


def test_what_is_critical_is_told_again_sooner() -> None:
    minutes = [at / MINUTE for at in told(Desk("PAPER"), [i * MINUTE for i in range(240)], CRITICAL)]

    assert minutes == [0, 15, 45, 105, 225]


def test_what_was_silent_long_enough_is_new() -> None:
    assert told(Desk("PAPER"), [0, HOUR, 3 * HOUR, 20 * HOUR, 21 * HOUR]) == [
        0,
        HOUR,
        3 * HOUR,
        20 * HOUR,
        21 * HOUR,
    ]


def test_a_repeat_says_how_often_it_happened_meanwhile() -> None:
    desk = Desk("PAPER")
    for at in range(0, 3_600, 60):
        desk.offer(alert(), float(at))
    message = desk.offer(alert(body="again"), HOUR)

    assert message is not None
    assert message.body == "again\n(60 times since the last message about this)"


def test_different_things_are_told_apart() -> None:
    desk = Desk("PAPER")

    assert desk.offer(alert(key="feed:SPX"), 0.0)
    assert desk.offer(alert(key="feed:QQQ"), 0.0)


def test_a_quiet_day_has_at_most_five_messages() -> None:
    desk = Desk("PAPER")
    desk.summary([], 0.0)
    sent = 0
    for minute in range(24 * 60 - 1):
        now = minute * MINUTE
        if minute == 0:
            sent += desk.offer(alert(INFO, "started"), now) is not None
        if minute % 20 == 0:
            sent += desk.offer(alert(INFO, f"fill:{minute}", "order filled"), now) is not None
        if minute == 600:
            sent += desk.offer(alert(WARNING, "feed:SPX", "feed was silent for a minute"), now) is not None
        sent += desk.due(now) is not None
    summary = desk.summary(["equity 10,000.00 USD"], DAY)

    assert sent + 1 <= 5
    assert summary.body == "equity 10,000.00 USD\nCounted, not sent:\n70 x order filled"


def test_the_budget_comes_back_with_the_day_also_without_summaries() -> None:
    desk = Desk("PAPER")
    sent = [
        day
        for day in range(6)
        for i in range(9)
        if desk.offer(alert(INFO, f"{day}-{i}"), day * DAY + i * HOUR)
    ]

    assert sent == [0, 0, 0, 2, 2, 2, 4, 4, 4]


def test_a_flood_of_different_things_becomes_one_digest() -> None:
    desk = Desk("LIVE")
    sent = [desk.offer(alert(CRITICAL, f"halt:{i}", "symbol halted"), i / 10) for i in range(500)]
    assert len([m for m in sent if m]) == 8
    assert desk.due(60.0) is None

    digest = desk.due(11 * MINUTE)
    assert digest is not None
    assert (digest.severity, digest.title, digest.body) == (
        CRITICAL,
        "LIVE: 492 more alerts",
        "492 x symbol halted",
    )
    assert desk.due(30 * MINUTE) is None


def test_the_summary_is_for_who_wants_warnings_and_not_for_who_is_only_woken() -> None:
    summary = Desk("PAPER").summary(["all is well"], 0.0)

    assert [s for s in Severity if summary.is_for(s)] == [INFO, WARNING]
    message = Message(severity=ERROR, title="", body="")
    assert [s for s in Severity if message.is_for(s)] == [INFO, WARNING, ERROR]


def test_long_texts_are_cut_to_what_services_take() -> None:
    message = Desk("PAPER").offer(alert(title="t" * 500, body="b" * 5_000), 0.0)

    assert message is not None
    assert (len(message.title), len(message.body)) == (120, 1_500)


steps = st.lists(
    st.tuples(st.sampled_from(Severity), st.integers(0, 30), st.floats(0, 6 * HOUR), st.sampled_from("oood")),
    max_size=300,
)


@given(steps=steps)
def test_never_more_than_a_flood_in_its_window_and_nothing_is_forgotten(
    steps: list[tuple[Severity, int, float, str]],
) -> None:
    desk, now, sent, offered = Desk("PAPER"), 0.0, [], 0
    kept = 0
    for severity, key, pause, what in steps:
        now += pause
        if what == "d":
            message = desk.due(now)
            kept += 0 if message is None else int(message.title.split()[1])
        else:
            message = desk.offer(alert(severity, f"{key}"), now)
            offered += 1
            kept += message is not None
        if message is not None:
            sent.append(now)
    for i, at in enumerate(sent[8:]):
        assert at - sent[i] >= 10 * MINUTE
    digest = desk.due(now + 10 * MINUTE)
    kept += 0 if digest is None else int(digest.title.split()[1])
    kept += sum(desk._unsaid.counts.values())
    assert kept == offered
