"""No secret leaves in any form in which programs write texts; everything else stays readable."""

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tradebot.daemon.redact import Redactor
from tradebot.daemon.secrets import HIDDEN, Secret

CANARY = "s3/cr+t=\"K€y'\\0123 456"

FORMS = {
    "plain": lambda s: s,
    "json": lambda s: json.dumps({"a": [s]}),
    "json unicode": lambda s: json.dumps(s, ensure_ascii=False),
    "json in json": lambda s: json.dumps(json.dumps({"a": s})),
    "repr": lambda s: repr({"a": s}),
    "url": lambda s: f"https://x/?a={quote(s)}",
    "url strict": lambda s: quote(s, safe=""),
    "url lower": lambda s: re.sub("%..", lambda m: m[0].lower(), quote(s, safe="")),
    "form": lambda s: urlencode({"a": s}),
    "plus": quote_plus,
    "html": html.escape,
    "hex": lambda s: s.encode().hex(),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 in json": lambda s: json.dumps(base64.b64encode(s.encode()).decode()).replace("/", "\\/"),
    "base64 in url": lambda s: quote(base64.b64encode(s.encode()).decode(), safe=""),
    "basic auth": lambda s: "Basic " + base64.b64encode(f"user:{s}".encode()).decode(),
    "basic auth first": lambda s: base64.urlsafe_b64encode(f"{s}:password".encode()).decode(),
}
secrets = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=8, max_size=60).filter(
    lambda s: len(s.encode()) >= 12
)


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_secret_in_this_form_is_hidden(form: Callable[[str], str]) -> None:
    text = form(CANARY)

    assert HIDDEN in Redactor([Secret(CANARY)]).redact(f"before {text} after")
    assert "K€y" not in Redactor([Secret(CANARY)]).redact(text)


@given(secret=secrets, form=st.sampled_from(sorted(FORMS)))
def test_any_secret_in_any_form_is_hidden(secret: str, form: str) -> None:
    text = FORMS[form](secret)
    told = Redactor([Secret(secret)]).redact(f"<{text}>")

    assert HIDDEN in told
    assert secret not in told


@given(secret=secrets, before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_secret_inside_longer_base64_is_hidden(secret: str, before: bytes, after: bytes) -> None:
    text = base64.b64encode(before + secret.encode() + after).decode()

    assert HIDDEN in Redactor([Secret(secret)]).redact(text)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=200), secret=secrets)
def test_text_without_a_secret_or_its_usual_places_is_left_alone(text: str, secret: str) -> None:
    assume(not any(c in text for c in "=:,@") and secret not in text)

    assert Redactor([Secret(secret)]).redact(text) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("GET /api?symbol=BTC&signature=c8db56&x=1", "GET /api?symbol=BTC&signature=***&x=1"),
        ('{"apiKey": "abc def", "x": 1}', '{"apiKey": "***", "x": 1}'),
        (r'{"e": "{\"secret\": \"a b\", \"x\": 1}"}', r'{"e": "{\"secret\": \"***\", \"x\": 1}"}'),
        ('{"token": 123456, "x": 1}', '{"token": "***", "x": 1}'),
        ("Authorization: Bearer abc.def, x", "Authorization: ***, x"),
        ("headers {'Authorization': 'Basic dTpw'}", "headers {'Authorization': '***'}"),
        ("('APCA-API-SECRET-KEY', 'abc')", "('APCA-API-SECRET-KEY', '***')"),
        ("b'X-MBX-APIKEY: abc'", "b'X-MBX-APIKEY: ***'"),
        ("OK-ACCESS-PASSPHRASE=abc", "OK-ACCESS-PASSPHRASE=***"),
        ("apiKey='cut off in the mid", "apiKey=*** off in the mid"),
        ("wss://user:pass@stream.example/ws", "wss://***@stream.example/ws"),
        ("POST https://api.telegram.org/bot1234567:AAF-x_yyyyyyyyyy/send", "POST https://api.telegram.org/bot***/send"),
        ("https://hooks.slack.com/services/T0/B0/xyz ok", "https://hooks.slack.com/services/*** ok"),
        ("-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----!", "***!"),
        ("-----BEGIN PRIVATE KEY-----\nMHc", "***"),
    ],
)  # fmt: skip
def test_usual_places_of_secrets_are_hidden_also_when_nobody_told(text: str, told: str) -> None:
    assert Redactor().redact(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "the token, which expired",
        "token_count=5",
        "order k3j4 filled 10 SPX at 4,102.25",
        "https://paper-api.alpaca.markets/v2/orders?status=open",
        "2026-05-04T09:00:00.000Z keys alpaca-live found",
    ],
)
def test_ordinary_lines_stay_readable(text: str) -> None:
    assert Redactor([Secret("PKCANARY0123456789")]).redact(text) == text


def test_every_line_of_a_secret_is_hidden_by_itself() -> None:
    redactor = Redactor([Secret("first-line-0123\nsecond-line-4567")])

    assert redactor.redact("a second-line-4567 b") == "a *** b"


def test_parts_of_an_address_that_is_a_secret_are_hidden() -> None:
    redactor = Redactor()
    redactor.add_url(Secret("https://hc-ping.com/0b4b6ff2-8b2e-4b2f?token=abcdefgh"))
    redactor.add_url(Secret("tgram://123456789:AAExyz_abcdef/-100200300"))

    told = redactor.redact("HTTPSConnectionPool(host='hc-ping.com'): url: /0b4b6ff2-8b2e-4b2f failed")
    assert told == "HTTPSConnectionPool(host='hc-ping.com'): url: /*** failed"
    assert "AAExyz_abcdef" not in redactor.redact("https://example.org/123456789:AAExyz_abcdef/x")


def test_a_secret_that_holds_another_is_hidden_whole() -> None:
    assert Redactor([Secret("abcd1234"), Secret("abcd1234efgh")]).redact("abcd1234efgh") == "***"


def test_hiding_many_secrets_in_a_long_hostile_text_ends_soon() -> None:
    redactor = Redactor(Secret(f"canary-{i:04}-0123456789") for i in range(20))
    hostile = "apiKey='" * 4_000 + "-----BEGIN PRIVATE KEY" + "a-" * 8_000 + "://" * 2_000

    assert "apiKey" in redactor.redact(hostile)
