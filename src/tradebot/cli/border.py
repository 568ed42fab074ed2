"""The border between the program and the shell: every ending becomes one exit code and plain words.

The only place that catches everything. Nothing raised inside reaches a user as a traceback unless
`--debug` asks for it, and nothing that looks like a key is shown in either.
"""

from __future__ import annotations

import atexit
import errno
import gc
import io
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

import click

from tradebot.cli import failure, out
from tradebot.cli.root import root
from tradebot.cli.words import INTERRUPTED
from tradebot.daemon import ending
from tradebot.errors import ExitCode, Interrupted, PluginError, TradebotError

_COMPLETE = "_TRADEBOT_COMPLETE"
_interrupts: list[int] = []


def main() -> NoReturn:
    """Run the command line of this process and leave with its exit code."""
    # Hundreds of thousands of objects live until the end of a command (modules, classes, records).
    # Looking through them for garbage as often as Python does by default is a sixth of a backtest's time.
    gc.set_threshold(300_000, 50, 100)
    _make_streams_safe()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # who ignores it goes on doing so
        signal.signal(signal.SIGINT, _interrupt)
    _leave(run(sys.argv[1:]))


def _interrupt(number: int, frame: object) -> NoReturn:
    _interrupts.append(number)
    raise Interrupted


def _leave(code: int) -> NoReturn:
    # Python would take all those objects apart one by one first: a tenth of a backtest's time.
    if threading.active_count() > 1:
        ending.at_the_latest(code)
        sys.exit(code)  # somebody's thread is to be waited for, but not for ever
    atexit._run_exitfuncs()
    _close_quietly()
    os._exit(code)


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit code; raises nothing."""
    words = args[: args.index("--")] if "--" in args else args
    debug = "--debug" in words or bool(os.environ.get("TRADEBOT_DEBUG"))
    try:
        code = _invoke(list(args))
        sys.stdout.flush()
        return code
    except (KeyboardInterrupt, click.Abort):
        out.note("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        _close_quietly()
        return ExitCode.OK
    except click.ClickException as exc:
        return _fail(failure.of_usage(exc), ExitCode.USAGE, debug, exc, words)
    except TradebotError as exc:
        # What a strategy's own code was forbidden is the strategy's fault, at a venue the network's.
        is_ours = exc.exit_code in (ExitCode.FAILED, ExitCode.CONFIG) and not isinstance(exc, PluginError)
        code = ExitCode.PERMISSION if is_ours and _is_forbidden(exc) else exc.exit_code
        return _fail(failure.of_ours(exc), code, debug, exc, words)
    except OSError as exc:
        return _end_of_system(exc, debug, words)
    except Exception as exc:
        # A library that calls us back may turn an interrupt into an error of its own (pydantic does).
        if _interrupts:
            out.note("Interrupted.")
            return INTERRUPTED
        return _fail(failure.of_bug(exc), ExitCode.BUG, debug, exc, words)


def _invoke(args: list[str]) -> int:
    instruction = os.environ.get(_COMPLETE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(root, {}, "tradebot", _COMPLETE, instruction)
    try:
        with root.make_context("tradebot", args) as ctx:
            root.invoke(ctx)
    except click.exceptions.Exit as exc:
        return exc.exit_code
    return ExitCode.OK


def _end_of_system(exc: OSError, debug: bool, words: Sequence[str]) -> int:
    if exc.errno == errno.EPIPE:
        _close_quietly()
        return ExitCode.OK
    code = ExitCode.PERMISSION if _is_forbidden(exc) else ExitCode.FAILED
    return _fail(failure.of_system(exc), code, debug, exc, words)


def _is_forbidden(exc: BaseException | None) -> bool:
    """Return whether the system forbade to read or write a file; whoever tells of it keeps it as the cause."""
    while exc is not None:
        if isinstance(exc, OSError):
            return isinstance(exc, PermissionError) or exc.errno == errno.EROFS
        exc = exc.__cause__
    return False


def _fail(told: failure.Failure, code: ExitCode, debug: bool, exc: Exception, words: Sequence[str]) -> int:
    try:
        told.show(code, as_json="--json" in words)
        if debug:
            out.note(failure.traceback_of(exc))
    except OSError:
        _close_quietly()  # nobody is left to be told; the code still says it
    return code


def _make_streams_safe() -> None:
    # A closed stream is None in Python; a stream that cannot show a sign must not end the program.
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (lives as long as we)
        elif isinstance(stream, io.TextIOWrapper) and name != "stdin":
            stream.reconfigure(errors="backslashreplace")


def _close_quietly() -> None:
    # Python flushes at exit and would complain about the pipe again.
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(devnull, stream.fileno())
    os.close(devnull)
