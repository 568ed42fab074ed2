"""What every incremental indicator shares: its last value, its warm-up, its state.

Refuses arithmetic; that is in the classes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from tradebot.errors import PluginError

T = TypeVar("T")


def window_of(name: str, window: int, least: int = 1) -> int:
    """Return `window` if it is a whole number of bars, at least `least`; else raise PluginError."""
    found: object = window  # a strategy file is not type-checked
    if not isinstance(found, int) or isinstance(found, bool) or found < least:
        raise PluginError(f"{name}: window must be a whole number of bars >= {least}, was {window!r}")
    return window


class Indicator(Generic[T]):
    """A running computation. `value` is the last result, None until `warmup` values were pushed."""

    __slots__ = ("value", "warmup")

    value: T | None
    warmup: int

    def __init__(self, warmup: int) -> None:
        self.value = None
        self.warmup = warmup

    @property
    def ready(self) -> bool:
        """Whether a result exists."""
        return self.value is not None

    def save(self) -> dict[str, object]:
        """Return the whole state as JSON values; `load` on an equal indicator continues exactly."""
        return {name: _plain(getattr(self, name)) for name in _fields(type(self))}

    def load(self, saved: Mapping[str, object]) -> None:
        """Take over the state that `save` returned.

        Raises PluginError when it is the state of another kind of indicator or another window.
        """
        fields = list(_fields(type(self)))
        if set(saved) != set(fields) or saved["warmup"] != self.warmup:
            raise PluginError(
                f"{type(self).__name__}: the saved state must be of the same indicator with warm-up "
                f"{self.warmup}, found fields {sorted(saved)} with warm-up {saved.get('warmup')}; "
                f"delete the saved state to warm up from history"
            )
        for name in fields:
            setattr(self, name, self._restored(name, saved[name]))

    def _restored(self, name: str, plain: object) -> object:
        now = getattr(self, name)
        if isinstance(now, Indicator) and isinstance(plain, Mapping):
            now.load(plain)
            return now
        if isinstance(now, deque) and isinstance(plain, list):
            return deque(tuple(item) for item in plain)
        if name == "value" and isinstance(plain, list):
            return self._value_of(plain)
        return list(plain) if isinstance(plain, list) else plain

    def _value_of(self, plain: list[float]) -> object:
        # Overridden where a value is a named tuple: JSON knows only lists.
        return plain


def _fields(cls: type) -> Iterator[str]:
    for base in cls.__mro__:
        yield from getattr(base, "__slots__", ())


def _plain(value: object) -> object:
    if isinstance(value, Indicator):
        return value.save()
    if isinstance(value, (list, tuple, deque)):
        return [_plain(item) for item in value]
    return value
