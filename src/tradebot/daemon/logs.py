"""Write what the daemon says: JSON for the journal and for files, plain lines for a terminal.

Every line, of ours or of a library, goes one way: repeats collapsed, rendered, secrets taken out of the
finished text, capped, written. Saying something never raises and never decides anything.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Hashable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import structlog

from tradebot.daemon.logsinks import Ceiling, Repeats, RotatingFile
from tradebot.daemon.redact import Redactor

Event = MutableMapping[str, Any]
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
# sd-daemon(3): what journald reads from the beginning of a line.
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_LONGEST_VALUE = 4_000  # characters
_LONGEST_LINE = 32_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is logged and where; `file` None means only the stream."""

    level: str = "info"
    file: Path | None = None
    file_bytes: int = 10_000_000
    files_kept: int = 5
    bytes_per_minute: int = 1_000_000


@dataclass(slots=True)
class Counts:
    """What did not reach a log, and why."""

    written: int = 0
    failed: int = 0  # a stream or disk that refused, a value that cannot be shown


class Logs:
    """The way of every line out of the process; between `start` and `stop` structlog and logging lead here."""

    def __init__(
        self,
        settings: LogSettings,
        redactor: Redactor,
        *,
        stream: TextIO | None = None,
        env: Mapping[str, str] = os.environ,
        monotonic: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.settings, self.redactor, self.counts = settings, redactor, Counts()
        self.repeats: Repeats[Event] = Repeats()
        self.ceiling = Ceiling(bytes_per_minute=settings.bytes_per_minute)
        self._stream = sys.stderr if stream is None else stream
        self._under_journal = under_journal(self._stream, env)
        self._pretty = _pretty_renderer(self._stream, env)
        self._file = _file_of(settings)
        self._monotonic, self._wall_ns = monotonic, wall_ns
        # A signal handler may log in the middle of a line of the same thread.
        self._lock = threading.RLock()
        self._undo: list[Callable[[], None]] = []

    def start(self) -> Self:
        """Lead structlog, logging, warnings and exceptions that nobody caught here."""
        structlog.configure(
            processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, _hand_over],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[self.settings.level]),
            logger_factory=lambda *_: _Out(self.take),
            cache_logger_on_first_use=False,
        )  # fmt: skip
        root, handler = logging.getLogger(), _FromLibraries(self.take)
        before = root.level, root.handlers[:]
        root.handlers[:], root.level = [handler], logging.WARNING
        logging.captureWarnings(True)
        hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
        sys.excepthook = lambda kind, exc, trace: self._crash("crashed", exc)
        threading.excepthook = lambda args: self._crash("thread_crashed", args.exc_value)
        sys.unraisablehook = lambda args: self._crash("exception_ignored", args.exc_value)

        def undo() -> None:
            root.level, root.handlers[:] = before
            logging.captureWarnings(False)
            sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
            structlog.reset_defaults()

        self._undo.append(undo)
        return self

    def stop(self) -> None:
        """Write what was held back, close the file, and leave structlog and logging as they were."""
        with self._lock:
            self._tell_held_back(float("inf"))
            while self._undo:
                self._undo.pop()()
            if self._file is not None:
                self._file.close()
                self._file = None

    def tick(self) -> None:
        """Write the counts of repeats whose time is over; called now and then, also in silence."""
        with self._lock:
            self._tell_held_back(self._monotonic())

    def take(self, event: Event) -> None:
        """Write one event (its `event`, `level` and fields) unless it repeats; never raises."""
        with self._lock:
            try:
                now = self._monotonic()
                self._tell_held_back(now)
                exc = _exception(event.pop("exc_info", None))
                event.setdefault("at", _iso(self._wall_ns()))
                # What is kept to be told later holds no traceback, and so no frames and what they hold.
                if self.repeats.passes((_words(event), type(exc)), event, now):
                    self._write(event if exc is None else {**event, "exception": _traceback(exc)}, now)
            except Exception:
                # Whatever a value's own code or a stream raises: a line is lost, trading goes on.
                self.counts.failed += 1

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _crash(self, what: str, exc: BaseException | None) -> None:
        self.take({"event": what, "level": "critical", "exc_info": exc})

    def _tell_held_back(self, now: float) -> None:
        for event, count in self.repeats.over(now):
            self._write({**event, "repeated": count}, now)
        if dropped := self.ceiling.turn(now):
            line = {"event": "log_capped", "level": "warning", "at": _iso(self._wall_ns()), "lines": dropped}
            self._write(line, now)

    def _write(self, event: Event, now: float) -> None:
        level = str(event.get("level", "info"))
        shown = {"at": event.get("at"), "level": level, "event": event.get("event"), **event}
        shown = {name: self._cut(value) for name, value in shown.items()}
        body = self._finished(shown)
        if not self.ceiling.passes(len(body), now, urgent=LEVELS.get(level, 20) >= LEVELS["warning"]):
            return
        if self._file is not None:
            self._attempt(self._file.write, body)
        if self._pretty is not None:
            body = self.redactor.redact(self._pretty(_printable(shown)))
        elif self._under_journal:
            body = f"<{_PRIORITY.get(level, 6)}>{body}"
        self._attempt(self._put, body)
        self.counts.written += 1

    def _finished(self, event: Mapping[str, Any]) -> str:
        text = self.redactor.redact(json.dumps(event, default=str))
        if len(text) <= _LONGEST_LINE:
            return text
        short = {name: event.get(name) for name in ("at", "level", "event")} | {"too_long": len(text)}
        return self.redactor.redact(json.dumps(short, default=str))

    def _cut(self, value: object) -> object:
        if not isinstance(value, str) or len(value) <= _LONGEST_VALUE:
            return value
        # Redacted before it is cut: half a secret would not be recognised any more.
        return f"{self.redactor.redact(value)[:_LONGEST_VALUE]}... ({len(value)} characters)"

    def _put(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def _attempt(self, write: Callable[[str], None], text: str) -> None:
        try:
            write(text)
        except (OSError, ValueError):  # full, closed, or unable to show a sign
            self.counts.failed += 1


def under_journal(stream: TextIO, env: Mapping[str, str]) -> bool:
    """Return whether `stream` is what journald reads: systemd names its device and inode.

    INVOCATION_ID alone says only that some unit is above us.
    """
    named = env.get("JOURNAL_STREAM", "")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{found.st_dev}:{found.st_ino}"


class _Out:
    """What structlog calls; every level goes the same way."""

    def __init__(self, take: Callable[[Event], None]) -> None:
        self.msg = self.debug = self.info = self.warning = self.error = self.critical = take
        self.log = self.warn = self.fatal = self.failure = self.exception = take


class _FromLibraries(logging.Handler):
    """Turn a record of `logging` into an event of ours."""

    def __init__(self, take: Callable[[Event], None]) -> None:
        super().__init__(logging.WARNING)
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        try:
            said = record.getMessage()
        except Exception:
            # A library that formats its own message wrongly still said something.
            said = str(record.msg)
        name = record.levelname.lower()
        event: Event = {"event": said, "level": name if name in LEVELS else "warning", "logger": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        self._take(event)


def _hand_over(logger: object, name: str, event: Event) -> tuple[tuple[Event], dict[str, Any]]:
    return (event,), {}


def _words(event: Event) -> Hashable:
    # Numbers change from line to line (ages, counts, prices); words and ids say what a line is about.
    words = (
        (name, value) for name, value in event.items() if name != "at" and isinstance(value, (str, bool))
    )
    return tuple(sorted(words, key=lambda word: word[0]))


def _exception(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple) and len(exc_info) == 3 and isinstance(exc_info[1], BaseException):
        return exc_info[1]
    return sys.exception() if exc_info else None


def _traceback(exc: BaseException) -> str:
    # Without locals: they hold keys and positions.
    return "".join(traceback.format_exception(exc)).rstrip()


def _iso(wall_ns: int) -> str:
    moment = datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{wall_ns // 1_000_000 % 1_000:03d}Z"


def _printable(event: Mapping[str, Any]) -> dict[str, Any]:
    # A terminal obeys control characters; only a traceback may have lines.
    return {name: _plain(value, "\n" if name == "exception" else "") for name, value in event.items()}


def _plain(value: object, kept: str) -> object:
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(c if c.isprintable() or c in kept else f"\\x{ord(c):02x}" for c in value)


def _pretty_renderer(stream: TextIO, env: Mapping[str, str]) -> Callable[[dict[str, Any]], str] | None:
    if not stream.isatty():
        return None
    renderer = structlog.dev.ConsoleRenderer(
        colors=not env.get("NO_COLOR") and env.get("TERM") != "dumb",
        exception_formatter=structlog.dev.plain_traceback,
        timestamp_key="at",
        pad_event_to=24,
    )
    return lambda event: str(renderer(None, str(event.get("level", "info")), event))


def _file_of(settings: LogSettings) -> RotatingFile | None:
    if settings.file is None:
        return None
    return RotatingFile(settings.file, max_bytes=settings.file_bytes, keep=settings.files_kept)
