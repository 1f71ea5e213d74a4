"""A file as damage or malice could have left it: bits, pieces, numbers and words of it changed."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from random import Random

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
WORD = re.compile(rb"[A-Za-z_][\w.-]*")
EDGE = 1024  # bytes at the beginning and the end, where headers and directories are

ABSURD_BINARY = [
    struct.pack(order + kind, value)
    for order in "<>"
    for kind, values in {
        "b": (0, 1, -1, 127, -128),
        "h": (0, 1, -1, 2**15 - 1, -(2**15)),
        "i": (0, 1, -1, 2**31 - 1, -(2**31), 10**6),
        "q": (0, 1, -1, 2**63 - 1, -(2**63), 10**9),
        "f": (0.0, -0.0, -1.0, 1e-38, 3e38, float("inf"), float("nan")),
        "d": (-1.0, 1e-308, 1e308, float("inf"), float("nan")),
    }.items()
    for value in values
]
ABSURD_NUMBERS = [
    b"0", b"-0", b"-1", b"1", b"2", b"3", b"7", b"255", b"65536", b"2147483648",
    b"9223372036854775808", b"1e308", b"-1e308", b"1e999", b"1e-320", b"0.5", b"NaN", b"inf",
    b"9" * 400, b"1" + b"0" * 30, b"0x10", b"1_000", b"1,5", b"", b"null", b"true", b'"1"', b"[1]",
    b"{}", b"\xd9\xa3", b"1 1",
]  # fmt: skip
ABSURD_WORDS = [
    b"", b" ", b"null", b"true", b"[]", b"{}", b"~", b"x" * 5000, b"\0", b"\xff\xfe", b"\x1b[2J",
    b"\xe2\x80\xae", b"\xe2\x80\xa8", b"a\rb", b"../../etc/passwd", b"/etc/passwd", b"LIST",
    b"%s%n", b"%d", b"[" * 3000, b"{a: " * 200, b"'", b'"', b"!!python/name:os.system", b"&a [*a]",
    b"*a", b"<<", b"=", b":", b"#", b"\xed\xa0\x80", b"=1+1", b"-", b".", b"__class__", b"mean",
]  # fmt: skip


def mutated(content: bytes, random: Random) -> bytes:
    """``content`` changed in one to three ways, which ``random`` alone decides."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        content = random.choice(WAYS)(content, random)
    return content


def _place(content: bytes, random: Random) -> int:
    """Anywhere; more often near the beginning or the end."""
    size = max(len(content), 1)
    edge = random.randrange(min(EDGE, size))
    return random.choice((random.randrange(size), edge, size - 1 - edge))


def _length(random: Random) -> int:
    return min(int(random.expovariate(1 / 30)) + 1, 4000)


def _flip(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8)) if changed else 0):
        changed[_place(content, random)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwrite(content: bytes, random: Random) -> bytes:
    return _put(content, _place(content, random), random.randbytes(_length(random)))


def _fill(content: bytes, random: Random) -> bytes:
    filled = random.choice((b"\0", b"\xff", b" ", b"0")) * _length(random)
    return _put(content, _place(content, random), filled)


def _number_in_binary(content: bytes, random: Random) -> bytes:
    """Numbers in headers are mostly aligned to two bytes."""
    return _put(content, _place(content, random) & -2, random.choice(ABSURD_BINARY))


def _put(content: bytes, at: int, piece: bytes) -> bytes:
    return content[:at] + piece + content[at + len(piece) :]


def _insert(content: bytes, random: Random) -> bytes:
    at = _place(content, random)
    return content[:at] + random.randbytes(_length(random)) + content[at:]


def _delete(content: bytes, random: Random) -> bytes:
    at = _place(content, random)
    return content[:at] + content[at + _length(random) :]


def _repeat(content: bytes, random: Random) -> bytes:
    at, length = _place(content, random), _length(random)
    return (
        content[: at + length]
        + content[at : at + length] * random.choice((1, 1, 50))
        + (content[at + length :])
    )


def _truncate(content: bytes, random: Random) -> bytes:
    return content[: _place(content, random)]


def _number_in_text(content: bytes, random: Random) -> bytes:
    return _replace(content, random, NUMBER, ABSURD_NUMBERS)


def _word(content: bytes, random: Random) -> bytes:
    own = WORD.findall(content[: 64 * EDGE])
    return _replace(content, random, WORD, ABSURD_WORDS + random.sample(own, min(len(own), 20)))


def _replace(content: bytes, random: Random, kind: re.Pattern[bytes], by: list[bytes]) -> bytes:
    found = [match.span() for match in kind.finditer(content[: 64 * EDGE])]
    if not found:
        return content
    start, end = random.choice(found)
    return content[:start] + random.choice(by) + content[end:]


def _line(content: bytes, random: Random) -> bytes:
    """A line taken away, doubled or moved."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    taken = lines.pop(random.randrange(len(lines)))
    for _ in range(random.randrange(3)):
        lines.insert(random.randrange(len(lines) + 1), taken)
    return b"".join(lines)


WAYS: list[Callable[[bytes, Random], bytes]] = [
    _flip, _overwrite, _fill, _number_in_binary, _number_in_binary, _insert, _delete, _repeat,
    _truncate, _number_in_text, _number_in_text, _word, _word, _line,
]  # fmt: skip


def damaged(content: bytes, seed: int) -> bytes:
    """A bit flipped, a piece cut out, zeroed or repeated, or the end cut off."""
    rng = Random(seed)
    at, length = rng.randrange(len(content)), rng.randrange(1, 200)
    kind = seed % 5
    if kind == 0:
        return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
    if kind == 1:
        return content[:at] + content[at + length :]
    if kind == 2:
        return content[:at]
    if kind == 3:
        return content[:at] + rng.randbytes(length) + content[at + length :]
    return content[:at] + content[at : at + length] + content[at:]
