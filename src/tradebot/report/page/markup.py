"""Write small pieces of HTML in which every text is escaped unless it is HTML already.

The only place that puts text into tags. Strategy names, reasons and warnings come from people
and venues; none of them may become markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape

# A table says the same few words in thousands of cells.
_escaped = lru_cache(maxsize=4096)(escape)


class Html(str):
    """Text that is markup already; everything else is escaped before it is put into a page."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str | int | float | bool | None) -> Html:
    """Return an element; `class_` and `data_x` become class and data-x, None and False are left out."""
    begin = name
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        begin += f" {attribute}" if value is True else f' {attribute}="{_escaped(str(value))}"'
    return Html(f"<{begin}>{join(children)}</{name}>")


def join(children: Iterable[str]) -> Html:
    """Put pieces next to each other, escaping those that are plain text."""
    return Html("".join([c if isinstance(c, Html) else _escaped(c) for c in children]))


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, name: str, class_: str = "", caption: str = ""
) -> Html:
    """Return a table whose first column heads the rows, with `name` as its id.

    Cells that are `Html` td or th are kept as they are.
    """
    body = (tag("tr", *(_cell(c, k) for k, c in enumerate(row))) for row in rows)
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption) if caption else Html(""),
            tag("thead", tag("tr", *(_head(h) for h in head))),
            tag("tbody", *body),
            id=name,
            class_=class_ or None,
        ),
        class_="scroll",
    )


def left_head(text: str) -> Html:
    """Return the head of a column of texts, which stand at the left."""
    return tag("th", text, scope="col", class_="text")


def _head(cell: str) -> Html:
    return cell if isinstance(cell, Html) else tag("th", cell, scope="col")


def _cell(cell: str, column: int) -> Html:
    if isinstance(cell, Html) and cell.startswith(("<td", "<th")):
        return cell
    return tag("th", cell, scope="row") if column == 0 else tag("td", cell)
