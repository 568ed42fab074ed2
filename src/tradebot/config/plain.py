"""Know what YAML makes of text without quotes, and refuse where that surprises.

YAML 1.1 (PyYAML and many editors) and 1.2 disagree about `NO`, `012`, `1:30`, `1e5`, `1_000` and
dates. tradebot reads by the field that wants the value and accepts only what both agree on; the
rest is named with what YAML would have read.
"""

from __future__ import annotations

import re

import yaml

from tradebot.config.shown import safe

Plain = bool | int | float | str | None

INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})")
DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})(\.[0-9]{0,30})?([eE][-+]?[0-9]{1,3})?|[-+]?\.[0-9]{1,30}")
PERCENT = re.compile(rf"(?P<number>{DECIMAL.pattern}) ?%")
BPS = re.compile(rf"(?P<number>{DECIMAL.pattern}) ?bps")

_RESOLVER = yaml.resolver.Resolver()
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_NOT_FINITE = re.compile(r"[-+]?\.?(nan|inf|infinity)", re.IGNORECASE)
_READ_AS = {"bool": "true", "null": "null", "timestamp": "a date", "merge": "a merge", "value": "a default"}


def yaml_type(text: str) -> str:
    """Return the YAML type of unquoted `text`: str, bool, int, float, null, timestamp, ..."""
    if DECIMAL.fullmatch(text):
        return "int" if INTEGER.fullmatch(text) else "float"
    tag = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return str(tag).rpartition(":")[2]


def other_reading(text: str) -> str | None:
    """Return "NO as false" when unquoted `text` is not text to YAML, else None."""
    kind = yaml_type(text)
    if kind == "str":
        return None
    if kind in ("int", "float"):
        return f"{safe(text)} as {_number_read(text, kind)}"
    if kind == "bool":
        return f"{safe(text)} as {str(text.lower() in ('yes', 'true', 'on')).lower()}"
    return f"{safe(text) or 'nothing'} as {_READ_AS.get(kind, kind)}"


def _number_read(text: str, kind: str) -> str:
    if DECIMAL.fullmatch(text):
        return "a number"
    try:
        node = yaml.ScalarNode(f"tag:yaml.org,2002:{kind}", text)
        value = (
            _CONSTRUCTOR.construct_yaml_int(node)
            if kind == "int"
            else _CONSTRUCTOR.construct_yaml_float(node)
        )
    except (ValueError, OverflowError):
        return "a number"
    how = "octal " if re.fullmatch(r"[-+]?0[0-7_]+", text) else ""
    how = "base-60 " if ":" in text else how
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return f"the {how}number {shown}" if len(shown) <= 20 else "a number"


def number_trap(text: str) -> str | None:
    """Return why text that looks like a number is not accepted as one, else None.

    For every place where a number is meant, quoted or not.
    """
    if _NOT_FINITE.fullmatch(text):
        return f"must be a finite number, was {safe(text)}"
    if re.fullmatch(r"[-+]?0[0-9_]*[0-9](\.[0-9]*)?", text):
        plain = re.sub(r"^([-+]?)0+(?=[0-9])", r"\1", text.replace("_", ""))
        octal = f" (YAML reads {other_reading(text)})" if yaml_type(text) == "int" else ""
        return f"must be a number without leading zeros, was {safe(text)}{octal}; write {safe(plain)}"
    if re.fullmatch(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?", text):
        reading = other_reading(text)
        return f"must be a plain number, was {safe(text)}" + (f" (YAML reads {reading})" if reading else "")
    if re.fullmatch(r"[-+]?[0-9][0-9]*([_,'][0-9]{3})+(\.[0-9]+)?", text):
        return f"must be a number without separators, was {safe(text)}; write {safe(re.sub(r'[^0-9.+-]', '', text))}"
    if re.fullmatch(r"[-+]?0[xob][0-9a-fA-F_]+", text):
        return f"must be a decimal number, was {safe(text)}" + (
            f" (YAML reads {other_reading(text)})" if yaml_type(text) != "str" else ""
        )
    return None


def read_plain(text: str) -> Plain:
    """Return the value of unquoted text in a free mapping (`params`), refusing every trap.

    true/false, null, whole and decimal numbers, `8%` and `10bps` as fractions, else the text.
    Raises ValueError with the message for the user.
    """
    if (trap := number_trap(text)) is not None:
        raise ValueError(trap)
    if INTEGER.fullmatch(text):
        return int(text)
    if DECIMAL.fullmatch(text):
        return finite(text)
    for pattern, places in ((PERCENT, -2), (BPS, -4)):
        if (match := pattern.fullmatch(text)) is not None:
            return finite(shifted(match["number"], places))
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if text in ("null", "Null", "NULL", "~"):
        return None
    if (reading := other_reading(text)) is not None:
        if yaml_type(text) == "bool":
            raise ValueError(
                f'must be true or false, or text in quotes; YAML reads {reading}; write "{safe(text)}" for text'
            )
        raise ValueError(f'must be in quotes where text is meant; YAML reads {reading}; write "{safe(text)}"')
    return text


def shifted(number: str, places: int) -> str:
    """Return decimal text times 10**places, exactly (no float on the way)."""
    mantissa, _, exponent = number.lower().partition("e")
    return f"{mantissa}e{int(exponent or 0) + places}"


def finite(text: str) -> float:
    """Return decimal text as float. Raises ValueError when it is too large to be one."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"must be a number below 1e308, was {safe(text)}")
    return value
