"""What the documentation tells a user to type is typed, and what it shows of the help is the help.

In README.md and docs/*.md, each file in a fresh project of its own, from top to bottom:

- lines that begin with `tradebot ` in ```sh blocks and with `$ ` in ```console blocks are run and
  must end with 0, or with N where the line ends in `# exits N`;
- a ```python, ```yaml or ```csv block whose first line is `# some/file` is written to that file;
- a ```yaml block that begins with `strategies:` puts its entries into tradebot.yaml;
- a block ```text tradebot ... --help shows what that prints. TRADEBOT_UPDATE_DOCS=1 writes it anew.
"""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from tradebot.cli.border import run
from tradebot.cli.lazy import Group
from tradebot.cli.root import root

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
UPDATING = os.environ.get("TRADEBOT_UPDATE_DOCS") == "1"
WRITABLE = ("python", "yaml", "csv")


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after its fence, its text, and the line of the page it begins on."""

    head: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    begin: int | None = None
    for i, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if begin is None:
            begin = i
        else:
            yield Block(lines[begin][3:].strip(), "\n".join(lines[begin + 1 : i]), begin + 1)
            begin = None
    assert begin is None, f"{page.name}:{begin}: a block is not closed"


def commands(block: Block) -> Iterator[tuple[str, int]]:
    """Return the command lines of a block with the exit code that each must have."""
    starts = {"sh": "tradebot ", "console": "$ "}.get(block.head)
    for line in block.text.splitlines() if starts else ():
        if line.startswith(starts or ""):
            command, _, remark = line.removeprefix("$ ").partition("  #")
            code = re.search(r"exits (\d+)", remark)
            yield command.strip(), int(code[1]) if code else 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_of_a_page_run_as_they_stand(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRADEBOT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))  # a daemon that a page starts is this one
    assert run(["init", "--defaults"]) == 0
    try:
        type_all(page, monkeypatch, capfd)
    finally:
        run(["stop"])  # what a page started and did not end


def type_all(page: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Do what a page says, from top to bottom."""
    for block in blocks(page):
        write(block)
        for command, wanted in commands(block):
            capfd.readouterr()
            code = type_in(command, monkeypatch)
            told = capfd.readouterr()
            where = f"{page.name}:{block.line}: {command}"
            assert code == wanted, f"{where} ended with {code}\n{told.out[-2000:]}{told.err[-2000:]}"


def write(block: Block) -> None:
    """Do with a block of a file what a reader would."""
    first, _, rest = block.text.partition("\n")
    kind = block.head.split()[0] if block.head else ""
    if kind not in WRITABLE:
        return
    if re.fullmatch(r"# \S+\.(py|yaml|csv)", first):
        path = Path(first[2:])
        path.parent.mkdir(exist_ok=True)
        path.write_text((rest if kind == "csv" else block.text) + "\n", encoding="utf-8")
    elif first == "strategies:":
        config = Path("tradebot.yaml")
        text = config.read_text(encoding="utf-8")
        put_in = re.sub(r"(?m)^strategies:.*$", lambda _: f"{block.text}\n", text, count=1)
        config.write_text(put_in, encoding="utf-8")


def type_in(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a line of `cd` and `tradebot` commands joined by && and return the first code that is not 0."""
    for part in command.split(" && "):
        name, *words = shlex.split(part)
        if name == "cd":
            monkeypatch.chdir(words[0])
            continue
        assert name == "tradebot", f"only tradebot and cd are run from the documentation, found: {part}"
        if code := run(words):
            return code
    return 0


def test_reference_shows_the_help_of_every_command(capfd: pytest.CaptureFixture[str]) -> None:
    page = ROOT / "docs" / "cli.md"
    if UPDATING:
        page.write_text(with_help(page, capfd), encoding="utf-8")
    shown = {b.head.removeprefix("text "): b.text for b in blocks(page) if b.head.startswith("text tradebot")}

    wanted = {f"{' '.join(('tradebot', *path))} --help" for path in [(), *paths(root)]}
    assert set(shown) == wanted
    for command, text in shown.items():
        assert text.strip() == help_of(command, capfd).strip(), f"{command} is shown differently"


def with_help(page: Path, capfd: pytest.CaptureFixture[str]) -> str:
    def block(match: re.Match[str]) -> str:
        return f"```text {match[1]}\n{help_of(match[1], capfd).rstrip()}\n```"

    text = page.read_text(encoding="utf-8")
    return re.sub(r"```text (tradebot.*--help)\n(?:.*\n)*?```", block, text)


def help_of(command: str, capfd: pytest.CaptureFixture[str]) -> str:
    capfd.readouterr()
    assert run(shlex.split(command)[1:]) == 0
    return capfd.readouterr().out


def paths(group: Group, *path: str) -> list[tuple[str, ...]]:
    """Return the words of every command of a group."""
    found: list[tuple[str, ...]] = []
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            found.append((*path, name))
            if isinstance(command, Group):
                found += paths(command, *path, name)
    return found
