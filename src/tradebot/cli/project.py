"""Know where a project's things are: its configuration, strategies, data and runs.

A project is the folder that holds tradebot.yaml (or config/tradebot.yaml); paths in the
configuration start there. Reads no file by itself but the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.errors import ConfigError, Problem

if TYPE_CHECKING:
    from tradebot.config.loader import Loaded
    from tradebot.config.models import Config
    from tradebot.data.catalogue import Catalogue

_PLACES = ("tradebot.yaml", "config/tradebot.yaml")
# How the composition root names the file it was not told of.
_SOMEWHERE = "configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A folder and, when there is one, the configuration in it."""

    root: Path
    config_file: Path | None

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def strategies(self) -> Path:
        return self.root / "strategies"

    def load(self, overrides: Sequence[str] = (), env: Mapping[str, str] | None = None) -> Loaded:
        """Return the configuration with its lines. Raises ConfigError; 78 when there is none.

        `${NAME}` is looked up in `env`, the process's own environment if None.
        """
        from tradebot.config.find import find_config
        from tradebot.config.loader import load

        return load(self.config_file or find_config(self.root), overrides, env)

    def catalogue(self, config: Config | None) -> Catalogue:
        """Return the project's bars and quotes, with the bundled ones behind them."""
        from tradebot.app.market import data_folder
        from tradebot.data.catalogue import Catalogue, bundled_root

        return Catalogue(data_folder(config, self.root), bundled_root())

    def own_config(self) -> Config | None:
        """Return the configuration if the project has one. Raises ConfigError when it is wrong."""
        return None if self.config_file is None else self.load().config


def find_project(config_file: str | None = None, start: Path | None = None) -> Project:
    """Return the project of a named configuration, else that of the folder `start` (the working one)."""
    if config_file is not None:
        path = Path(config_file)
        # `config/tradebot.yaml` belongs to the folder above, also when named from inside `config`.
        if path.absolute().parent.name == "config":
            return Project(root=path.parent.parent if path.parent.name else Path(".."), config_file=path)
        return Project(root=path.parent, config_file=path)
    root = start or Path()
    found = next((root / place for place in _PLACES if (root / place).is_file()), None)
    return Project(root=root, config_file=found)


@contextmanager
def located(loaded: Loaded) -> Iterator[None]:
    """Give problems that name a key but no file the line of that key in the file."""
    try:
        yield
    except ConfigError as exc:
        raise ConfigError([_located(loaded, problem) for problem in exc.problems]) from exc


def _located(loaded: Loaded, problem: Problem) -> Problem:
    if problem.file != _SOMEWHERE or not problem.key:
        return problem
    head, _, rest = problem.key.partition(".")
    ids = [s.id for s in loaded.config.strategies]
    name, _, inner = rest.partition(".")
    key = problem.key
    if head == "strategies" and name in ids:
        key = ".".join(p for p in (f"strategies[{ids.index(name)}]", inner) if p)
    return replace(loaded.problem(key, problem.message), key=key)
