"""Compiled code is kept for what it was made for, loaded without the compiler, and entered with care."""

from __future__ import annotations

import ctypes
import hashlib
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tradebot.errors import InvariantError
from tradebot.native import Code, Native, Parameter
from tradebot.native.elf import link
from tradebot.native.machine import assembled, loaded, mapped

FLOATS = Parameter(np.dtype(np.float64), "in")
ROOM = Parameter(np.dtype(np.float64), "out")
NUMBER = Parameter(np.dtype(np.float64), "number")

# What numba gives for `out[0] = x[0] + by`: seven words per array, two for result and exception.
_ARRAY = "ptr {0}.owner, ptr {0}.parent, i64 {0}.n, i64 {0}.size, ptr {0}, i64 {0}.length, i64 {0}.step"
ADD = f"""
define i32 @add(ptr %result, ptr %raised, {_ARRAY.format("%x")}, double %by, {_ARRAY.format("%out")}) nounwind {{
  %first = load double, ptr %x
  %sum = fadd double %first, %by
  store double %sum, ptr %out
  ret i32 0
}}
"""


SCALED = """
define i32 @scaled(ptr %result, ptr %raised, ptr %out, double %x) nounwind {
  %product = call double @times(double %x)
  %sum = fadd double %product, 0x3FE6666666666666
  store double %sum, ptr %out
  ret i32 0
}
define linkonce_odr double @times(double %x) noinline nounwind {
  %product = fmul double %x, 0x3FB999999999999A
  ret double %product
}
"""


def sealed(rest: bytes) -> bytes:
    """Return a kept file with this content and a digest that fits it."""
    return hashlib.sha256(rest).hexdigest().encode() + b" " + rest


class Compiler:
    """Stands for numba: counts how often it was needed."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Code:
        self.calls += 1
        return Code("add", assembled(ADD))


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


def test_made_ready_it_is_compiled_before_it_is_called(package: Path) -> None:
    compiler = Compiler()

    made(compiler).make_ready()
    made(compiler).make_ready()

    assert compiler.calls == 1
    assert made(compiler).is_ready()


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
        lambda whole: whole.replace(b'"start": 0', b'"start": 8'),
        lambda whole: b"",
        lambda whole: sealed(b"[]\n"),
        lambda whole: sealed(whole[65:].replace(b"x86", b"y86").replace(b'"known": "', b'"known": "0')),
    ],
    ids=["cut off", "one bit", "another start", "empty", "another file", "another machine"],
)
def test_code_that_is_damaged_or_of_another_machine_is_compiled_anew(
    package: Path, damage: Callable[[bytes], bytes]
) -> None:
    compiler = Compiler()
    add(made(compiler), 1.0, 2.0)
    (kept,) = (package / "__pycache__").glob("add-*")
    kept.write_bytes(damage(kept.read_bytes()))

    native = made(compiler)

    assert not native.is_ready()
    assert add(native, 1.0, 2.0) == 3.0
    assert made(compiler).is_ready()


def test_a_cpu_that_the_system_describes_in_new_words_is_known_by_the_compilers(package: Path) -> None:
    add(made(Compiler()), 1.0, 2.0)
    (kept,) = (package / "__pycache__").glob("add-*")
    kept.write_bytes(sealed(kept.read_bytes()[65:].replace(b'"known": "', b'"known": "0')))

    assert add(made(Compiler()), 1.0, 2.0) == 3.0
    assert made(Compiler()).is_ready()


def test_linked_and_loaded_code_are_the_same_function() -> None:
    code = Code("scaled", assembled(SCALED))
    image = link(code.machine, "scaled")
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("code is linked without LLVM on x86-64 Linux only")
    assert image is not None
    assert len(image.block) < len(code.machine)
    kinds = [ctypes.c_void_p, ctypes.c_double]
    found = []
    for place in (0, 4096):
        with tempfile.NamedTemporaryFile() as file:
            file.write(bytes(place) + image.block)
            file.flush()
            found.append(mapped(Path(file.name), place + image.start, kinds))
    functions = [*found, loaded(code.symbol, code.machine, kinds)]

    answers = []
    for function in functions:
        out = np.zeros(1)
        assert function is not None
        function(out.ctypes.data, 2.0)
        answers.append(float(out[0]))

    assert answers == [2.0 * 0.1 + 0.7] * 3


@pytest.mark.parametrize(
    "assembly",
    [
        "@n = global double 1.0\ndefine i32 @f(ptr %p) nounwind {\n store double 2.0, ptr @n\n ret i32 0\n}",
        "@n = external global double\n"
        "define i32 @f(ptr %p) nounwind {\n %x = load double, ptr @n\n store double %x, ptr %p\n ret i32 0\n}",
    ],
    ids=["data that is written", "a symbol from outside"],
)
def test_what_cannot_be_one_block_is_left_to_llvm(assembly: str) -> None:
    assert link(assembled(assembly), "f") is None


def test_other_formats_and_unknown_symbols_are_left_to_llvm() -> None:
    machine = assembled(ADD)

    assert link(b"\xcf\xfa\xed\xfe" + machine[4:], "add") is None
    assert link(machine, "ad") is None
    assert link(b"", "add") is None


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
        assembled("declare ptr @malloc(i64)\ndefine i32 @f() {\n ret i32 0\n}")


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
