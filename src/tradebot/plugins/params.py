"""Build a strategy's `Params` from configured values, strictly.

Owns what a field may be declared as and what is accepted for it: nothing is converted that a
reader could take for something else ("50" is not 50, true is not 1; 2 is fine for 2.0). Refuses
to know files: problems carry the key, the configuration adds file and line.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from enum import Enum
from math import isfinite
from typing import Literal, NamedTuple, Union, get_args, get_origin

from tradebot.core.strategy import Strategy
from tradebot.errors import PluginError

DECLARABLE = "bool, int, float, str, Literal[...], an Enum, tuple[X, ...], Mapping[str, X] or X | None"


class ParamProblem(NamedTuple):
    """One value that cannot be used: `key` within `params` ("" = all of it), what must hold and was found."""

    key: str
    message: str


def fields_of(cls: type[Strategy]) -> tuple[tuple[dataclasses.Field[object], object], ...]:
    """Return the fields of `cls.Params` with their resolved types.

    Raises PluginError when `Params` is not a frozen dataclass or a field has a type that no
    configured value can have.
    """
    # A strategy file may have put anything there.
    params: object = cls.Params
    who = f"{cls.__name__}.Params"
    options = getattr(params, "__dataclass_params__", None)
    if not isinstance(params, type) or options is None or not options.frozen:
        raise PluginError(f"{who} must be a dataclass with frozen=True")
    try:
        hints = typing.get_type_hints(params)
    except Exception as exc:
        raise PluginError(f"{who}: a type cannot be read: {exc}") from exc
    fields = tuple((field, hints[field.name]) for field in dataclasses.fields(params) if field.init)
    for field, kind in fields:
        if not _declarable(kind):
            raise PluginError(f"{who}.{field.name} must be declared as {DECLARABLE}, was {_name(kind)}")
    return fields


def build_params(
    cls: type[Strategy], given: Mapping[str, object]
) -> tuple[object | None, tuple[ParamProblem, ...]]:
    """Return `cls.Params` filled from `given`, or None and everything that is wrong with it.

    Unknown keys, wrong types and missing values are reported together. Only when there are none
    is `Params` built, and a ValueError of its `__post_init__` reported; one whose text begins
    with "field: " is put down to that field. Raises PluginError when `Params` itself is unfit.
    """
    fields = fields_of(cls)
    values: dict[str, object] = {}
    known = [field.name for field, _ in fields]
    problems = [ParamProblem(str(key), _unknown(cls, str(key), known)) for key in given if key not in known]
    for field, kind in fields:
        if field.name in given:
            values[field.name] = _read(kind, given[field.name], field.name, problems)
        elif _is_required(field):
            problems.append(ParamProblem(field.name, f"must be given ({_name(kind)})"))
    if problems:
        return None, tuple(problems)
    return _construct(cls.Params, values, known)


def _construct(
    params: Callable[..., object], values: Mapping[str, object], known: Sequence[str]
) -> tuple[object | None, tuple[ParamProblem, ...]]:
    try:
        return params(**values), ()
    except ValueError as exc:
        key, found, message = str(exc).partition(": ")
        if found and key in known:
            return None, (ParamProblem(key, message),)
        return None, (ParamProblem("", str(exc)),)
    except Exception as exc:
        return None, (ParamProblem("", f"Params raised {type(exc).__name__}: {exc}"),)


def _is_required(field: dataclasses.Field[object]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _unknown(cls: type[Strategy], key: str, known: Sequence[str]) -> str:
    if not known:
        return f"is not a parameter: {cls.__name__} has none"
    near = get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"is not a parameter of {cls.__name__}; it has {', '.join(known)}{hint}"


# --- types --------------------------------------------------------------------------------------


def _declarable(kind: object) -> bool:
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        rest = [arg for arg in args if arg is not types.NoneType]
        return len(rest) == 1 and _declarable(rest[0])
    if origin is Literal:
        return True
    if origin is tuple:
        return len(args) == 2 and args[1] is Ellipsis and _declarable(args[0])
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return args[0] is str and _declarable(args[1])
    return kind in (bool, int, float, str) or (isinstance(kind, type) and issubclass(kind, Enum))


def _name(kind: object) -> str:
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " | ".join(_name(arg) for arg in args)
    if kind is types.NoneType:
        return "null"
    if origin is Literal:
        return "one of " + ", ".join(str(arg) for arg in args)
    if origin is tuple:
        return f"list of {_name(args[0])}"
    if origin is not None:
        return f"mapping of {' to '.join(_name(arg) for arg in args)}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of " + ", ".join(str(member.value) for member in kind)
    return getattr(kind, "__name__", str(kind))


def _read(kind: object, value: object, key: str, problems: list[ParamProblem]) -> object:
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _read(next(arg for arg in args if arg is not types.NoneType), value, key, problems)
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_read(args[0], item, f"{key}[{i}]", problems) for i, item in enumerate(value))
    if origin is not None and origin not in (tuple, Literal) and isinstance(value, Mapping):
        return {str(name): _read(args[1], item, f"{key}.{name}", problems) for name, item in value.items()}
    try:
        return _scalar(kind, value)
    except ValueError as exc:
        problems.append(ParamProblem(key, str(exc)))
        return None


def _scalar(kind: object, value: object) -> object:
    if get_origin(kind) is Literal:
        # 1 == True: the type must be the literal's own.
        if any(value == choice and type(value) is type(choice) for choice in get_args(kind)):
            return value
        raise ValueError(_choice(value, [str(choice) for choice in get_args(kind)]))
    if isinstance(kind, type) and issubclass(kind, Enum):
        for member in kind:
            if member.value == value and type(member.value) is type(value):
                return member
        raise ValueError(_choice(value, [str(member.value) for member in kind]))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            raise ValueError("must be a number below 1e308, was a larger one") from None
    if type(value) is not kind:
        raise ValueError(f"must be {_name(kind)}, was {_found(value)}")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"must be a finite number, was {value}")
    return value


def _choice(value: object, choices: Sequence[str]) -> str:
    near = get_close_matches(str(value), choices, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"must be one of {', '.join(choices)}, was {_found(value)}{hint}"


def _found(value: object) -> str:
    if isinstance(value, str):
        return f"the text '{value}'"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "nothing" if value is None else str(value)
