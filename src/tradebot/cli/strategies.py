"""`tradebot strategies`: which there are, a new one, and the proof that one is honest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import click

from tradebot.cli import out
from tradebot.cli.lazy import group
from tradebot.cli.options import only_config, with_config, with_json
from tradebot.cli.progress import progress
from tradebot.cli.project import Project, find_project, located
from tradebot.errors import ExitCode, PluginError, TradebotError, UsageError

if TYPE_CHECKING:
    from tradebot.app.deciders import Recipe
    from tradebot.config.models import Config
    from tradebot.plugins.verdict import Verdict

Kind = Literal["frame", "bar", "quote", "portfolio"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@group("strategies")
def strategies() -> None:
    """List, new, check: the files that decide."""


@strategies.command("list")
@only_config
@with_json
def list_(config_file: str | None, as_json: bool) -> None:
    """List the strategy classes that a configuration may name.

    Reads the files without running them. A file of the project hides a shipped one of its name.
    """
    from tradebot.plugins.blame import shown
    from tradebot.plugins.loader import list_strategies, search_path

    found = list_strategies(search_path(find_project(config_file).root))
    if as_json:
        rows = [
            {"class": f.reference if f.name else None, "kind": f.kind, "path": str(f.path), "line": f.line,
             "summary": f.summary, "problem": f.problem or None}
            for f in found
        ]  # fmt: skip
        out.as_json({"strategies": rows})
        return
    out.table(
        ("class", "kind", "what it does"),
        [
            (f.reference, f.kind, f.summary)
            if f.name
            else (f.path.name, "unreadable", f"{shown(str(f.path))}:{f.line}: {f.problem}")
            for f in found
        ],
    )


@strategies.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="frame", show_default=True,
              help="On whole tables, bar by bar, on quotes, or weights of a portfolio.")  # fmt: skip
@only_config
@with_json
def new(name: str, kind: str, config_file: str | None, as_json: bool) -> None:
    """Write strategies/NAME.py: a small, complete strategy to change.

    Never overwrites a file. Prints the lines that name it in the configuration.
    """
    from tradebot.plugins.template import class_name, write_new

    chosen: Kind = next(k for k in KINDS if k == kind)
    project = find_project(config_file)
    try:
        path = write_new(name, project.strategies, chosen)
    except PluginError as exc:
        raise TradebotError(str(exc)) from exc  # nothing is wrong with a strategy: the file is in the way
    reference = f"{path.name}:{class_name(name)}"
    if as_json:
        out.as_json({"path": str(path), "class": reference, "kind": kind})
        return
    out.show(f"Created {path}")
    out.show("Name it in tradebot.yaml, under strategies:")
    out.show()
    out.show(f"  - id: {path.stem}")
    out.show(f"    class: {reference}")
    out.show("    instruments: [SYN/USD]" if kind == "quote" else "    instruments: [SPX]")
    if kind != "quote":
        out.show("    interval: 1d")
    if kind == "portfolio":  # weights that never change are acted on once, and only when told so
        out.show("    first_entry: at_once")
        out.show("    resize: always")
        out.show("    schedule: {every: month}")
    out.show()
    out.show(f"Then:  tradebot strategies check {path.stem}  and  tradebot backtest {path.stem}")


@strategies.command("check")
@click.argument("ids", metavar="[STRATEGY]...", nargs=-1)
@click.option("--quick", is_flag=True, help="The sample that every backtest takes.")
@click.option("--seed", type=int, default=0, show_default=True, help="Picks the random bars.")
@with_config
@with_json
def check(
    ids: tuple[str, ...],
    quick: bool,
    seed: int,
    config_file: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Prove that configured strategies see no future and that their lookback suffices.

    Compares what a strategy says over all stored bars with what it says when later bars, and bars
    before its lookback, are not there. Ends with 1 when they differ.
    """
    from tradebot.app.deciders import recipes

    project = find_project(config_file)
    loaded = project.load(overrides)
    known = [s.id for s in loaded.config.strategies]
    for name in ids:
        if name not in known:
            raise UsageError(f"no strategy {name!r} is configured; there are: {', '.join(known)}")
    with located(loaded), out.prints_aside():
        made = recipes(loaded.config, project.root, ids)
    verdicts: list[_Checked] = []
    with progress() as tell, out.prints_aside():
        for i, recipe in enumerate(made):
            tell(f"checking {recipe.words.id}", i / len(made))
            verdicts += _checked(recipe, loaded.config, project, quick=quick, seed=seed)
    _report(verdicts, as_json)


class _Checked(NamedTuple):
    """A strategy on one instrument (or on all it decides about at once), and what was found."""

    strategy: str
    instrument: str
    verdict: Verdict


def _checked(
    recipe: Recipe, config: Config, project: Project, *, quick: bool, seed: int
) -> Iterator[_Checked]:
    from tradebot.app.honesty import load_for, verdict_on

    series = load_for(recipe, config, project.root)
    if recipe.is_joint:
        names = recipe.words.instruments
        verdict = verdict_on(recipe, names[0], series, quick=quick, seed=seed)
        yield _Checked(recipe.words.id, ", ".join(names), verdict)
        return
    for name in recipe.words.instruments:
        yield _Checked(recipe.words.id, name, verdict_on(recipe, name, series, quick=quick, seed=seed))


def _report(checked: Sequence[_Checked], as_json: bool) -> None:
    ok = all(c.verdict.ok for c in checked)
    if as_json:
        from tradebot.report.jsonout import plain_value

        rows = [
            {"strategy": c.strategy, "instrument": c.instrument, "ok": c.verdict.ok,
             "text": c.verdict.text, "verdict": plain_value(c.verdict)}
            for c in checked
        ]  # fmt: skip
        out.as_json({"ok": ok, "strategies": rows})
    else:
        for c in checked:
            _show(c)
    if not ok:
        raise click.exceptions.Exit(ExitCode.FAILED)


def _show(checked: _Checked) -> None:
    head = f"{checked.strategy} on {checked.instrument}"
    word = out.style("ok", "good") if checked.verdict.ok else out.style("FAILED", "bad")
    out.show(f"{word}  {head}")
    for line in checked.verdict.text.splitlines():
        out.show(f"    {line}")
