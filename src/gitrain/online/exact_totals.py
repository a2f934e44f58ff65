"""Running sums of floats that are exact, one value at a time; their differences are rounded as in training.

`gitrain.features.exact_sums` does this for whole columns. A store keeps the running sum of each row instead, so that a
window is the difference of two rows, whatever came before it and in whatever order it arrived. The sum is one integer,
a multiple of the least float there is; NaN and infinities are counted beside it.
"""

import math
import struct
from typing import NamedTuple

__all__ = ["ZERO", "ExactTotal", "packed", "rounded_difference", "unpacked"]

_LEAST_EXPONENT = -1074
_MANTISSA_BITS = 53
# As in training the sum is rounded digit by digit, lowest first, so the digits must lie on the same places.
_DIGIT_BITS = 32
_DIGIT_MASK = (1 << _DIGIT_BITS) - 1
_LOWEST_EXPONENT = -1152
_HEADER = struct.Struct("<HHIII")


class ExactTotal(NamedTuple):
    """An exact sum of floats.

    Attributes:
        units: the sum of the finite ones, in multiples of 2**-1074.
        nan: how many are not a number.
        plus: how many are infinity.
        minus: how many are minus infinity.
    """

    units: int
    nan: int
    plus: int
    minus: int

    def with_value(self, value: float) -> "ExactTotal":
        """The sum with one more value."""
        if math.isfinite(value):
            fraction, exponent = math.frexp(value)
            mantissa = int(math.ldexp(fraction, _MANTISSA_BITS))
            shift = exponent - _MANTISSA_BITS - _LEAST_EXPONENT
            # Below the least exponent the mantissa ends in zeros: a subnormal float has fewer bits.
            units = mantissa << shift if shift >= 0 else mantissa >> -shift
            return ExactTotal(self.units + units, self.nan, self.plus, self.minus)
        nan, above, below = math.isnan(value), value == math.inf, value == -math.inf
        return ExactTotal(self.units, self.nan + nan, self.plus + above, self.minus + below)


ZERO = ExactTotal(0, 0, 0, 0)


def packed(total: ExactTotal) -> bytes:
    """The sum as bytes that say where they end."""
    units = total.units
    zeros = ((units & -units).bit_length() - 1) // 8 if units else 0
    digits = units >> (8 * zeros)
    content = digits.to_bytes(digits.bit_length() // 8 + 1, "little", signed=True)
    return _HEADER.pack(len(content), zeros, total.nan, total.plus, total.minus) + content


def unpacked(content: bytes, offset: int) -> tuple[ExactTotal, int]:
    """The sum that `packed` wrote at an offset, and the offset after it."""
    length, zeros, nan, plus, minus = _HEADER.unpack_from(content, offset)
    start = offset + _HEADER.size
    digits = int.from_bytes(content[start : start + length], "little", signed=True)
    return ExactTotal(digits << (8 * zeros), nan, plus, minus), start + length


def rounded_difference(later: ExactTotal, earlier: ExactTotal) -> float:
    """The sum of the values that the first has and the second has not, as training computes it to the last bit."""
    nan, plus, minus = later.nan > earlier.nan, later.plus > earlier.plus, later.minus > earlier.minus
    if nan or (plus and minus):
        return math.nan
    if plus or minus:
        return math.inf if plus else -math.inf
    units = later.units - earlier.units
    magnitude = abs(units)
    if magnitude == 0:
        return 0.0
    # The digits below the lowest that is used add nothing.
    place = ((magnitude & -magnitude).bit_length() - 1 + _LEAST_EXPONENT - _LOWEST_EXPONENT) // _DIGIT_BITS
    rest = magnitude << (_LEAST_EXPONENT - _LOWEST_EXPONENT) >> (_DIGIT_BITS * place)
    total = 0.0
    while rest:
        total += _scaled(rest & _DIGIT_MASK, _DIGIT_BITS * place + _LOWEST_EXPONENT)
        rest >>= _DIGIT_BITS
        place += 1
    return -total if units < 0 else total


def _scaled(digit: int, exponent: int) -> float:
    try:
        return math.ldexp(float(digit), exponent)
    except OverflowError:
        return math.inf
