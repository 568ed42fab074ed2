"""The first word of every command line: which commands there are, and where they live.

Knows one line about each command, so that the help needs none of them.
"""

from __future__ import annotations

import click

import tradebot
from tradebot.cli.lazy import CONTEXT, Group, Lazy

COMMANDS = {
    "init": Lazy(
        section="Start",
        place="tradebot.cli.init:init",
        summary="make a project: a configuration and example strategies",
    ),
    "doctor": Lazy(
        section="",
        place="tradebot.cli.doctor:doctor",
        summary="is it ok? checks everything, changes nothing",
    ),
    "backtest": Lazy(
        section="Research",
        place="tradebot.cli.backtest:backtest",
        summary="test strategies on stored history",
    ),
    "report": Lazy(
        section="",
        place="tradebot.cli.report:report",
        summary="show a stored run again, or list them",
    ),
    "strategies": Lazy(
        section="",
        place="tradebot.cli.strategies:strategies",
        summary="list, new, check: the files that decide",
    ),
    "data": Lazy(
        section="",
        place="tradebot.cli.data:data",
        summary="list, import, download, check, resample, synthetic: bars, quotes",
    ),
    "run": Lazy(
        section="Operate",
        place="tradebot.cli.run:run",
        summary="trade the accounts of the configuration, in the foreground",
    ),
    "start": Lazy(
        section="",
        place="tradebot.cli.starting:start",
        summary="start the daemon in the background, up to where it trades",
    ),
    "stop": Lazy(
        section="",
        place="tradebot.cli.starting:stop",
        summary="stop it in order, and say what stays open",
    ),
    "status": Lazy(
        section="",
        place="tradebot.cli.status:status",
        summary="what it is doing: health, equity, limits, positions",
    ),
    "pause": Lazy(
        section="",
        place="tradebot.cli.halting:pause",
        summary="open nothing new, manage exits",
    ),
    "resume": Lazy(
        section="",
        place="tradebot.cli.halting:resume",
        summary="lift a pause or halt",
    ),
    "halt": Lazy(
        section="",
        place="tradebot.cli.halting:halt",
        summary="stop new risk at once",
    ),
    "flatten": Lazy(
        section="",
        place="tradebot.cli.halting:flatten",
        summary="cancel everything and close all positions",
    ),
    "orders": Lazy(
        section="",
        place="tradebot.cli.listing:orders",
        summary="working orders",
    ),
    "positions": Lazy(
        section="",
        place="tradebot.cli.listing:positions",
        summary="what each strategy holds",
    ),
    "trades": Lazy(
        section="",
        place="tradebot.cli.listing:trades",
        summary="trades with fee and profit",
    ),
    "why": Lazy(
        section="",
        place="tradebot.cli.why:why",
        summary="how an order came about",
    ),
    "why-not": Lazy(
        section="",
        place="tradebot.cli.why:why_not",
        summary="why a symbol was not traded",
    ),
    "logs": Lazy(
        section="",
        place="tradebot.cli.logs:logs",
        summary="what the daemon said",
    ),
    "reconcile": Lazy(
        section="",
        place="tradebot.cli.reconcile:reconcile",
        summary="ours beside the venue's",
    ),
    "risk": Lazy(
        section="",
        place="tradebot.cli.risk:risk",
        summary="show: limits and how near they are",
    ),
    "notify": Lazy(
        section="",
        place="tradebot.cli.notify:notify",
        summary="test: messages to the owner",
    ),
    "service": Lazy(
        section="Machine",
        place="tradebot.cli.service:service",
        summary="install, uninstall, show: the systemd unit",
    ),
    "db": Lazy(
        section="",
        place="tradebot.cli.db:db",
        summary="verify, backup, restore, prune: the journals",
    ),
    "replay": Lazy(
        section="",
        place="tradebot.cli.replay:replay",
        summary="run a recorded run again and compare",
    ),
    "config": Lazy(
        section="",
        place="tradebot.cli.config:config",
        summary="validate, show, schema, paths: the YAML file",
    ),
    "venues": Lazy(
        section="",
        place="tradebot.cli.venues:venues",
        summary="describe: what an exchange supports",
    ),
    "emulate": Lazy(
        section="",
        place="tradebot.cli.emulate:emulate",
        summary="alpaca, binance: a venue on this machine, for tests",
    ),
    "completion": Lazy(
        section="",
        place="tradebot.cli.completion:completion",
        summary="print the completion script of a shell",
    ),
}


@click.group("tradebot", cls=Group, lazy=COMMANDS, context_settings=CONTEXT, no_args_is_help=False,
             invoke_without_command=True, subcommand_metavar="COMMAND ...")  # fmt: skip
@click.version_option(tradebot.__version__, "--version", message="tradebot %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@click.pass_context
def root(ctx: click.Context) -> None:
    """Tests trading strategies and trades them, on paper by default.  New here?  tradebot init

    Names may be shortened (tradebot back). Results go to stdout, everything else to stderr.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
