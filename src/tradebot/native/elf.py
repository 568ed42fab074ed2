"""Link an object file of one x86-64 function and its helpers into one block that runs wherever it lies.

Refuses, with None, whatever needs more than that: other formats and processors, data that is written,
symbols from outside, addresses that depend on where the block lies. Such code is left to LLVM's loader.
Source: System V ABI, AMD64 supplement, chapter 4; ELF-64 object file format 1.5.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_MAGIC = b"\x7fELF\x02\x01\x01"  # 64 bits, little-endian
_RELOCATABLE, _X86_64 = 1, 62
_PROGBITS, _SYMTAB, _RELA = 1, 2, 4
_IS_WRITTEN, _IS_LOADED = 1, 2
_RELATIVE = (2, 4)  # R_X86_64_PC32, and R_X86_64_PLT32, which is the same inside one block


MOST_ALIGNED = 64  # bytes: a block may have to begin at a multiple of this


class Image(NamedTuple):
    """A block of code and constants, and where in it the function begins."""

    block: bytes
    start: int


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry: int


class _Symbol(NamedTuple):
    name: int
    info: int
    other: int
    section: int
    value: int
    size: int


def link(machine: bytes, symbol: str) -> Image | None:
    """Return the code of an object file as one block that is entered at `symbol`."""
    if not machine.startswith(_MAGIC) or struct.unpack_from("<HH", machine, 16) != (_RELOCATABLE, _X86_64):
        return None
    (table,) = struct.unpack_from("<Q", machine, 40)
    size, count = struct.unpack_from("<HH", machine, 58)
    sections = [_Section(*struct.unpack_from("<IIQQQQIIQQ", machine, table + size * i)) for i in range(count)]
    block, places = bytearray(), {}
    for i, section in enumerate(sections):
        if section.flags & _IS_LOADED and section.size:
            is_plain = section.kind == _PROGBITS and section.align <= MOST_ALIGNED
            if not is_plain or section.flags & _IS_WRITTEN:
                return None
            block += bytes(-len(block) % section.align)
            places[i] = len(block)
            block += machine[section.offset : section.offset + section.size]
    tables = [s for s in sections if s.kind == _SYMTAB]
    if len(tables) != 1:
        return None
    symbols = [_Symbol(*row) for row in struct.iter_unpack("<IBBHQQ", _content(machine, tables[0]))]
    for section in sections:
        if section.kind == _RELA and section.info in places:
            rows = struct.iter_unpack("<QQq", _content(machine, section))
            if not all(_settle(block, places, places[section.info], symbols, row) for row in rows):
                return None
    names = _content(machine, sections[tables[0].link])
    wanted = symbol.encode() + b"\0"
    for found in symbols:
        if names.startswith(wanted, found.name) and found.section in places:
            return Image(bytes(block), places[found.section] + found.value)
    return None


def _content(machine: bytes, section: _Section) -> bytes:
    return machine[section.offset : section.offset + section.size]


def _settle(
    block: bytearray, places: dict[int, int], base: int, symbols: list[_Symbol], row: tuple[int, ...]
) -> bool:
    # Write the distance from where it is used to what is meant; both move together.
    offset, info, addend = row
    meant = symbols[info >> 32]
    if info & 0xFFFFFFFF not in _RELATIVE or meant.section not in places:
        return False
    at = base + offset
    struct.pack_into("<i", block, at, places[meant.section] + meant.value + addend - at)
    return True
