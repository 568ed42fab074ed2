"""`tradebot init`: a project that runs at once, from what comes with tradebot.

Writes only files that are not there; nothing of the user's is ever changed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import click

from tradebot.cli import out, shipped
from tradebot.cli.lazy import command
from tradebot.cli.options import with_json
from tradebot.cli.project import find_project
from tradebot.errors import ConfigError, InvariantError, UsageError

CONFIG, SCHEMA = "tradebot.yaml", "tradebot.schema.json"
_EDITOR_LINE = f"# yaml-language-server: $schema={SCHEMA}\n"
# What is asked, and the key of the shipped file whose value the answer takes the place of.
_QUESTIONS = (
    ("Cash to start with", "cash"),
    ("Halt at a loss from the highest equity of", "max_drawdown"),
)


@command("init")
@click.argument("folder", metavar="[DIR]", default=".")
@click.option("--defaults", is_flag=True, help="Ask nothing (as when there is no terminal).")
@with_json
def init(folder: str, defaults: bool, as_json: bool) -> None:
    """Make a project in DIR (this folder): a configuration and example strategies.

    Needs no key and no network. Never overwrites a file: run again, it adds what is missing.
    """
    root = Path(folder)
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} must be a folder, is a file")
    existing = find_project(start=root).config_file
    text = (shipped.folder("config") / CONFIG).read_text(encoding="utf-8")
    if existing is None and not defaults and sys.stdin.isatty() and sys.stderr.isatty():
        text = _asked(text)
    root.mkdir(parents=True, exist_ok=True)
    made: list[tuple[Path, bool, str]] = []
    if existing is None:
        made.append(
            (root / CONFIG, _create(root / CONFIG, _EDITOR_LINE + text, 0o600), "simulated account, no keys")
        )
        made.append((root / SCHEMA, _create(root / SCHEMA, _schema_text(), 0o666), "for editors"))
    else:
        made.append((existing, False, ""))
    (root / "strategies").mkdir(exist_ok=True)
    for source in sorted(shipped.folder("strategies").glob("*.py")):
        path = root / "strategies" / source.name
        made.append((path, _create(path, source.read_text(encoding="utf-8"), 0o666), ""))
    _tell(root, made, as_json)


def _tell(root: Path, made: list[tuple[Path, bool, str]], as_json: bool) -> None:
    if as_json:
        files = [{"path": str(path), "created": created} for path, created, _ in made]
        out.as_json({"folder": str(root), "files": files})
        return
    width = max(len(str(path)) for path, _, _ in made)
    for path, created, remark in made:
        word = "created" if created else "kept   "
        out.show(f"  {word} {str(path).ljust(width)}  {remark}".rstrip())
    step = "" if root.resolve() == Path.cwd() else f"cd {root} && "
    out.show(f"Next:  {step}tradebot backtest")
    out.show("       tradebot config validate     after editing tradebot.yaml")
    out.show("       tradebot strategies new NAME  for a strategy of your own")


def _create(path: Path, text: str, mode: int) -> bool:
    """Write a new file and return True, or leave one that is there and return False."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return False
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as exc:
        # Half a file would be kept by the next `init`, which never overwrites one.
        path.unlink(missing_ok=True)
        exc.filename = str(path)
        raise
    return True


def _schema_text() -> str:
    import json

    from tradebot.config.schema import json_schema

    return json.dumps(json_schema(), indent=2) + "\n"


def _asked(text: str) -> str:
    for question, key in _QUESTIONS:
        span = _value_of(text, key)
        default = text[span]
        answer = click.prompt(question, default=default, value_proc=_accepting(text, span), err=True)
        text = _put(text, span, answer)
    return text


def _value_of(text: str, key: str) -> slice:
    """Return where the value of `key` stands in the shipped file, which is not asked about what it lacks."""
    found = re.search(rf"\b{key}: ([^,}}\n]+)", text)
    if found is None:
        raise InvariantError(f"the shipped {CONFIG} must have a value for {key}, has none")
    return slice(*found.span(1))


def _put(text: str, span: slice, answer: str) -> str:
    return text[: span.start] + answer + text[span.stop :]


def _accepting(text: str, span: slice) -> Callable[[str], str]:
    """Return what click asks whether an answer will do: the configuration itself decides."""
    from tradebot.config.loader import parse

    def accept(answer: str) -> str:
        try:
            parse(_put(text, span, answer).encode(), CONFIG, env={})
        except ConfigError as exc:
            raise click.UsageError("; ".join(p.message for p in exc.problems)) from exc
        return answer

    return accept
