"""Read stored data in a process of its own, which lives until they are read.

What reading takes (numpy, pyarrow, a year of minutes at once) goes with that process; the account keeps
an open file with no name, from which it takes rows as they are due. Nothing is left behind by a kill.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tradebot.app.supply import Supply, Taped, Wanted
from tradebot.errors import DataError, TradebotError

# -P: a file in the project's folder must not stand in for one of Python's own.
_CHILD = ("-P", "-m", "tradebot.app.aside")


def supply_aside(wanted: Wanted, folder: Path) -> Supply:
    """Return the supply of an account, with its rows in a nameless file in `folder`.

    Raises what reading raised, DataError when the reading process died or the disk is full.
    """
    with ExitStack() as held:
        number = held.enter_context(tempfile.TemporaryFile(dir=folder)).fileno()
        given = _asked(wanted, number)
        close = held.pop_all().close
    return Supply(
        outline=given.outline,
        past=lambda: given.past.slices(number),
        missed=lambda: given.missed.slices(number),
        coming=lambda: given.coming.slices(number),
        close=close,
    )


def _asked(wanted: Wanted, file: int) -> Taped:
    child = subprocess.run(
        [sys.executable, *_CHILD, str(file)],
        input=pickle.dumps(wanted),
        capture_output=True,
        pass_fds=(file,),
        process_group=0,  # a Ctrl-C is ours to answer
        check=False,
    )
    if child.returncode or not child.stdout:
        said = child.stderr.decode(errors="replace").strip().splitlines()
        raise DataError(
            f"the process that reads stored data must end with 0, ended with {child.returncode}"
            f"{': ' + said[-1] if said else ''}; see whether memory or disk are full, then start again"
        )
    answer: Taped | TradebotError = pickle.loads(child.stdout)
    if isinstance(answer, TradebotError):
        raise answer
    return answer


def main() -> None:
    """Read what stdin asks for into the file whose number is the first argument."""
    from tradebot.app.stored import taped

    wanted: Wanted = pickle.load(sys.stdin.buffer)
    answer: Taped | TradebotError
    try:
        with os.fdopen(int(sys.argv[1]), "wb") as file:
            answer = taped(wanted, file)
    except TradebotError as exc:
        answer = exc
    except OSError as exc:
        answer = DataError(f"stored data could not be read into {wanted.project}: {exc}")
    pickle.dump(answer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
