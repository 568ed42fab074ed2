"""Let `python -m tradebot` be the command line."""

from tradebot.cli import main

if __name__ == "__main__":
    main()
