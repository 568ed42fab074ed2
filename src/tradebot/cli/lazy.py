"""Click commands and groups as this program has them: loaded late, found by prefix, listed by subject.

Owns how a command is named, found and shown in help. Refuses to import any command's module
before that command is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

import click

from tradebot.cli.words import EXIT_CODES

F = TypeVar("F", bound=Callable[..., Any])
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lazy:
    """A command that is not loaded yet: its section in the help, its place "module:name", one line on it."""

    section: str
    place: str
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        module, name = self.place.split(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command


class Command(click.Command):
    """A command that also takes `--debug` after its own name, where one adds it after a failure."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(debug_option())


class Group(click.Group):
    """A group whose commands may be abbreviated; those in `lazy` are imported when they are called."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are shown."""
        return [*self.lazy, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name or of the only name that begins with it."""
        names = self.list_commands(ctx)
        found = [cmd_name] if cmd_name in names else [n for n in names if cmd_name and n.startswith(cmd_name)]
        if len(found) != 1:
            return None
        return self.commands[found[0]] if found[0] in self.commands else self.lazy[found[0]].load()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, but full names in messages, and the candidates of a prefix that fits several."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is not None:
            return command.name, command, args[1:]
        names = self.list_commands(ctx)
        several = [n for n in names if n.startswith(name)]
        if several and not ctx.resilient_parsing:
            raise click.UsageError(f"'{name}' could be {' or '.join(several)}.", ctx)
        if not ctx.resilient_parsing and not name.startswith("-"):
            raise click.exceptions.NoSuchCommand(name, possibilities=names, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one line per command; the lazy ones by section, without loading them."""
        if not self.lazy:
            rows = [(name, c.get_short_help_str(80)) for name, c in self.commands.items()]
            with formatter.section("Commands"):
                formatter.write_dl(rows)
            return
        formatter.write_paragraph()
        shown = ""
        for name, lazy in self.lazy.items():
            head = lazy.section if lazy.section != shown else ""
            shown = lazy.section
            formatter.write(f"{head:<10} {name:<11} {lazy.summary}\n")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """End the first page of help with the exit codes."""
        super().format_epilog(ctx, formatter)
        if self.lazy:
            formatter.write_paragraph()
            formatter.write(f"Exit codes: {EXIT_CODES[0]}\n")
            for line in EXIT_CODES[1:]:
                formatter.write(f"            {line}\n")


def debug_option() -> click.Option:
    """Return the hidden flag that `border` looks for."""
    return click.Option(["--debug"], is_flag=True, expose_value=False, hidden=True)


def command(name: str, **kwargs: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Decorate a function as a command of its own (one that is not in a group)."""
    return click.command(name, cls=Command, context_settings=CONTEXT, **kwargs)


def group(name: str, **kwargs: Any) -> Callable[[Callable[..., Any]], Group]:
    """Decorate a function as a group of commands."""
    made: Callable[[Callable[..., Any]], Group] = click.group(
        name, cls=Group, context_settings=CONTEXT, **kwargs
    )
    return made


def shared(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Join option decorators that several commands share into one."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
