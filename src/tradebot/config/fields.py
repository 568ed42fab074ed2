"""Hold what every section of the configuration shares: strictness and the common field types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from tradebot.config.shown import found
from tradebot.config.times import Duration
from tradebot.config.units import Bps, Cash, Fraction, Json, Money, Number, Unit, Whole, Word, text_of

# Letters are ASCII everywhere: two ids that look alike but differ would be two histories.
NAME = r"[a-z][a-z0-9_-]{0,31}"
Name = Annotated[str, Word(NAME, "a name of a-z, 0-9, - and _ that starts with a letter")]
INSTRUMENT = Word(
    r"[A-Za-z0-9^][A-Za-z0-9./:@_^=-]{0,39}", "an instrument such as SPX, SYN/USD or BTC/USDT@binance"
)
InstrumentId = Annotated[str, INSTRUMENT]
ASSET = Word(r"(?=[A-Z0-9]*[A-Z])[A-Z0-9]{2,12}", "an asset such as USD or USDT")
AssetId = Annotated[str, ASSET]
Line = Annotated[str, Word(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,200}", "one line of text")]

Share = Annotated[float, Fraction(above=0, at_most=1)]
Loss = Annotated[float, Fraction(above=0, below=1)]
Multiple = Annotated[float, Fraction(above=0, at_most=10)]
Amount = Annotated[Money, Cash()]
Positive = Annotated[Decimal, Number(above=0)]
NotNegative = Annotated[Decimal, Number(at_least=0)]
PositiveBps = Annotated[Decimal, Bps(above=0, at_most=10_000)]
Count = Annotated[int, Whole(at_least=1, at_most=1_000_000_000)]
Length = Annotated[int, Duration()]


class KeysDisagree(ValueError):
    """A rule over several keys of one section is broken; says nothing new where a key is misspelt."""


class Section(BaseModel):
    """A mapping of the file: frozen, and every key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


@dataclass(frozen=True, slots=True)
class Call(Unit):
    """One of some words, or one word with a number: `at_once`, `bars(3)`, `penetrate(1)`.

    Read as the word, or as the number inside the brackets.
    """

    words: tuple[str, ...]
    called: str
    number: Unit
    example: str

    def read(self, value: object) -> str | int | float:
        if isinstance(value, str) and value in self.words:
            return str(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._inside(value)  # given by a program
        match = re.fullmatch(rf"{self.called}\((.*)\)", value) if isinstance(value, str) else None
        if match is None:
            must = f"one of {', '.join(self.words)}, {self.example}"
            raise ValueError(f"must be {must}, was {found(value)}")
        return self._inside(match[1])

    def _inside(self, value: object) -> int | float:
        try:
            inside: int | float = self.number.read(value)
        except ValueError as exc:
            raise ValueError(f"inside {self.called}( ): {exc}") from exc
        return inside

    def write(self, value: str | float) -> str:
        return value if isinstance(value, str) else f"{self.called}({self.number.write(value)})"

    def json_schema(self) -> Json:
        return {
            "anyOf": [{"enum": list(self.words)}, {"type": "string", "pattern": rf"^{self.called}\(.+\)$"}]
        }


@dataclass(frozen=True, slots=True)
class Either(Unit):
    """The first of several units whose kind of text this is: a share `50%` or an amount `500 USD`."""

    share: Fraction
    amount: Unit

    def read(self, value: object) -> float | Money:
        text = text_of(value)
        if isinstance(value, Money) or (text is not None and re.search(r"[A-Z]", text)):
            money: Money = self.amount.read(value)
            return money
        return self.share.read(value)

    def write(self, value: float | Money) -> str:
        return str(value) if isinstance(value, Money) else self.share.write(value)

    def json_schema(self) -> Json:
        return {"anyOf": [*self.share.json_schema()["anyOf"], self.amount.json_schema()]}


SHARE_OR_AMOUNT = Either(Fraction(above=0, at_most=1), Cash())
ShareOrAmount = Annotated[float | Money, SHARE_OR_AMOUNT]


@dataclass(frozen=True, slots=True)
class OrNone(Unit):
    """The word `none`, read as None, or a unit."""

    unit: Unit

    def read(self, value: object) -> object:
        return None if value is None or value == "none" else self.unit.read(value)

    def write(self, value: object) -> str | int:
        return "none" if value is None else self.unit.write(value)

    def json_schema(self) -> Json:
        return {"anyOf": [{"const": "none"}, self.unit.json_schema()]}


class NoneIsAKind:
    """Let `fees: none` stand for `fees: {kind: none}`."""

    @staticmethod
    def _read(value: object) -> object:
        return {"kind": "none"} if isinstance(value, str) and value == "none" else value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        return {"anyOf": [{"const": "none"}, handler(schema)]}


class OneOrMany:
    """Let one value stand for a list of one."""

    @staticmethod
    def _read(value: object) -> object:
        return [value] if isinstance(value, (str, Money)) else value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}
