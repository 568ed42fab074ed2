"""The wheel alone, in an empty directory with an empty home and no network, does the main job."""

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPORT_CEILING = 8_000_000  # bytes

_missing = [m for m in ("build", "hatchling", "pip") if importlib.util.find_spec(m) is None]
pytestmark = pytest.mark.skipif(
    bool(_missing), reason=f"building a wheel needs {', '.join(_missing)} (make setup)"
)

# An audit hook cannot be taken out again, and sees what a library does below Python's socket module.
NO_NETWORK = '''"""Let nothing leave this machine: every name lookup and every address but a local file is refused."""
import sys


def refuse(event, args):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        raise PermissionError(f"no network in this test: {event} {args[0]!r}")
    if event in ("socket.connect", "socket.sendto", "socket.bind") and isinstance(args[1], tuple):
        raise PermissionError(f"no network in this test: {event} {args[1]!r}")


sys.addaudithook(refuse)
'''


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing of our own environment but what is given; it must end with 0."""
    words = [str(c) for c in command]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)
    shown = f"{' '.join(words)} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == 0, shown
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", out, ROOT)
    run(*build, cwd=out, PATH=os.environ["PATH"], HOME=str(out), PYTHONDONTWRITEBYTECODE="1")
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin directory of a fresh environment that holds the wheel and sees our libraries."""
    home = tmp_path_factory.mktemp("env")
    venv.create(home, with_pip=False, symlinks=True)
    run(
        *(sys.executable, "-m", "pip", "--python", home / "bin" / "python", "--isolated"),
        *("install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", wheel),
        cwd=home,
        PATH=os.environ["PATH"],
    )
    (site,) = home.glob("lib/python*/site-packages")
    # A directory named in a .pth gives its packages, not its own .pth files: the checkout stays out of sight.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    (site / "no_network.py").write_text(NO_NETWORK, "utf-8")
    (site / "a_no_network.pth").write_text("import no_network\n", "utf-8")
    return home / "bin"


@pytest.fixture
def empty(installed: Path, tmp_path: Path) -> dict[str, str]:
    """Return the environment of a newcomer: an empty home, no settings, the wheel on PATH."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    return {"PATH": str(installed), "HOME": str(tmp_path / "home"), "LANG": "C.UTF-8", "TERM": "dumb"}


def test_wheel_holds_the_package_the_examples_and_the_data_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    bundled = {n.removeprefix("tradebot/_bundled/") for n in names if n.startswith("tradebot/_bundled/")}
    assert {f"strategies/{p.name}" for p in (ROOT / "strategies").glob("*.py")} <= bundled
    assert {f"config/{p.name}" for p in (ROOT / "config").glob("*.y*ml")} <= bundled
    assert {f"systemd/{p.name}" for p in (ROOT / "systemd").glob("*")} <= bundled
    data = (p for p in (ROOT / "src/tradebot/_bundled/data").rglob("*") if p.is_file())
    assert {f"data/{p.name}" for p in data} <= {f"data/{Path(n).name}" for n in bundled}
    strangers = [n for n in names if not n.startswith(("tradebot/", "tradebot-"))]
    assert not strangers
    assert any(n.endswith(".dist-info/licenses/LICENSE") for n in names)
    assert not [n for n in names if n.endswith((".pyc", ".gitkeep", ".nbi", ".nbc"))]


def test_environment_of_the_wheel_is_cut_off_from_network_and_checkout(
    installed: Path, empty: dict[str, str], tmp_path: Path
) -> None:
    probe = (
        "import socket, tradebot\n"
        "for refused in (lambda: socket.create_connection(('127.0.0.1', 9)), lambda: socket.getaddrinfo('a.b', 1)):\n"
        "    try:\n        refused()\n"
        "    except PermissionError:\n        continue\n"
        "    raise SystemExit('the network is open')\n"
        "print(tradebot.__file__)\n"
    )

    done = run(installed / "python", "-c", probe, cwd=tmp_path / "here", **empty)

    assert Path(done.stdout.strip()).is_relative_to(installed.parent)


@pytest.mark.skipif(
    importlib.util.find_spec("tradebot.cli") is None,
    reason="the command line (tradebot.cli) is not built yet",
)
def test_wheel_alone_inits_backtests_and_reports(
    installed: Path, empty: dict[str, str], tmp_path: Path
) -> None:
    here, tradebot = tmp_path / "here", installed / "tradebot"

    run(tradebot, "init", "--defaults", cwd=here, **empty)
    assert (here / "tradebot.yaml").is_file() or (here / "config" / "tradebot.yaml").is_file()

    tested = run(tradebot, "backtest", cwd=here, **empty)
    assert "Sharpe" in tested.stdout

    run(tradebot, "report", cwd=here, **empty)
    reports = [*here.rglob("*.html"), *(tmp_path / "home").rglob("*.html")]
    assert reports, "report wrote no HTML file below the working directory or the home"
    for report in reports:
        page = report.read_text("utf-8")
        assert len(page) < REPORT_CEILING
        fetched = re.findall(
            r"""<(?:script|link|img|iframe)[^>]{0,200}(?:src|href)=["']?(?:https?:)?//""", page
        )
        assert not fetched, "a report is one self-contained file"
