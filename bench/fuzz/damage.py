"""Damage with the structure of a file in mind: bytes, and words of texts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from random import Random

HEAD = 128  # bytes at the beginning, where most of what decides is
CHANGES = (1, 1, 1, 2, 4)  # of an input
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1, 10**9)
DEEP = 100_000  # nested brackets
JSON = re.compile(r'"(?:\\.|[^"\\])*"|[-\w.+]+|[{}\[\]]')
WORDS = (
    *("null", "true", "0", "-1", "1", "0.5", "127", "1e308", "-1e308", "1e999", "NaN", "Infinity", "1e-400"),
    *("9" * 20, "9" * 400, "9" * 5000, "-" + "9" * 400, "2147483648", "9223372036854775808", "1.5", "100000000"),
    *("[]", "{}", "[[]]", '[{"a": 1}]', "[1, 2, 3]", '{"a": {"b": []}}', "[" * 500, "[" * 980 + "]" * 980),
    *('""', '"a"', '"\\u0000"', '"\\ud800"', '"\\u202e\\u001b[2J"', '"../../../etc/passwd"', '"/etc/passwd"', '"NaN"'),
    *('"' + "a" * 3000 + '"', '"é\u2028日本"', '"<b>"', '"plugin:/tmp/x.vst3"', '"voice"', '"a\\nb"', '"__class__"'),
    *("[" * DEEP, '{"a":' * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * 900 + "1" + "}" * 900),
)  # fmt: skip


def damaged(rng: Random, data: bytes, others: Sequence[bytes] = (b"",)) -> bytes:
    """``data`` with a few changes; ``others`` are files of which parts may get into it."""
    for _ in range(rng.choice(CHANGES)):
        data = rng.choice(EDITS)(rng, data, rng.choice(others) or data)
    return data


def _place(rng: Random, data: bytes) -> int:
    return rng.randrange(max(1, min(len(data), HEAD if rng.random() < 0.5 else len(data))))


def _flip(rng: Random, data: bytes, other: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if data else data


def _number(rng: Random, data: bytes, other: bytes) -> bytes:
    """A length or a count that lies."""
    at, size, order = _place(rng, data), rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    value = rng.choice((*EXTREMES, len(data), rng.randrange(1 << 32))) % (1 << 8 * size)
    return data[:at] + value.to_bytes(size, order) + data[at + size :]


def _cut(rng: Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randint(0, len(data))]


def _remove(rng: Random, data: bytes, other: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + data[at + rng.randint(1, 64) :]


def _repeat(rng: Random, data: bytes, other: bytes) -> bytes:
    at, size = _place(rng, data), rng.randint(1, 256)
    return data[: at + size] + data[at : at + size] * rng.randint(1, 8) + data[at + size :]


def _insert(rng: Random, data: bytes, other: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + rng.randbytes(rng.randint(1, 16)) + data[at:]


def _splice(rng: Random, data: bytes, other: bytes) -> bytes:
    at, of = _place(rng, data), _place(rng, other)
    return data[:at] + other[of : of + rng.choice((8, 64, len(other)))] + data[at + rng.choice((0, 8, 64)) :]


def _blank(rng: Random, data: bytes, other: bytes) -> bytes:
    at, size = _place(rng, data), rng.randint(1, 64)
    return data[:at] + bytes([rng.choice((0, 255, 127))]) * size + data[at + size :]


EDITS: tuple[Callable[[Random, bytes, bytes], bytes], ...] = (
    _flip, _number, _cut, _remove, _repeat, _insert, _splice, _blank,
)  # fmt: skip


class Text:
    """A text whose words can be exchanged for hostile ones.

    Args:
        text: the text.
        words: what is put in; its own words too, so that keys come twice and values in other places.
        pattern: of a word. Of JSON whole lists and objects count as words too.
    """

    def __init__(self, text: str, words: Sequence[str] = WORDS, pattern: re.Pattern[str] = JSON) -> None:
        self.text, self.words = text, words
        self.spans = [found.span() for found in pattern.finditer(text) if found[0] not in "{}[]"]
        if pattern is JSON:
            self.spans += self._containers()

    def _containers(self) -> list[tuple[int, int]]:
        begun: list[int] = []
        found = []
        for bracket in JSON.finditer(self.text):
            if bracket[0] in "{[":
                begun.append(bracket.start())
            elif bracket[0] in "}]":
                found.append((begun.pop(), bracket.end()))
        return found

    def damaged(self, rng: Random) -> str:
        """The text with a few words, lists or objects exchanged or left out."""
        text, last = self.text, len(self.text)
        for low, high in sorted(rng.choices(self.spans, k=rng.choice(CHANGES)), reverse=True):
            if high <= last:
                text, last = text[:low] + self._word(rng) + text[high:], low
        return text if rng.random() < 0.97 else text[: rng.randrange(len(text) + 1)]

    def _word(self, rng: Random) -> str:
        if rng.random() < 0.75:
            return rng.choice(self.words)
        low, high = rng.choice(self.spans)
        return self.text[low:high] if high - low < 2000 else ""


def dumped(value: object) -> Text:
    """A value as JSON to damage."""
    return Text(json.dumps(value))


def encoded(rng: Random, text: str) -> bytes:
    """``text`` in UTF-8, or rarely in another way, or with damaged bytes."""
    data = text.encode(errors="surrogatepass")
    if rng.random() < 0.05:
        return damaged(rng, data)
    return data if rng.random() < 0.97 else text.encode(rng.choice(("utf-16", "latin-1", "utf-8-sig")), "replace")
