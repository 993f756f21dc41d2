"""Elementary functions for triton kernels, with the roundings that the Voice needs.

pow and exp2 round exactly as SLEEF's u10 functions with fused multiply-adds, which torch uses on CPUs: one unit in the
last place of a control signal becomes an audible phase error. Coefficients and order of operations from SLEEF 3.x,
sleefsimdsp.c and df.h (https://sleef.org, Boost Software License 1.0, see NOTICE), written anew as in native/math.hpp.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

LOG2_E = tl.constexpr(1.4426950408889634)
TINY = tl.constexpr(1e-30)  # stands in for zero where a logarithm is taken
MAGIC = tl.constexpr(12582912.0)  # 1.5 * 2^23: adding it rounds |x| < 2^22 to an integer, ties to even

OPTIONS = {"enable_fp_fusion": False}  # a product and a sum are one operation only where tl.fma says so


def launch(kernel: triton.JITFunction, programs: int, *arguments: Tensor | int, **sizes: int) -> None:
    """Run ``kernel`` on the current device."""
    kernel[(programs,)](*arguments, **sizes, **OPTIONS)


@triton.jit
def bits(x):
    return x.to(tl.int32, bitcast=True)


@triton.jit
def as_float(x):
    return x.to(tl.float32, bitcast=True)


@triton.jit
def round(x):  # nearest integer of |x| < 2^22
    return x + MAGIC - MAGIC


# A pair (hi, lo) is an unevaluated sum of two float32; operations and their order as in native/math.hpp.
@triton.jit
def two_sum(a, b):
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


@triton.jit
def pair_add(a_hi, a_lo, b_hi, b_lo):  # |a| >= |b|
    s = a_hi + b_hi
    return s, a_hi - s + b_hi + a_lo + b_lo


@triton.jit
def pair_mul(a_hi, a_lo, b_hi, b_lo):
    p = a_hi * b_hi
    return p, tl.fma(a_hi, b_lo, tl.fma(a_lo, b_hi, tl.fma(a_hi, b_hi, -p)))


@triton.jit
def pair_scale(a_hi, a_lo, b):
    p = a_hi * b
    return p, tl.fma(a_lo, b, tl.fma(a_hi, b, -p))


@triton.jit
def pair_square(a_hi, a_lo):
    p = a_hi * a_hi
    return p, tl.fma(a_hi + a_hi, a_lo, tl.fma(a_hi, a_hi, -p))


@triton.jit
def pair_div(n_hi, n_lo, d_hi, d_lo):
    one = d_hi * 0 + 1.0
    t = tl.div_rn(one, d_hi)
    q = n_hi * t
    u = tl.fma(t, n_hi, -q)
    v = tl.fma(-d_lo, t, tl.fma(-d_hi, t, one))
    return q, tl.fma(q, v, tl.fma(n_lo, t, u))


@triton.jit
def log(x):  # natural logarithm as a pair; x > 0, normal
    exponent = (bits(x * (1.0 / 0.75)) >> 23) - 127
    mantissa = as_float(bits(x) - (exponent << 23))  # in [0.75, 1.5)
    e = exponent.to(tl.float32)
    n_hi, n_lo = two_sum(-1.0, mantissa)
    d_hi, d_lo = two_sum(1.0, mantissa)
    r_hi, r_lo = pair_div(n_hi, n_lo, d_hi, d_lo)
    r2_hi, r2_lo = pair_square(r_hi, r_lo)
    t = tl.fma(r2_hi, 0.240320354700088500976562, 0.285112679004669189453125)
    t = tl.fma(t, r2_hi, 0.400007992982864379882812)
    t_hi, t_lo = pair_scale(r2_hi, r2_lo, t)
    c_hi, c_lo = two_sum(t_hi, 0.66666662693023681640625)
    c_lo = c_lo + (t_lo + 3.69183861259614332084311e-09)
    s_hi, s_lo = pair_scale(0.69314718246459960938, -1.904654323148236017e-09, e)
    s_hi, s_lo = pair_add(s_hi, s_lo, r_hi * 2.0, r_lo * 2.0)
    r3_hi, r3_lo = pair_mul(r2_hi, r2_lo, r_hi, r_lo)
    p_hi, p_lo = pair_mul(r3_hi, r3_lo, c_hi, c_lo)
    return pair_add(s_hi, s_lo, p_hi, p_lo)


@triton.jit
def exp(d_hi, d_lo):
    shifted = (d_hi + d_lo) * LOG2_E + MAGIC
    q = shifted - MAGIC
    exponent = bits(shifted) - 0x4B400000
    s_hi, low = two_sum(d_hi, q * -0.693145751953125)
    s_lo = low + d_lo
    s_hi, low = two_sum(s_hi, q * -1.428606765330187045e-06)
    s_lo = low + s_lo
    total = s_hi + s_lo
    s_lo = s_hi - total + s_lo
    u = tl.fma(total, 0.00136324646882712841033936, 0.00836596917361021041870117)
    u = tl.fma(u, total, 0.0416710823774337768554688)
    u = tl.fma(u, total, 0.166665524244308471679688)
    u = tl.fma(u, total, 0.499999850988388061523438)
    p_hi, p_lo = pair_square(total, s_lo)
    p_hi, p_lo = pair_scale(p_hi, p_lo, u)
    t_hi, t_lo = pair_add(total, s_lo, p_hi, p_lo)
    one = 1.0 + t_hi
    y = one + (1.0 - one + t_hi + t_lo)
    half = exponent >> 1  # in two steps, so that denormal results round once
    y = y * as_float((half + 127) << 23) * as_float((exponent - half + 127) << 23)
    return tl.where(d_hi < -104.0, 0.0, y)


@triton.jit
def pow(x, y):  # x in [0, 1], y > 0
    hi, lo = log(tl.maximum(x, TINY))
    hi, lo = pair_scale(hi, lo, y)
    return tl.where(x > 0, exp(tl.maximum(hi, -105.0), lo), 0.0)


@triton.jit
def exp2(x):  # |x| < 126
    shifted = x + MAGIC
    s = x - (shifted - MAGIC)
    u = tl.fma(s, 1.535920892e-4, 1.339262701e-3)
    u = tl.fma(u, s, 9.618384764e-3)
    u = tl.fma(u, s, 5.550347269e-2)
    u = tl.fma(u, s, 0.2402264476)
    u = tl.fma(u, s, 0.6931471825)
    u = tl.fma(u, s, 1.0)
    return as_float(bits(u) + (bits(shifted) << 23))


@triton.jit
def divide(x, divisor, inverse):  # x / divisor, correctly rounded; checked over all significands for 12 and 44100
    q = x * inverse
    return tl.fma(tl.fma(-divisor, q, x), inverse, q)


@triton.jit
def sin_cos(x):  # |x| < 1e6; absolute error below 1.5e-7
    shifted = tl.fma(x, 0.318309886183790671538, MAGIC)
    n = shifted - MAGIC
    r = tl.fma(n, 8.7422780126189537e-8, tl.fma(n, -3.1415927410125732, x))
    flip = bits(shifted) << 31
    s = r * r
    c = tl.fma(s, -2.6051615e-07, 2.4760495e-05)
    c = tl.fma(c, s, -1.3888378e-03)
    c = tl.fma(c, s, 4.1666638e-02)
    c = tl.fma(c, s, -0.5)
    c = tl.fma(c, s, 1.0)
    p = tl.fma(s, 2.6083159e-06, -1.9810690e-04)
    p = tl.fma(p, s, 8.3330785e-03)
    p = tl.fma(p, s, -1.6666659e-01)
    sine = tl.fma(p * s, r, r)
    return as_float(bits(sine) ^ flip), as_float(bits(c) ^ flip)


@triton.jit
def tanh_half(x):
    return 1.0 - 2.0 / (exp2(tl.minimum(tl.maximum(x * LOG2_E, -40.0), 40.0)) + 1.0)
