"""The command line: words in, tables or JSON out, one exit code.

Asks the floors below and shows what they answer; decides nothing about trading or data. A command's
own module, and the libraries it needs, are imported when that command is called and not before.
"""

from tradebot.cli.border import main

__all__ = ["main"]
