"""Put a found value into a message without ever putting a key into it.

Values that look like credentials are replaced; values that came from the environment are shown
as the `${VAR}` that fetched them.
"""

from __future__ import annotations

import re
from decimal import Decimal

HIDDEN = "(hidden: looks like a key)"
_LONGEST = 60
_NUMBER = re.compile(r"[-+]?[0-9.]{1,30}([eE][-+]?[0-9]{1,4})?( ?(%|bps))?")
_SECRET_NAME = re.compile(r"(?i)(api|private|access)[-_]?key|secret|token|passw|passphrase|credential")


class Text(str):
    """A scalar of a file on its way into a field.

    `plain` tells that it was not in quotes, so that YAML may read it as something else than
    text; `source` is how the file spells it; `from_env` that the environment filled it in.
    """

    plain: bool
    source: str
    from_env: bool

    @classmethod
    def of(cls, text: str, *, plain: bool = False, source: str | None = None, from_env: bool = False) -> Text:
        made = cls(text)
        made.plain, made.source, made.from_env = plain, text if source is None else source, from_env
        return made


def looks_secret(text: str) -> bool:
    """Return whether `text` could be a credential: long, no spaces, digits and letters mixed."""
    if "://" in text:
        return True
    for piece in re.split(r"[\s:,.\"'\[\]{}()]+", text):
        solid = re.sub(r"[-_+/=]", "", piece)
        mixed = re.search(r"[0-9]", solid) and re.search(r"[A-Za-z]", solid)
        if mixed and (len(solid) >= 20 or re.search(r"[A-Za-z0-9]{16,}", piece)):
            return True
    return False


def secret_name(name: str) -> bool:
    """Return whether a key's own name says that its value is a credential."""
    return _SECRET_NAME.search(name) is not None


def safe(text: str) -> str:
    """Return `text` fit for a terminal and a log: no credential, no control characters, short."""
    if looks_secret(text):
        return HIDDEN
    # A terminal obeys controls and direction marks instead of showing them.
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[: 2 * _LONGEST])
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def quoted(text: str) -> str:
    """Return `text` as a message quotes what was found."""
    shown = safe(text)
    return shown if shown == HIDDEN or _NUMBER.fullmatch(shown) else f'"{shown}"'


def found(value: object) -> str:
    """Return how a message names the value that was found."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Text) and value.from_env:
        return f"the value of {safe(value.source)}"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return str(value) if isinstance(value, (int, float, Decimal)) else type(value).__name__
