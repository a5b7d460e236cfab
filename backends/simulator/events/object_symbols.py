"""Symbols that an object file expects from others, in the formats ELF and Mach-O."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from spikec.backends.simulator.events.machine import WAY_OUT, MachineCodeError

_ELF = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_MACH_O = b"\xcf\xfa\xed\xfe"  # 64 bits, little-endian
_SYMTAB_SECTION, _SYMTAB_COMMAND = 2, 2


def undefined_symbols(content: bytes) -> tuple[str, ...]:
    """Names that are used in an object file and not defined in it, in its order.

    Linking an object that has one ends the process if nobody defines it.

    Raises:
        MachineCodeError: Another format.
    """
    if content.startswith(_ELF):
        return tuple(_undefined_in_elf(content))
    if content.startswith(_MACH_O):
        return tuple(_undefined_in_mach_o(content))
    problem = "LLVM's object file is neither ELF nor Mach-O of 64 bits"
    raise MachineCodeError(problem, hint=WAY_OUT)


def _undefined_in_elf(content: bytes) -> Iterator[str]:
    """Source: System V ABI, "Object Files": Elf64_Ehdr, Elf64_Shdr, Elf64_Sym."""
    (table,) = struct.unpack_from("<Q", content, 40)
    size, count = struct.unpack_from("<HH", content, 58)
    headers = [
        struct.unpack_from("<IIQQQQII", content, table + size * index) for index in range(count)
    ]
    for _, kind, _, _, offset, length, strings, _ in headers:
        if kind == _SYMTAB_SECTION:
            symbols = content[offset + 24 : offset + length]  # the first one is always empty
            for name, _, _, section, _, _ in struct.iter_unpack("<IBBHQQ", symbols):
                if section == 0:
                    yield _text(content, headers[strings][4] + name)


def _undefined_in_mach_o(content: bytes) -> Iterator[str]:
    """Source: Apple, <mach-o/loader.h> and <mach-o/nlist.h>: LC_SYMTAB, nlist_64."""
    (commands,) = struct.unpack_from("<I", content, 16)
    place = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<II", content, place)
        if command == _SYMTAB_COMMAND:
            symbols, count, strings, _ = struct.unpack_from("<IIII", content, place + 8)
            table = content[symbols : symbols + 16 * count]
            for name, kind, _, _, _ in struct.iter_unpack("<IBBHQ", table):
                debugging, defined = kind & 0xE0, kind & 0x0E
                if not debugging and not defined:
                    yield _text(content, strings + name)
        place += size


def _text(content: bytes, start: int) -> str:
    return content[start : content.index(b"\0", start)].decode()
