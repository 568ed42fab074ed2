"""`tradebot backtest`: strategies over stored history, each run kept, printed and reported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from tradebot.cli import out
from tradebot.cli.lazy import command
from tradebot.cli.options import with_config, with_json
from tradebot.cli.progress import progress
from tradebot.cli.project import Project, find_project, located
from tradebot.cli.runs import config_of, find_run, named, stored_config, strategies_of
from tradebot.errors import ConfigError, Problem, StoreError

if TYPE_CHECKING:
    from tradebot.config.loader import Loaded
    from tradebot.report.html import Draft
    from tradebot.report.metrics import Metrics
    from tradebot.report.result import RunResult
    from tradebot.report.runs import RunStore

_SPEEDS = ("auto", "engine", "kernel")


@command("backtest")
@click.argument("strategies", metavar="[STRATEGY]...", nargs=-1)
@click.option("--from", "start", metavar="DAY", help="First day, such as 2010-01-01, or a moment.")
@click.option("--to", "end", metavar="DAY", help="Last day (included), or a moment.")
@click.option(
    "--from-run",
    metavar="RUN",
    help="Repeat a stored run with the configuration it was made with.",
)
@click.option("--no-report", is_flag=True, help="Make no HTML page (the run is stored all the same).")
@click.option(
    "--speed",
    type=click.Choice(_SPEEDS),
    default="auto",
    show_default=True,
    help="The engine is the reference; the kernel gives the same fills faster.",
)
@with_config
@with_json
def backtest(
    strategies: tuple[str, ...],
    start: str | None,
    end: str | None,
    from_run: str | None,
    no_report: bool,
    speed: str,
    config_file: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Test strategies on stored history: all of the configuration, or those named.

    Prints for each what it made beside buying and holding, what it cost, what decided its fills, and
    the line that repeats it. Every run is stored, so that attempts are counted.
    """
    dates = [f"backtest.{key}={day}" for key, day in (("from", start), ("to", end)) if day is not None]
    project = find_project(config_file)
    try:
        asked = _asked(project, strategies, [*dates, *overrides], from_run)
    except ConfigError as exc:
        raise ConfigError([_as_typed(problem, dates) for problem in exc.problems]) from exc
    drafts = _Drafts(page=not no_report)
    results = _run(asked, speed, drafts.make)
    _keep_and_show(asked, results, drafts, as_json=as_json)
    if from_run is not None and not as_json:
        _compare(asked, results)


def _as_typed(problem: Problem, dates: Sequence[str]) -> Problem:
    """Return a problem of --from or --to under the name that was typed."""
    for date in dates:
        key = date.partition("=")[0]
        if problem.file == f"--set {key}":
            return replace(problem, file=f"--{key.removeprefix('backtest.')}")
    return problem


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is to be run, and the stored run that it repeats, if any."""

    project: Project
    store: RunStore
    loaded: Loaded
    strategies: tuple[str, ...]
    repeats: RunResult | None = None


def _asked(
    project: Project, strategies: tuple[str, ...], overrides: Sequence[str], from_run: str | None
) -> _Asked:
    from tradebot.config.loader import parse
    from tradebot.report.runs import RunStore

    store = RunStore(project.runs)
    if from_run is None:
        return _Asked(project=project, store=store, loaded=project.load(overrides), strategies=strategies)
    entry = find_run(store, from_run)
    text, path = config_of(entry)
    loaded = parse(text.encode(), str(path), overrides, env={})
    return _Asked(
        project=project,
        store=store,
        loaded=loaded,
        strategies=strategies or strategies_of(text),
        repeats=store.load(entry.run_id),
    )


class _Drafts:
    """What is worked out of results before their verdicts are known: figures, and parts of the page."""

    def __init__(self, *, page: bool) -> None:
        self.page = page
        self.figures: dict[str, Metrics] = {}
        self.pages: dict[str, Draft] = {}

    def make(self, result: RunResult) -> None:
        """Work out those of one result."""
        from tradebot.report.html import draft
        from tradebot.report.metrics import measure

        self.figures[result.label] = measure(result)
        if self.page:
            self.pages[result.label] = draft(result)


def _run(asked: _Asked, speed: str, meanwhile: Callable[[RunResult], None]) -> list[RunResult]:
    from tradebot.app.backtest import BacktestRequest
    from tradebot.app.backtest import backtest as run

    # A backtest tells nobody, so where to send messages is no part of what is run and kept.
    config = asked.loaded.config.model_copy(update={"notify": ()})
    with progress() as tell, located(asked.loaded), out.prints_aside():
        request = BacktestRequest(
            config=config,
            project=asked.project.root,
            strategies=asked.strategies,
            speed=speed,
            progress=tell,
            meanwhile=meanwhile,
        )
        return run(request)


def _keep_and_show(asked: _Asked, results: Sequence[RunResult], drafts: _Drafts, *, as_json: bool) -> None:
    from tradebot.report.jsonout import to_dict
    from tradebot.report.runs import REPORT
    from tradebot.report.text import print_report

    config = asked.loaded.config.model_copy(update={"notify": ()})
    text = stored_config(config, asked.strategies)
    objects: list[dict[str, object]] = []
    lost: StoreError | None = None
    for i, found in enumerate(results):
        result, path = found, None
        metrics = drafts.figures[found.label]
        try:
            result = named(found, asked.store)
            page = drafts.pages.get(found.label)
            folder = asked.store.save(result, metrics, config=text, report=drafts.page, page=page)
            path = str(folder / REPORT) if drafts.page else None
        except StoreError as exc:
            # What took long to compute is shown, though a full disk or a folder of others keeps nothing.
            result, lost = found, exc
        attempts = asked.store.trials(result.label)
        if as_json:
            objects.append({**to_dict(result, metrics), "report": path, "attempts": attempts})
            continue
        if i:
            out.show()
        print_report(result, metrics, sys.stdout, report_path=path)
        if attempts > 1:
            out.show(
                f"  Attempts: {attempts} different ones of {result.label} are stored; the best is partly luck"
            )
    if as_json:
        out.as_json({"runs": objects})
    if lost is not None:
        raise lost


def _compare(asked: _Asked, results: Sequence[RunResult]) -> None:
    before = asked.repeats
    after = next((r for r in results if before is not None and r.label == before.label), None)
    if before is None or after is None:
        return
    differ = [
        name
        for name in ("config", "code", "data")
        if getattr(before, f"{name}_digest") != getattr(after, f"{name}_digest")
    ]
    was, now = float(before.equity[-1]), float(after.equity[-1])
    outcome = "the same end equity" if was == now else f"another end equity ({was:,.2f} then, {now:,.2f} now)"
    if differ:
        out.note(f"Not the same as {before.run_id}: other {' and '.join(differ)}; {outcome}.")
    else:
        out.note(f"Same configuration, code and data as {before.run_id}: {outcome}.")
