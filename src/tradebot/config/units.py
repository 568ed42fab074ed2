"""Read the units of the file language: `8%`, `10bps`, `5000 USD`, names.

Each unit is metadata on a field's type (`Annotated[float, Fraction(above=0, below=1)]`): it
reads text, writes the same language back, and knows its JSON schema. Text goes to Decimal
directly, never through float. Refuses bare numbers whose unit could be mistaken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic_core import CoreSchema, core_schema

from tradebot.config.plain import BPS, DECIMAL, INTEGER, PERCENT, finite, number_trap, other_reading, shifted
from tradebot.config.shown import Text, found, safe

Json = dict[str, Any]

_ASSET = r"(?=[A-Z0-9]*[A-Z])[A-Z0-9]{2,12}"
_MONEY = re.compile(rf"(?P<amount>{DECIMAL.pattern}) +(?P<asset>{_ASSET})")


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one asset."""

    amount: Decimal
    asset: str

    def __str__(self) -> str:
        return f"{decimal_text(self.amount)} {self.asset}"


class Unit:
    """A field type of the file language: reads text, writes it back, describes it."""

    def read(self, value: object) -> Any:
        """Return the value of a field. Raises ValueError with the message for the user."""
        raise NotImplementedError

    def write(self, value: Any) -> str | int:
        """Return `value` in the file language; reading it again gives `value`."""
        return str(value)

    def json_schema(self) -> Json:
        """Return what an editor may offer and check; never stricter than `read`."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        write = core_schema.plain_serializer_function_ser_schema(self.write)
        return core_schema.no_info_plain_validator_function(self.read, serialization=write)

    def __get_pydantic_json_schema__(self, schema: object, handler: object) -> Json:
        return self.json_schema()


def decimal_text(value: Decimal) -> str:
    """Return a Decimal as plain digits, without exponent and trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def text_of(value: object) -> str | None:
    """Return the text of a scalar, None for anything else (mapping, list, null, bool)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return None
    return str(value) if isinstance(value, (int, float, Decimal)) else None


def wrong(must: str, value: object, *, number: bool = False) -> ValueError:
    """Return what is said of `value` where `must` is meant, with what YAML would have read."""
    text = text_of(value)
    message = f"must be {must}, was {found(value)}"
    if text is None or (isinstance(value, Text) and value.from_env):
        return ValueError(message)
    trap = number_trap(text)
    if trap is not None and number:
        return ValueError(trap)
    reading = other_reading(text) if trap is not None else None
    return ValueError(message if reading is None else f"{message} (YAML reads {reading})")


def _decimal(text: str, must: str, value: object) -> Decimal:
    number = Decimal(text)
    if number and not -18 <= number.adjusted() <= 18:
        raise ValueError(f"must be {must} between 1e-18 and 1e18 in size, was {found(value)}")
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Bounds of a number; `above`/`below` exclude the bound, `at_least`/`at_most` include it."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def holds(self, value: float | Decimal) -> bool:
        return not (
            (self.above is not None and value <= self.above)
            or (self.at_least is not None and value < self.at_least)
            or (self.below is not None and value >= self.below)
            or (self.at_most is not None and value > self.at_most)
        )

    def words(self, scale: int = 1, unit: str = "") -> str:
        """Return "above 0% and below 100%"."""
        bounds = (
            ("above", self.above),
            ("at least", self.at_least),
            ("below", self.below),
            ("at most", self.at_most),
        )
        return " and ".join(
            f"{word} {bound * scale:.12g}{unit}" for word, bound in bounds if bound is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fraction(Unit, Range):
    """A share of something: `8%`, `80bps` or a bare number up to 1 become a float (0.08).

    A bare number over 1 is refused, because 10 may mean 10 % or ten times.
    """

    def read(self, value: object) -> float:
        must = "a fraction such as 8% or 0.08"
        text = text_of(value)
        if text is None:
            raise wrong(must, value, number=True)
        if isinstance(value, float):
            text = f"{self.write(value)}"  # given by a program: its unit is the type's
        percent, bps, bare = PERCENT.fullmatch(text), BPS.fullmatch(text), DECIMAL.fullmatch(text)
        if percent is not None:
            number = shifted(percent["number"], -2)
        elif bps is not None:
            number = shifted(bps["number"], -4)
        elif bare is not None:
            number = text
        else:
            raise wrong(must, value, number=True)
        exact = _decimal(number, must, value)
        fraction = finite(number)
        if bare is not None and fraction > 1:
            raise ValueError(self._ambiguous(exact, value))
        if not self.holds(fraction):
            equal = f" ({decimal_text(exact.scaleb(2))}%)" if bare is not None and fraction else ""
            raise ValueError(f"must be {self.words(100, '%')}, was {found(value)}{equal}")
        return fraction

    def _ambiguous(self, exact: Decimal, value: object) -> str:
        small = decimal_text(exact.scaleb(-2))
        percent = decimal_text(exact)
        large = decimal_text(exact.scaleb(2))
        many = f", or {large}% if {percent} times is meant" if self.holds(exact) else ""
        if isinstance(value, Text) and value.from_env:
            return f"must be a fraction such as 8% or 0.08, was {found(value)}, a bare number over 1"
        return f"must be a fraction; {percent} is ambiguous: write {percent}% or {small}{many}"

    def write(self, value: float) -> str:
        return f"{decimal_text(Decimal(repr(value)).scaleb(2))}%"

    def json_schema(self) -> Json:
        number: Json = {"type": "number", "minimum": min(0, self.above or self.at_least or 0), "maximum": 1}
        text = {
            "type": "string",
            "pattern": r"^[-+]?[0-9.]+([eE][-+]?[0-9]+)? ?(%|bps)?$",
            "examples": ["8%"],
        }
        return {"anyOf": [text, number]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bps(Unit, Range):
    """Basis points as Decimal: `10`, `10bps` and `0.1%` are the same."""

    def read(self, value: object) -> Decimal:
        must = "basis points such as 10, 10bps or 0.1%"
        text = text_of(value)
        if text is None:
            raise wrong(must, value, number=True)
        if (percent := PERCENT.fullmatch(text)) is not None:
            text = shifted(percent["number"], 2)
        elif (bps := BPS.fullmatch(text)) is not None:
            text = bps["number"]
        elif DECIMAL.fullmatch(text) is None:
            raise wrong(must, value, number=True)
        number = _decimal(text, must, value)
        if not self.holds(number):
            raise ValueError(f"must be {self.words()} basis points, was {found(value)}")
        return number

    def write(self, value: Decimal) -> str:
        return f"{decimal_text(value)}bps"

    def json_schema(self) -> Json:
        text = {
            "type": "string",
            "pattern": r"^[-+]?[0-9.]+([eE][-+]?[0-9]+)? ?(%|bps)?$",
            "examples": ["10bps"],
        }
        return {"anyOf": [{"type": "number"}, text]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Unit, Range):
    """A decimal number without a unit, exact."""

    what: str = "a number"

    def read(self, value: object) -> Decimal:
        text = text_of(value)
        if text is None or DECIMAL.fullmatch(text) is None:
            raise wrong(self.what, value, number=True)
        number = _decimal(text, self.what, value)
        if not self.holds(number):
            raise ValueError(f"must be {self.words()}, was {found(value)}")
        return number

    def write(self, value: Decimal) -> str:
        return decimal_text(value)

    def json_schema(self) -> Json:
        return {
            "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[-+]?[0-9.]+([eE][-+]?[0-9]+)?$"}]
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole(Unit, Range):
    """A whole number."""

    def read(self, value: object) -> int:
        text = text_of(value)
        if text is None or INTEGER.fullmatch(text) is None:
            raise wrong("a whole number", value, number=True)
        number = int(text)
        if not self.holds(number):
            raise ValueError(f"must be {self.words()}, was {found(value)}")
        return number

    def write(self, value: int) -> int:
        return value

    def json_schema(self) -> Json:
        bounds = {"minimum": self.at_least, "maximum": self.at_most}
        number = {"type": "integer"} | {k: int(v) for k, v in bounds.items() if v is not None}
        return {"anyOf": [number, {"type": "string", "pattern": r"^[-+]?[0-9]+$"}]}


@dataclass(frozen=True, slots=True)
class Cash(Unit):
    """Money with its currency, above zero: `5000 USD`."""

    def read(self, value: object) -> Money:
        must = "an amount with its currency such as 5000 USD"
        if isinstance(value, Money):
            return value
        text = text_of(value)
        if text is None:
            raise wrong(must, value)
        match = _MONEY.fullmatch(text)
        if match is None:
            raise ValueError(f"must be {must}, was {found(value)}{self._suggestion(value, text)}")
        amount = _decimal(match["amount"], must, value)
        if amount <= 0:
            raise ValueError(f"must be above 0, was {found(value)}")
        return Money(amount, match["asset"])

    @staticmethod
    def _suggestion(value: object, text: str) -> str:
        if isinstance(value, Text) and value.from_env:
            return ""
        number = re.search(r"[0-9][0-9_,']*(\.[0-9]+)?", text)
        asset = re.search(r"[A-Za-z]{3,5}", text)
        if number is None or "." in text[: number.start()] or "-" in text[: number.start()]:
            return ""
        plain = re.sub(r"[_,']", "", number.group()).lstrip("0") or "0"
        if re.fullmatch(r"[^a-zA-Z]*|[^a-zA-Z]*[A-Za-z]{3,5}|[A-Za-z]{3,5} ?[^a-zA-Z]*", text) is None:
            return ""
        return f"; write {safe(plain)} {asset.group().upper() if asset else 'USD'}"

    def json_schema(self) -> Json:
        return {
            "type": "string",
            "pattern": r"^[-+]?[0-9.]+([eE][-+]?[0-9]+)? +[A-Z0-9]{2,12}$",
            "examples": ["5000 USD"],
        }


@dataclass(frozen=True, slots=True)
class Word(Unit):
    """Text of a stated form. Unquoted text that YAML reads as something else is refused."""

    pattern: str
    what: str

    def read(self, value: object) -> str:
        if isinstance(value, Text) and value.plain and not value.from_env:
            reading = other_reading(value)
            if reading is not None:
                message = f'must be {self.what}; without quotes YAML reads {reading}: write "{safe(value)}"'
                raise ValueError(message)
        if isinstance(value, str) and re.fullmatch(self.pattern, value) is not None:
            return str(value)
        raise ValueError(f"must be {self.what}, was {found(value)}")

    def json_schema(self) -> Json:
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}
