"""Options that several commands share, so that one word means one thing everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def with_config(function: F) -> F:
    """Add `-c/--config` and `--set`."""
    function = click.option(
        "--set", "overrides", metavar="KEY=VALUE", multiple=True,
        help="Change a setting for this call, such as strategies.trend.params.fast=20. Repeatable.",
    )(function)  # fmt: skip
    return only_config(function)


def only_config(function: F) -> F:
    """Add `-c/--config`."""
    return click.option(
        "-c", "--config", "config_file", metavar="FILE", type=click.Path(readable=False),
        help="The configuration; without it tradebot.yaml, then config/tradebot.yaml.",
    )(function)  # fmt: skip


def with_json(function: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(function)
