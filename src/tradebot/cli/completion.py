"""`tradebot completion`: the script that teaches a shell our words."""

from __future__ import annotations

import click

from tradebot.cli import out
from tradebot.cli.lazy import command

_SHELLS = ("bash", "zsh", "fish")


@command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash:  tradebot completion bash >> ~/.bashrc
    zsh:   tradebot completion zsh >> ~/.zshrc
    fish:  tradebot completion fish > ~/.config/fish/completions/tradebot.fish
    """
    from click.shell_completion import get_completion_class

    from tradebot.cli.root import root

    found = get_completion_class(shell)
    assert found is not None
    # `source` would ask the installed bash for its version; the text itself needs no shell.
    made = found(root, {}, "tradebot", "_TRADEBOT_COMPLETE")
    out.show(made.source_template % made.source_vars())
