"""Sums of floating-point numbers that don't depend on the order of the rows.

Floating-point addition isn't associative, so a parallel sum differs between runs in its last digits. Here every value
is rounded to a whole multiple of 2^-k, with k such that the largest takes 62 bits, and whole numbers add up the same in
any order. Rounding loses less than 2^-62 of the largest value per row.
"""

from __future__ import annotations

import math
from fractions import Fraction

import ibis
import ibis.expr.types as ir

BITS = 62


@ibis.udf.scalar.builtin(name="round")
def _rounded(value: float) -> float:  # type: ignore[empty-body]
    """Rounds to the nearest whole number; Ibis' own `round(value, 0)` takes DuckDB three times as long."""


def exponent(largest: float) -> int:
    """Returns the k for values of at most `largest` in absolute value."""
    return BITS - math.frexp(largest)[1] if largest > 0 else 0


def scaled_sum(values: ir.NumericValue, k: int) -> ir.NumericScalar:
    """Returns the sum of the values in units of 2^-k, as an integer of 128 bits."""
    factor = ibis.literal(math.ldexp(1.0, k), type="float64")
    return _rounded(values.cast("float64") * factor).cast("int64").sum()


def unscaled(total: int | None, k: int) -> Fraction:
    """Returns the sum that a result of `scaled_sum` stands for; 0 without rows."""
    return Fraction(total or 0) / Fraction(2) ** k
