"""Compiled code is kept for what it was made for, loaded without the compiler, and entered with care."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tradebot.errors import InvariantError
from tradebot.native import Code, Native, Parameter, emit

FLOATS = Parameter(np.dtype(np.float64), "in")
ROOM = Parameter(np.dtype(np.float64), "out")
NUMBER = Parameter(np.dtype(np.float64), "number")

# What numba gives for `out[0] = x[0] + by`: seven words per array, two for result and exception.
_ARRAY = "ptr {0}.owner, ptr {0}.parent, i64 {0}.n, i64 {0}.size, ptr {0}, i64 {0}.length, i64 {0}.step"
ADD = f"""
define i32 @add(ptr %result, ptr %raised, {_ARRAY.format("%x")}, double %by, {_ARRAY.format("%out")}) {{
  %first = load double, ptr %x
  %sum = fadd double %first, %by
  store double %sum, ptr %out
  ret i32 0
}}
"""


class Compiler:
    """Stands for numba: counts how often it was needed."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Code:
        self.calls += 1
        return emit("add", ADD)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of one module, which compiled code depends on; the user's cache folder is elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "calc"
    folder.mkdir()
    (folder / "__init__.py").write_text("STEP = 1\n")
    yield folder
    sys.modules.pop("calc", None)


def made(compiler: Compiler) -> Native:
    return Native("add", (FLOATS, NUMBER, ROOM), sources=("calc",), compile_code=compiler)


def add(native: Native, x: float, by: float) -> float:
    out = np.zeros(1)
    native(np.array([x]), by, out)
    return float(out[0])


def test_compiled_once_and_loaded_from_beside_the_sources_after(package: Path) -> None:
    compiler = Compiler()

    assert add(made(compiler), 1.0, 2.0) == 3.0
    again = made(compiler)

    assert again.is_ready()
    assert add(again, 5.0, 0.25) == 5.25
    assert compiler.calls == 1
    assert [p.suffix for p in (package / "__pycache__").glob("add-*")] == [".native"]


def test_code_of_other_sources_is_not_taken(package: Path) -> None:
    compiler = Compiler()
    add(made(compiler), 1.0, 2.0)

    (package / "__init__.py").write_text("STEP = 2\n")

    assert not made(compiler).is_ready()
    add(made(compiler), 1.0, 2.0)
    assert compiler.calls == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-1],
        lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]),
        lambda whole: whole.replace(b"64-", b"32-", 1),
        lambda whole: b"",
        lambda whole: b"[]\n",
    ],
    ids=["cut off", "one bit", "another machine", "empty", "another file"],
)
def test_code_that_is_damaged_or_of_another_machine_is_compiled_anew(package: Path, damage: object) -> None:
    compiler = Compiler()
    add(made(compiler), 1.0, 2.0)
    (kept,) = (package / "__pycache__").glob("add-*")
    assert callable(damage)
    kept.write_bytes(damage(kept.read_bytes()))

    native = made(compiler)

    assert not native.is_ready()
    assert add(native, 1.0, 2.0) == 3.0
    assert made(compiler).is_ready()


def test_kept_in_the_users_cache_where_the_package_cannot_be_written(package: Path, tmp_path: Path) -> None:
    (package / "__pycache__").write_text("a file, so that nothing can be put into it")
    compiler = Compiler()

    add(made(compiler), 1.0, 2.0)

    assert made(compiler).is_ready()
    assert len(list((tmp_path / "cache" / "tradebot").glob("add-*.native"))) == 1


def test_works_where_nothing_can_be_kept(package: Path, tmp_path: Path) -> None:
    (package / "__pycache__").write_text("")
    (tmp_path / "cache").write_text("")

    assert add(made(Compiler()), 1.0, 2.0) == 3.0
    assert not made(Compiler()).is_ready()


@pytest.mark.parametrize(
    "x, by, out, said",
    [
        (np.zeros(2, np.float32), 1.0, np.zeros(2), "argument 0 must be a flat in array of float64"),
        (np.zeros(4)[::2], 1.0, np.zeros(2), "argument 0 .* contiguous False"),
        (np.zeros((2, 2)), 1.0, np.zeros(2), "argument 0 .* was 2-d"),
        (1.0, 1.0, np.zeros(2), "argument 0 must be an array of float64"),
        (np.zeros(2), np.zeros(2), np.zeros(2), "argument 1 must be a flat number"),
        (np.zeros(2), 1.0, np.frombuffer(bytes(16)), "argument 2 .* writeable False"),
    ],
)
def test_arguments_it_was_not_compiled_for_are_refused(
    package: Path, x: object, by: object, out: object, said: str
) -> None:
    with pytest.raises(InvariantError, match=said):
        made(Compiler())(x, by, out)  # type: ignore[arg-type]


def test_code_that_needs_something_else_is_refused() -> None:
    with pytest.raises(InvariantError, match="must stand alone, it calls malloc"):
        emit("f", "declare ptr @malloc(i64)\ndefine i32 @f() {\n ret i32 0\n}")


def test_a_kept_kernel_runs_without_the_compiler() -> None:
    from tradebot.sim.kernel.rows import sma

    expected = sma(np.arange(1.0, 9.0), 3).tolist()  # compiles it where that was not done yet
    code = (
        "import sys, numpy as np\n"
        "from tradebot.sim.kernel.rows import sma\n"
        "print(sma(np.arange(1.0, 9.0), 3).tolist(), 'numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == f"{expected} False"
