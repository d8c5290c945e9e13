"""Integers as rows of bits: of holders, and of positions in a segment."""

from __future__ import annotations

from collections.abc import Iterator


def bits_of(bits: int) -> Iterator[int]:
    """Each bit that is set, as an integer of its own, from the lowest on."""
    while bits:
        bit = bits & -bits
        yield bit
        bits ^= bit


def positions(bitmap: int) -> Iterator[int]:
    """Where bits are set, from the lowest on."""
    return (bit.bit_length() - 1 for bit in bits_of(bitmap))


def trailing_ones(bitmap: int) -> int:
    """How many bits are set in a row, from the lowest on."""
    return (~bitmap & (bitmap + 1)).bit_length() - 1


def stretches(bitmap: int) -> Iterator[tuple[int, int]]:
    """Where bits in a row begin and end."""
    start = 0
    while bitmap:
        skipped = (bitmap & -bitmap).bit_length() - 1
        count = trailing_ones(bitmap >> skipped)
        yield start + skipped, start + skipped + count
        start += skipped + count
        bitmap >>= skipped + count
