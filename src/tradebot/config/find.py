"""Find the configuration that a command means when none is named."""

from __future__ import annotations

from pathlib import Path

from tradebot.errors import ConfigError, Problem

PLACES = ("tradebot.yaml", "config/tradebot.yaml")


def find_config(start: str | Path = ".") -> Path:
    """Return `tradebot.yaml` in the folder `start`, else `config/tradebot.yaml` in it.

    Raises ConfigError, naming both, when neither is there.
    """
    start = Path(start)
    for place in PLACES:
        if (start / place).is_file():
            return start / place
    message = (
        f"does not exist, nor does {start / PLACES[1]}; `tradebot init` writes one; -c FILE names another"
    )
    raise ConfigError([Problem(file=str(start / PLACES[0]), line=None, key="", message=message)])
