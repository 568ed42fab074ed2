"""Say no in Binance's words: HTTP status, code and text.

The codes and texts are those of Binance's public error list. Owns nothing else.
"""

from __future__ import annotations


class Refusal(Exception):
    """A request that is not done. `status` is HTTP's, `code` and `text` are Binance's."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code, self.text, self.status = code, text, status

    def body(self) -> dict[str, object]:
        return {"code": self.code, "msg": self.text}


def missing(name: str) -> Refusal:
    return Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def unread(read: int, sent: int) -> Refusal:
    text = f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."
    return Refusal(-1104, text)


def illegal(name: str) -> Refusal:
    return Refusal(-1100, f"Illegal characters found in parameter '{name}'.")


def filtered(name: str) -> Refusal:
    return Refusal(-1013, f"Filter failure: {name}")


NO_SYMBOL = (-1121, "Invalid symbol.")
NO_KEY = (-2015, "Invalid API-key, IP, or permissions for action.")
BAD_SIGNATURE = (-1022, "Signature for this request is not valid.")
AHEAD = (-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
LATE = (-1021, "Timestamp for this request is outside of the recvWindow.")
TOO_MANY = (-1003, "Too much request weight used; current limit is {limit} request weight per 1 MINUTE.")
POOR = (-2010, "Account has insufficient balance for requested action.")
TWICE = (-2010, "Duplicate order sent.")
RELATION = (-2010, "The relationship of the prices for the orders is not correct.")
THROUGH = (-2010, "Stop price would trigger immediately.")
TAKES = (-2010, "Order would immediately match and take.")
CLOSED = (-2010, "Market is closed.")
NOT_OPEN = (-2011, "Unknown order sent.")
NO_ORDER = (-2013, "Order does not exist.")
