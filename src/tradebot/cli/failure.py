"""Put what went wrong into words: what, where, why, what to do next.

Owns the wording and the JSON form of errors. Decides no exit code; shows no secret.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

import click

from tradebot.cli import out
from tradebot.cli.words import SCHEMA_VERSION
from tradebot.errors import ConfigError, ExitCode, PluginError, Problem, TradebotError

_PLACES = ("tradebot.yaml", "config/tradebot.yaml")
_DEBUG = "--debug shows the traceback."


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An ending that is not ok: its kind for scripts, its lines for people (the first without "Error:")."""

    kind: str
    paragraphs: tuple[str, ...]
    hint: str = ""
    problems: tuple[Problem, ...] = ()

    def show(self, code: ExitCode, *, as_json: bool) -> None:
        """Write it to stderr, and to stdout as JSON when JSON was asked for."""
        head, hidden = out.style("Error:", "bad", sys.stderr), _hider()
        for paragraph in self.paragraphs:
            out.note(f"{head} {hidden(paragraph)}")
        if self.hint:
            out.note(self.hint)
        if as_json:
            error = {
                "kind": self.kind,
                "exit_code": int(code),
                "message": hidden("\n".join(self.paragraphs)),
                "problems": [
                    {"file": p.file, "line": p.line, "key": p.key, "message": hidden(p.message)}
                    for p in self.problems
                ],
            }
            out.as_json({"schema_version": SCHEMA_VERSION, "error": error})


def of_usage(exc: click.ClickException) -> Failure:
    """Return the failure of words that click could not make sense of."""
    ctx = exc.ctx if isinstance(exc, click.UsageError) else None
    hint = f"Usage: {ctx.command_path} --help shows the words it knows." if ctx else ""
    return Failure(kind="UsageError", paragraphs=(exc.format_message(),), hint=hint)


def of_ours(exc: TradebotError) -> Failure:
    """Return the failure of an error that was foreseen."""
    if isinstance(exc, ConfigError):
        return Failure(
            kind=type(exc).__name__,
            paragraphs=tuple(_problem(p) for p in exc.problems),
            hint=_check_again(exc.problems),
            problems=exc.problems,
        )
    inside = isinstance(exc, PluginError) and not isinstance(exc.__cause__, (OSError, type(None)))
    if exc.exit_code is ExitCode.BUG:
        return Failure(kind=type(exc).__name__, paragraphs=(_bug(str(exc)),), hint=_DEBUG)
    return Failure(kind=type(exc).__name__, paragraphs=(_indented(str(exc)),), hint=_DEBUG if inside else "")


def of_system(exc: OSError) -> Failure:
    """Return the failure of something the operating system refused."""
    what = exc.strerror or str(exc)
    text = f"{exc.filename}: {what}" if exc.filename is not None else what
    return Failure(kind=type(exc).__name__, paragraphs=(text,))


def of_bug(exc: Exception) -> Failure:
    """Return the failure that nobody foresaw, in one line."""
    text = _redacted(" ".join(str(exc).split()))[:200]
    place = _place(exc)
    return Failure(
        kind="Bug",
        paragraphs=(_bug(f"{type(exc).__name__}{f' in {place}' if place else ''}: {text}"),),
        hint=f"{_DEBUG} Nothing that was stored before is changed by it.",
    )


def traceback_of(exc: Exception) -> str:
    """Return the traceback as text, messages without what looks like a key."""
    import traceback

    lines = "".join(traceback.format_exception(exc)).splitlines()
    # Indented lines are places and source text; messages begin at the margin.
    return _hider()("\n".join(line if line.startswith(" ") else _redacted(line) for line in lines))


def _hider() -> Callable[[str], str]:
    """Return what takes the secrets of the environment out of a text: a strategy's error may hold them."""
    from tradebot.daemon.redact import Redactor

    redactor = Redactor()
    redactor.add_environment(os.environ)
    return redactor.hide_known


def _problem(problem: Problem) -> str:
    place = problem.file if problem.line is None else f"{problem.file}:{problem.line}"
    if not problem.key:
        return f"{place}: {problem.message}"
    return f"{place}  {problem.key}\n  {problem.message}"


def _check_again(problems: tuple[Problem, ...]) -> str:
    if not any(p.key or p.line is not None for p in problems):
        return ""
    if all(p.file.startswith("--") for p in problems):
        return ""  # the file is as right as it was
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    file = next((p.file for p in problems if p.line is not None), _PLACES[0])
    option = "" if file in _PLACES else f" -c {file}"
    return f"{count}.  Check again: tradebot config validate{option}"


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def _bug(text: str) -> str:
    return f"this is a bug of tradebot: {text}"


def _place(exc: Exception) -> str:
    import traceback

    frames = traceback.extract_tb(exc.__traceback__)
    ours = [f for f in frames if f"{os.sep}tradebot{os.sep}" in f.filename]
    return f"{os.path.basename(ours[-1].filename)}:{ours[-1].lineno}" if ours else ""


def _redacted(text: str) -> str:
    from tradebot.config.shown import HIDDEN, looks_secret, secret_name

    def shown(match: re.Match[str]) -> str:
        word = match[0]
        return HIDDEN if looks_secret(word) and not os.path.exists(word.strip("'\":,()")) else word

    # `api_key=...` and `token: ...` hide their value, however short.
    parts = re.split(r"(\w*\s*[=:]\s*)(\S+)", text)
    for i in range(1, len(parts) - 1, 3):
        if secret_name(parts[i]):
            parts[i + 1] = HIDDEN
    return re.sub(r"\S+", shown, "".join(parts))
