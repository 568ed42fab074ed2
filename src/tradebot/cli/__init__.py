"""The command line: words in, tables or JSON out, one exit code.

Asks the floors below and shows what they answer; decides nothing about trading or data. A command's
own module, and the libraries it needs, are imported when that command is called and not before.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

__all__ = ["main"]

_INTERRUPTED = 130  # as `words.INTERRUPTED`, which is not yet imported when it is needed here


def main() -> NoReturn:
    """Run the command line of this process and leave with its exit code."""
    try:
        from tradebot.cli.border import main as run
    except KeyboardInterrupt:
        # Ctrl-C in the first moments, before there is anybody to answer it in words.
        sys.stderr.write("Interrupted.\n")
        sys.stderr.flush()
        os._exit(_INTERRUPTED)
    run()
