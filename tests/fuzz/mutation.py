"""Mutations of wire messages: blind ones, and ones that know what a DNS message is made of."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Final


class Dice:
    """Chance that is the same again for the same `start` (a linear congruential generator, Knuth's MMIX)."""

    def __init__(self, start: int) -> None:
        self._state = start

    def below(self, bound: int) -> int:
        """A number from 0 to `bound` - 1."""
        self._state = self._state * 6364136223846793005 + 1442695040888963407 & 0xFFFFFFFFFFFFFFFF
        return (self._state >> 33) % bound


INTERESTING: Final = (0, 1, 11, 12, 41, 63, 64, 127, 128, 191, 192, 255)
_POINTERS: Final = tuple(b"\xc0" + bytes([at]) for at in (0, 2, 12, 13, 14, 20, 29, 40))
_RECORD: Final = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
_OPTION: Final = b"\0\3\0\0"


def _flip(data: bytearray, dice: Dice) -> None:
    data[dice.below(len(data))] ^= 1 << dice.below(8)


def _set(data: bytearray, dice: Dice) -> None:
    data[dice.below(len(data))] = INTERESTING[dice.below(len(INTERESTING))]


def _header(data: bytearray, dice: Dice) -> None:
    data[min(2 + dice.below(10), len(data) - 1)] = dice.below(256)


def _cut(data: bytearray, dice: Dice) -> None:
    del data[dice.below(len(data)) :]


def _remove(data: bytearray, dice: Dice) -> None:
    at = dice.below(len(data))
    del data[at : at + 1 + dice.below(8)]


def _repeat(data: bytearray, dice: Dice) -> None:
    at = dice.below(len(data))
    piece = bytes(data[at : at + 1 + dice.below(32)])
    data[at:at] = piece * (1 + dice.below(8))


def _point(data: bytearray, dice: Dice) -> None:
    at = dice.below(len(data))
    data[at : at + 2] = _POINTERS[dice.below(len(_POINTERS))]


def _append(data: bytearray, dice: Dice) -> None:
    piece = (_RECORD, _OPTION, b"\x3f" + b"x" * 63, b"\1a" * 100, bytes(20))[dice.below(5)]
    data += piece * (1 + dice.below(4))


_WAYS: Final[Sequence[Callable[[bytearray, Dice], None]]] = (
    *(_flip, _set, _header, _cut, _remove, _repeat, _point, _append),
)


def mutated(seed: bytes, dice: Dice, *, longest: int) -> bytes:
    """A seed with one to four mutations, at most `longest` octets."""
    data = bytearray(seed or b"\0")
    for _ in range(1 + dice.below(4)):
        if data:
            _WAYS[dice.below(len(_WAYS))](data, dice)
    return bytes(data[:longest])


def mutations(seeds: Sequence[bytes], dice: Dice, *, longest: int) -> Iterator[bytes]:
    """Without end, from the seeds in turn."""
    for seed in itertools.cycle(seeds):
        yield mutated(seed, dice, longest=longest)
