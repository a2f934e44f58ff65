"""Sums over ranges of rows that depend on the rows in the range alone, to the last bit.

A difference of two running sums of floats depends on everything before the range: on how much history was loaded, and
so on whether a row is computed in a batch or by itself. Here a running sum is a vector of integers, so differences are
exact, and an exact sum is rounded to a float once.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Positions", "RangeSums", "range_sums"]

Positions = NDArray[np.int64]


class RangeSums(Protocol):
    """Sums of consecutive values."""

    def between(self, start: Positions, stop: Positions) -> NDArray[np.int64] | NDArray[np.float64]:
        """The sum of the values from `start` up to but without `stop`, for each pair; both of shape (pairs,)."""


def range_sums(values: NDArray[np.int64] | NDArray[np.float64]) -> RangeSums:
    """Sums over ranges of `values`, shape (rows,).

    Sums of integers are exact as long as they fit 64 bits. Sums of floats are the exact sum, rounded to within one unit
    in the last place; NaN and infinities come out as IEEE 754 has it.
    """
    if values.dtype == np.float64:
        return _FloatSums(values.astype(np.float64, copy=False))
    return _IntegerSums(values.astype(np.int64, copy=False))


def _running(values: NDArray[np.int64]) -> NDArray[np.int64]:
    total = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=total[1:])
    return total


class _IntegerSums:
    # Should the running sum overflow, it wraps around, and so does the difference: back to the right value.
    def __init__(self, values: NDArray[np.int64]) -> None:
        self._running = _running(values)

    def between(self, start: Positions, stop: Positions) -> NDArray[np.int64]:
        return self._running[stop] - self._running[start]


_DIGIT_BITS = 32
_DIGIT_MASK = (1 << _DIGIT_BITS) - 1
_MANTISSA_BITS = 53
# The lowest digit starts below the least float there is: 2**-1074, and 53 more bits where frexp normalises it.
_LOWEST_EXPONENT = -1152


class _FloatSums:
    """Fixed-point running sums in digits of 32 bits, each kept in 64 bits: exact for up to 2**30 rows.

    The idea is the long accumulator of Kulisch (Computer Arithmetic and Validity, 2008), with the digits on fixed
    places, so that equal sums have equal digits, and only for the places that the values use.
    """

    def __init__(self, values: NDArray[np.float64]) -> None:
        finite = np.isfinite(values)
        self._special: tuple[NDArray[np.int64], ...] = ()
        if not finite.all():
            kinds = (np.isnan(values), values == np.inf, values == -np.inf)
            self._special = tuple(_running(kind.astype(np.int64)) for kind in kinds)
            values = np.where(finite, values, 0.0)
        fraction, exponent = np.frexp(values)
        mantissa = np.ldexp(np.abs(fraction), _MANTISSA_BITS).astype(np.uint64)
        sign = np.where(values < 0, -1, 1).astype(np.int64)
        place, shift = np.divmod(exponent.astype(np.int64) - _MANTISSA_BITS - _LOWEST_EXPONENT, _DIGIT_BITS)
        used = place[values != 0]
        self._first = int(used.min()) if len(used) else 0
        count = (int(used.max()) - self._first + 3) if len(used) else 0
        by_shift = shift.astype(np.uint64)
        low = (mantissa & np.uint64(_DIGIT_MASK)) << by_shift
        high = (mantissa >> np.uint64(_DIGIT_BITS)) << by_shift
        bits, mask = np.uint64(_DIGIT_BITS), np.uint64(_DIGIT_MASK)
        pieces = [low & mask, (low >> bits) + (high & mask), high >> bits]
        signed = [piece.astype(np.int64) * sign for piece in pieces]
        self._running: list[NDArray[np.int64]] = []
        for digit in range(count):
            here = np.zeros(len(values), dtype=np.int64)
            for offset, piece in enumerate(signed):
                at = place == self._first + digit - offset
                here[at] += piece[at]
            self._running.append(_running(here))

    def between(self, start: Positions, stop: Positions) -> NDArray[np.float64]:
        digits = [running[stop] - running[start] for running in self._running]
        total = np.zeros(len(start), dtype=np.float64)
        if digits:
            normal, top = _carried(digits)
            negative = top < 0
            if negative.any():
                # One number, one string of digits: the magnitude's, so that rounding is the same for both signs.
                flipped = [np.where(negative, -digit, digit) for digit in digits]
                normal, top = _carried(flipped)
            with np.errstate(over="ignore"):
                for place, digit in enumerate([*normal, top], start=self._first):
                    total += np.ldexp(digit.astype(np.float64), _DIGIT_BITS * place + _LOWEST_EXPONENT)
            total[negative] *= -1
        if self._special:
            nan, plus, minus = (running[stop] - running[start] > 0 for running in self._special)
            total[plus] = np.inf
            total[minus] = -np.inf
            total[nan | (plus & minus)] = np.nan
        return total


def _carried(digits: list[NDArray[np.int64]]) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """Digits from 0 to 2**32 - 1, lowest first, and the signed rest above them."""
    normal: list[NDArray[np.int64]] = []
    carry: NDArray[np.int64] = np.zeros_like(digits[0])
    for digit in digits:
        whole = digit + carry
        normal.append(whole & np.int64(_DIGIT_MASK))
        carry = whole >> np.int64(_DIGIT_BITS)
    return normal, carry
