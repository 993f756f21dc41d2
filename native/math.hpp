// Elementary functions on vectors.
//
// pow and exp2 round exactly as the vector library that torch uses (SLEEF's u10 functions with FMA): their evaluation
// order is part of the Voice, since one unit in the last place of a control signal becomes an audible phase error.
// Coefficients and order of operations from SLEEF 3.x, sleefsimdsp.c and df.h (Naoki Shibata and contributors, Boost
// Software License 1.0, see NOTICE); written anew, for the ranges that the Voice needs.
// cosine/sine/tanh for the audio rate are ours: absolute error below 1.5e-7.
#pragma once

#include "simd.hpp"

namespace unsynth::UNSYNTH_ISA {

struct Pair {  // an unevaluated sum, hi + lo
    vf hi, lo;
};

inline Pair normalize(Pair a) {
    vf s = a.hi + a.lo;
    return {s, a.hi - s + a.lo};
}
inline Pair add(Pair a, Pair b) {  // |a| >= |b|
    vf s = a.hi + b.hi;
    return {s, a.hi - s + b.hi + a.lo + b.lo};
}
inline Pair add(vf a, Pair b) {  // |a| >= |b|
    vf s = a + b.hi;
    return {s, a - s + b.hi + b.lo};
}
inline Pair add2(vf a, vf b) {  // any order
    vf s = a + b, v = s - a;
    return {s, (a - (s - v)) + (b - v)};
}
inline Pair add2(Pair a, vf b) {
    Pair s = add2(a.hi, b);
    return {s.hi, s.lo + a.lo};
}
inline Pair add2(vf a, Pair b) {
    Pair s = add2(a, b.hi);
    return {s.hi, s.lo + b.lo};
}
inline Pair add2(Pair a, Pair b) {
    Pair s = add2(a.hi, b.hi);
    return {s.hi, s.lo + (a.lo + b.lo)};
}
inline Pair mul(vf a, vf b) {
    vf p = a * b;
    return {p, fma(a, b, -p)};
}
inline Pair mul(Pair a, vf b) {
    vf p = a.hi * b;
    return {p, fma(a.lo, b, fma(a.hi, b, -p))};
}
inline Pair mul(Pair a, Pair b) {
    vf p = a.hi * b.hi;
    return {p, fma(a.hi, b.lo, fma(a.lo, b.hi, fma(a.hi, b.hi, -p)))};
}
inline Pair square(Pair a) {
    vf p = a.hi * a.hi;
    return {p, fma(a.hi + a.hi, a.lo, fma(a.hi, a.hi, -p))};
}
inline Pair div(Pair n, Pair d) {
    vf t = splat(1.0f) / d.hi, q = n.hi * t;
    vf u = fma(t, n.hi, -q);
    vf v = fma(-d.lo, t, fma(-d.hi, t, splat(1.0f)));
    return {q, fma(q, v, fma(n.lo, t, u))};
}

inline vf horner(vf, vf u) { return u; }
template <class... Rest>
inline vf horner(vf x, vf u, float c, Rest... rest) {
    return horner(x, fma(u, x, splat(c)), rest...);
}

inline vf scale2(vf x, vi exponent) {  // x * 2^exponent in two steps, so that denormal results round once
    vi half = exponent >> 1;
    return x * bits<vf>((half + 127) << 23) * bits<vf>((exponent - half + 127) << 23);
}

inline vf exp2_fraction(vf s) {
    return horner(s, splat(1.535920892e-4f), 1.339262701e-3f, 9.618384764e-3f, 5.550347269e-2f, 0.2402264476f,
                  0.6931471825f, 1.0f);
}
inline vf exp2_small(vf x) {  // |x| < 120
    vf shifted = x + kMagic;
    vf u = exp2_fraction(x - (shifted - kMagic));
    return bits<vf>(bits<vi>(u) + (bits<vi>(shifted) << 23));
}

struct Normal {  // x = mantissa * 2^exponent with mantissa in [0.75, 1.5)
    vf mantissa, exponent;
};
inline Normal split(vf x) {  // x > 0, normal
    vi e = (bits<vi>(x * (1.0f / 0.75f)) >> 23) - 127;
    return {bits<vf>(bits<vi>(x) - (e << 23)), __builtin_convertvector(e, vf)};
}

inline Pair log_pair(vf x) {
    Normal n = split(x);
    Pair r = div(add2(splat(-1.0f), n.mantissa), add2(splat(1.0f), n.mantissa));
    Pair r2 = square(r);
    vf t = horner(r2.hi, splat(0.240320354700088500976562f), 0.285112679004669189453125f, 0.400007992982864379882812f);
    Pair c{splat(0.66666662693023681640625f), splat(3.69183861259614332084311e-09f)};
    Pair s = mul(Pair{splat(0.69314718246459960938f), splat(-1.904654323148236017e-09f)}, n.exponent);
    s = add(s, Pair{r.hi * 2.0f, r.lo * 2.0f});
    return add(s, mul(mul(r2, r), add2(mul(r2, t), c)));
}

inline vf exp_pair(Pair d) {
    Rounded q = round((d.hi + d.lo) * 1.442695040888963407359924681001892137426645954152985934135449406931f);
    Pair s = add2(d, q.value * -0.693145751953125f);
    s = normalize(add2(s, q.value * -1.428606765330187045e-06f));
    vf u = horner(s.hi, splat(0.00136324646882712841033936f), 0.00836596917361021041870117f,
                  0.0416710823774337768554688f, 0.166665524244308471679688f, 0.499999850988388061523438f);
    Pair t = add(splat(1.0f), add(s, mul(square(s), u)));
    vf y = scale2(t.hi + t.lo, q.integer);
    return d.hi < splat(-104.0f) ? vf{} : y;
}

inline vf pow_exact(vf x, vf y) {  // x in [0, 1], y > 0
    Pair d = mul(log_pair(max(x, splat(1e-30f))), y);
    d.hi = max(d.hi, splat(-200.0f));
    return x > vf{} ? exp_pair(d) : vf{};
}

struct SinCos {
    vf sin, cos;
};
struct Angle {  // the angle minus the nearest multiple of pi, and the sign flip of that multiple
    vf rest;
    vi flip;
};
inline Angle reduce(vf x) {  // |x| < 1e6
    vf shifted = fma(x, splat(0.318309886183790671538f), splat(kMagic));
    vf n = shifted - kMagic;
    vf r = fma(n, splat(-3.1415927410125732f), x);
    return {fma(n, splat(8.7422780126189537e-8f), r), bits<vi>(shifted) << 31};
}
inline vf cos_reduced(Angle a, vf s) {
    vf c = horner(s, splat(-2.6051615e-07f), 2.4760495e-05f, -1.3888378e-03f, 4.1666638e-02f, -0.5f, 1.0f);
    return bits<vf>(bits<vi>(c) ^ a.flip);
}
inline vf cosine(vf x) {
    Angle a = reduce(x);
    return cos_reduced(a, a.rest * a.rest);
}
inline SinCos sincos(vf x) {
    Angle a = reduce(x);
    vf s = a.rest * a.rest;
    vf p = horner(s, splat(2.6083159e-06f), -1.9810690e-04f, 8.3330785e-03f, -1.6666659e-01f);
    vf sine = fma(p * s, a.rest, a.rest);
    return {bits<vf>(bits<vi>(sine) ^ a.flip), cos_reduced(a, s)};
}
inline vf tanh_half_log2(vf x) {  // tanh(x * ln(2) / 2)
    return 1.0f - 2.0f / (exp2_small(clamp(x, -40.0f, 40.0f)) + 1.0f);
}

}  // namespace unsynth::UNSYNTH_ISA
