"""Take secrets out of a finished text, whichever way they got into it.

Knows the secrets themselves in the forms in which programs write texts (quoted, escaped, encoded), and
the places where secrets of others usually stand. Works on the last text before it leaves, so that no
earlier step has to be trusted.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from tradebot.daemon.secrets import HIDDEN, Secret

_SHORTEST = 4  # characters; hiding a shorter text would hide half of every log
_SHORTEST_OF_URL = 8  # of a part of an address: `services`, a bot's number and a short word stay readable

# Whatever joins a name and its value in headers, JSON (also JSON inside JSON), dicts, tuples and queries.
_JOIN = r"""(?:\\*["']?\s*[=:]\s*|\\*["']\s*,\s*)(?:b(?=["']))?"""
_BARE = r"""(?:(?:Bearer|Basic|Token|Digest)\s+)?[^\s"'\\&,;)}\][{]+"""
_NAMES = (
    r"sign(?:ature)?", r"[\w-]*api[-_]?(?:key|secret|sign|token|passphrase)(?:[-_]?id)?",
    r"[\w-]*secret(?:[-_]?key)?", r"[\w-]*passw(?:or)?d", r"passphrase", r"[\w-]*token", r"listenKey",
    r"(?:proxy-)?authorization", r"private[-_]?key", r"access[-_]?key(?:[-_]?id)?", r"(?:set-)?cookie",
    r"APCA-API-[\w-]+", r"X-MBX-APIKEY", r"(?:KC|BF)-API-[\w-]+", r"(?:OK|CB|ACCESS)-(?:ACCESS-)?[\w-]*(?:KEY|SIGN|PASSPHRASE)",
    r"X-BAPI-(?:API-KEY|SIGN)", r"X-[\w-]*(?:KEY|TOKEN|SIGNATURE)",
)  # fmt: skip
_NAMED = re.compile(
    rf"""(?is)(?<![\w-])(?P<head>(?:{"|".join(_NAMES)}){_JOIN})(?:(?P<quote>\\*["']).{{0,2000}}?(?P=quote)|\\*["']?{_BARE})"""
)
_SECRET_VARIABLE = re.compile(rf"(?i)(?:{'|'.join(_NAMES)}|\w+_key|\w+_(?:secret|signature))")
# Asked before the slow pattern: most lines hold none of these words.
_WORDS = ("key", "sign", "secret", "passw", "passp", "token", "authoriz", "cookie", "api")
# What a text must hold for the pattern to be worth trying, the pattern, what is put instead.
_PATTERNS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "-----BEGIN",
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        HIDDEN,
    ),
    # user:password@ of any address, and the keys of chat services that stand in its path
    ("://", re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,30}://)[^\s/\"'@]+@"), rf"\1{HIDDEN}@"),
    ("/bot", re.compile(r"/bot\d{5,}:[\w-]{10,}"), f"/bot{HIDDEN}"),
    (
        "/",
        re.compile(r"(?i)(hooks\.slack\.com/services|discord(?:app)?\.com/api/webhooks)/[\w/-]+"),
        rf"\1/{HIDDEN}",
    ),
)


class Redactor:
    """Replace by *** what was added and what looks as if it should have been."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._forms: tuple[str, ...] = ()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: Secret) -> None:
        """Hide this text from now on, in every form that `forms` knows."""
        self._add(form for line in {secret.reveal(), *secret.reveal().splitlines()} for form in forms(line))

    def add_url(self, secret: Secret) -> None:
        """Hide an address that is a secret, and those of its parts that make it one.

        Errors of HTTP libraries name host and path apart.
        """
        self.add(secret)
        parts = urlsplit(secret.reveal())
        pieces = [parts.username or "", parts.password or "", *parts.path.split("/")]
        pieces += [value for _, value in parse_qsl(parts.query)]
        if parts.scheme not in ("http", "https", "json", "jsons"):
            pieces.append(parts.netloc)  # where messengers have a token, not a host
        long = {p for piece in pieces for p in (piece, unquote(piece)) if len(p) >= _SHORTEST_OF_URL}
        self._add(form for piece in long for form in forms(piece))

    def add_environment(self, env: Mapping[str, str]) -> None:
        """Hide the values of variables that have the name of a secret, and the parts of addresses."""
        for name, value in env.items():
            if "://" in value:
                self.add_url(Secret(value))
            elif _SECRET_VARIABLE.fullmatch(name):
                self.add(Secret(value))

    def redact(self, text: str) -> str:
        """Return `text` without secrets."""
        text = self.hide_known(text)
        for mark, pattern, instead in _PATTERNS:
            if mark in text:
                text = pattern.sub(instead, text)
        lower = text.lower()
        if any(word in lower for word in _WORDS):
            text = _NAMED.sub(_without_value, text)
        return text

    def hide_known(self, text: str) -> str:
        """Return `text` without the secrets that were added, and leave alone what only looks like one."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, HIDDEN)
        return text

    def _add(self, found: Iterable[str]) -> None:
        # Longest first: a form may hold another one. Assigned at once, as other threads read it.
        known = {*self._forms, *(form for form in found if len(form) >= _SHORTEST)}
        self._forms = tuple(sorted(known, key=lambda form: (-len(form), form)))


def _without_value(match: re.Match[str]) -> str:
    head, mark = match["head"], match["quote"]
    if mark is None and re.search(r'"\s*:\s*$', head):
        mark = '"'  # a number in JSON: what stands for it must be JSON again
    return f"{head}{mark or ''}{HIDDEN}{mark or ''}"


def forms(text: str) -> set[str]:
    """Return the ways in which programs write `text`: quoted for addresses, escaped, encoded, and both."""
    once = {text, *_encoded(text), *_escaped(text)}
    return {again for form in once for again in (form, *_escaped(form))}


def _escaped(text: str) -> Iterator[str]:
    for safe in ("", "/", "~", "/:"):
        yield (quoted := quote(text, safe=safe))
        yield re.sub(r"%[0-9A-F]{2}", lambda m: m[0].lower(), quoted)
    yield quote_plus(text)
    for ascii_only in (True, False):
        yield (escaped := json.dumps(text, ensure_ascii=ascii_only)[1:-1])
        yield escaped.replace("/", r"\/")
    yield repr(text)[1:-1]
    yield html.escape(text)


def _encoded(text: str) -> Iterator[str]:
    raw = text.encode("utf-8", "surrogatepass")
    yield raw.hex()
    yield raw.hex().upper()
    # Inside a longer text (user:password) base64 depends on how many bytes stand before; what is at the
    # borders mixes with the neighbours and is left out.
    for before in range(3):
        plain = base64.b64encode(b"\0" * before + raw).decode()
        inner = plain[-(-before * 8 // 6) if before else 0 :]
        cut = inner.rstrip("=")
        cut = cut[:-1] if inner.endswith("=") else cut
        for form in (inner, cut) if before == 0 else (cut,):
            yield form
            yield form.replace("+", "-").replace("/", "_")
