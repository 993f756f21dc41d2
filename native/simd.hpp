// One vector of W floats and what the kernels need of it, for the instruction set this file is compiled for.
// Arithmetic operators come from the compiler's vector extension (GCC, Clang). Build with -ffp-contract=off: where a
// fused multiply-add is meant, fma() says so, because the Voice must round exactly where the reference does.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX512F__)
#include <immintrin.h>
#define UNSYNTH_ISA avx512
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define UNSYNTH_ISA avx2
#elif defined(__aarch64__)
#include <arm_neon.h>
#define UNSYNTH_ISA neon
#else
#define UNSYNTH_ISA baseline
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#endif

namespace unsynth::UNSYNTH_ISA {

#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX2__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif

typedef float vf __attribute__((vector_size(W * 4)));
typedef int32_t vi __attribute__((vector_size(W * 4)));
typedef double vd __attribute__((vector_size(W * 4)));  // half as many lanes
constexpr int H = W / 2;

template <class To, class From>
inline To bits(From x) {
    static_assert(sizeof(To) == sizeof(From));
    To y;
    std::memcpy(&y, &x, sizeof y);
    return y;
}

inline vf load(const float* p) {
    vf x;
    std::memcpy(&x, p, sizeof x);
    return x;
}
inline void store(float* p, vf x) { std::memcpy(p, &x, sizeof x); }
inline vf splat(float x) { return x - vf{}; }  // x + 0 would have to be computed, for -0

struct Doubles {  // W doubles
    vd low, high;
};

#if defined(__AVX512F__)
inline vf fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
inline vf min(vf a, vf b) { return _mm512_min_ps(a, b); }
inline vf max(vf a, vf b) { return _mm512_max_ps(a, b); }
inline vf root(vf x) { return _mm512_sqrt_ps(x); }
inline Doubles widen(vf x) {
    return {_mm512_cvtps_pd(_mm512_castps512_ps256(x)),
            _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)))};
}
inline vf narrow(Doubles x) {
    __m512d low = _mm512_castpd256_pd512(_mm256_castps_pd(_mm512_cvtpd_ps(x.low)));
    return _mm512_castpd_ps(_mm512_insertf64x4(low, _mm256_castps_pd(_mm512_cvtpd_ps(x.high)), 1));
}
inline float largest(vf x) { return _mm512_reduce_max_ps(x); }
#elif defined(__AVX2__) && defined(__FMA__)
inline vf fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
inline vf min(vf a, vf b) { return _mm256_min_ps(a, b); }
inline vf max(vf a, vf b) { return _mm256_max_ps(a, b); }
inline vf root(vf x) { return _mm256_sqrt_ps(x); }
inline Doubles widen(vf x) {
    return {_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1))};
}
inline vf narrow(Doubles x) { return _mm256_set_m128(_mm256_cvtpd_ps(x.high), _mm256_cvtpd_ps(x.low)); }
#elif defined(__aarch64__)
inline vf fma(vf a, vf b, vf c) { return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
inline vf min(vf a, vf b) { return (vf)vminq_f32((float32x4_t)a, (float32x4_t)b); }
inline vf max(vf a, vf b) { return (vf)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
inline vf root(vf x) { return (vf)vsqrtq_f32((float32x4_t)x); }
inline Doubles widen(vf x) {
    return {(vd)vcvt_f64_f32(vget_low_f32((float32x4_t)x)), (vd)vcvt_high_f64_f32((float32x4_t)x)};
}
inline vf narrow(Doubles x) {
    return (vf)vcvt_high_f32_f64(vcvt_f32_f64((float64x2_t)x.low), (float64x2_t)x.high);
}
#else
#if defined(__SSE2__)
inline Doubles widen(vf x) { return {_mm_cvtps_pd(x), _mm_cvtps_pd(_mm_movehl_ps(x, x))}; }
inline vf narrow(Doubles x) { return _mm_movelh_ps(_mm_cvtpd_ps(x.low), _mm_cvtpd_ps(x.high)); }
#else
inline Doubles widen(vf x) { return {vd{x[0], x[1]}, vd{x[2], x[3]}}; }
inline vf narrow(Doubles x) { return vf{(float)x.low[0], (float)x.low[1], (float)x.high[0], (float)x.high[1]}; }
#endif
inline vf fma(vf a, vf b, vf c) {  // the product of two floats is exact in double
    Doubles x = widen(a), y = widen(b), z = widen(c);
    return narrow({x.low * y.low + z.low, x.high * y.high + z.high});
}
#if defined(__SSE2__)
inline vf min(vf a, vf b) { return _mm_min_ps(a, b); }
inline vf max(vf a, vf b) { return _mm_max_ps(a, b); }
inline vf root(vf x) { return _mm_sqrt_ps(x); }
#else
inline vf min(vf a, vf b) { return a < b ? a : b; }
inline vf max(vf a, vf b) { return a > b ? a : b; }
inline vf root(vf x) { return vf{std::sqrt(x[0]), std::sqrt(x[1]), std::sqrt(x[2]), std::sqrt(x[3])}; }
#endif
#endif

#if !defined(__AVX512F__)
inline float largest(vf x) {
    float m = x[0];
    for (int i = 1; i < W; ++i) m = x[i] > m ? x[i] : m;
    return m;
}
#endif

// Rounded once where the machine can, where the rounding does not matter.
inline vf multiply_add(vf a, vf b, vf c) {
#if defined(__AVX512F__) || defined(__AVX2__) || defined(__aarch64__)
    return fma(a, b, c);
#else
    return a * b + c;
#endif
}

inline vf abs(vf x) { return bits<vf>(bits<vi>(x) & 0x7fffffff); }
inline vf clamp(vf x, float low, float high) { return min(max(x, splat(low)), splat(high)); }
inline float sum(vf x) {
    double s = 0;
    for (int i = 0; i < W; ++i) s += x[i];
    return (float)s;
}

// Nearest integer of |x| < 2^22, ties to even, as a float; and its low bits as an integer.
constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23
struct Rounded {
    vf value;
    vi integer;
};
inline Rounded round(vf x) {
    vf shifted = x + kMagic;
    return {shifted - kMagic, bits<vi>(shifted) - 0x4b400000};
}

// x / divisor, correctly rounded: one Newton step on the product with the reciprocal (checked over all significands).
inline vf divide(vf x, float divisor) {
#if defined(__AVX512F__) || defined(__AVX2__) || defined(__aarch64__)
    const vf d = splat(divisor), r = splat(1.0f / divisor);
    vf q = x * r;
    return fma(fma(-d, q, x), r, q);
#else
    return x / splat(divisor);
#endif
}

#if defined(__clang__)
template <int L, int... I>
inline vd shift_lanes(vd x, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(vd{}, x, (I < L ? I : H + I - L)...);
}
#else
template <int L, int... I>
inline vd shift_lanes(vd x, std::integer_sequence<int, I...>) {
    typedef int64_t vl __attribute__((vector_size(W * 4)));
    return __builtin_shuffle(vd{}, x, vl{(I < L ? I : H + I - L)...});
}
#endif

// The lower (First = 0) or upper (First = W / 2) halves of a and b, interleaved.
#if defined(__clang__)
template <int First, int... I>
inline vf zip(vf a, vf b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, (First + I / 2 + (I & 1) * W)...);
}
#else
template <int First, int... I>
inline vf zip(vf a, vf b, std::integer_sequence<int, I...>) {
    return __builtin_shuffle(a, b, vi{(First + I / 2 + (I & 1) * W)...});
}
#endif
inline vf zip_low(vf a, vf b) { return zip<0>(a, b, std::make_integer_sequence<int, W>{}); }
inline vf zip_high(vf a, vf b) { return zip<H>(a, b, std::make_integer_sequence<int, W>{}); }

template <int L>
inline vd shift(vd x) {  // by L lanes towards the higher ones, zeros in
    return shift_lanes<L>(x, std::make_integer_sequence<int, H>{});
}
inline vd scan(vd x) {  // inclusive prefix sum
    x += shift<1>(x);
    if constexpr (H > 2) x += shift<2>(x);
    if constexpr (H > 4) x += shift<4>(x);
    return x;
}

// Inclusive running sum over time in float64 (exact for the Voice: 52 bits suffice), advancing `carry`.
inline vf accumulate(vf step, double& carry) {
    Doubles x = widen(step);
    x = {scan(x.low), scan(x.high)};
    const double low = x.low[H - 1], high = x.high[H - 1], before = carry;
    carry = before + (low + high);
    return narrow({x.low + before, x.high + (before + low)});
}

// Denormals as zeros while in scope, so that decaying tails cost what everything else costs.
class FlushDenormals {
#if defined(__SSE2__)
    unsigned saved = _mm_getcsr();
public:
    FlushDenormals() { _mm_setcsr(saved | 0x8040); }
    ~FlushDenormals() { _mm_setcsr(saved); }
#endif
};

}  // namespace unsynth::UNSYNTH_ISA
