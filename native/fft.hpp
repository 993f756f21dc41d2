// Complex FFT of W signals at once, one in each lane, of any size with prime factors up to kLargestRadix.
// Mixed radix, decimation in time, depth first: parts are joined while they are in the cache (Cooley & Tukey, "An
// algorithm for the machine calculation of complex Fourier series", 1965,
// https://doi.org/10.1090/S0025-5718-1965-0178586-1). A point is two vectors, real and imaginary part.
#pragma once

#include "mel_types.hpp"
#include "simd.hpp"

namespace unsynth::UNSYNTH_ISA {

constexpr int kPoint = 2 * W;  // floats

struct Complex {
    vf re, im;
};
inline Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
inline Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
inline Complex load_point(const float* p) { return {load(p), load(p + W)}; }
inline void store_point(float* p, Complex x) {
    store(p, x.re);
    store(p + W, x.im);
}
inline Complex minus_i(Complex x) { return {x.im, -x.re}; }
inline Complex turn(Complex x, const float* cos_sin) {  // clockwise
    const vf c = splat(cos_sin[0]), s = splat(cos_sin[1]);
    return {multiply_add(x.im, s, x.re * c), multiply_add(-x.re, s, x.im * c)};
}

// The points of one butterfly: `in` and `out` hold one for each part, in_step and out_step floats apart.
template <bool Turned>
struct Butterfly {
    const float* in;
    int64_t in_step;
    const float* twiddle;  // unused where all are 1
    float* out;
    int64_t out_step;

    Complex get(int q) const {
        const Complex x = load_point(in + q * in_step);
        if constexpr (!Turned) return x;
        return q ? turn(x, twiddle + 2 * (q - 1)) : x;
    }
    void put(int q, Complex x) const { store_point(out + q * out_step, x); }
};

template <bool Turned>
inline void radix_2(const Butterfly<Turned>& b) {
    const Complex x = b.get(0), y = b.get(1);
    b.put(0, x + y);
    b.put(1, x - y);
}

template <bool Turned>
inline void radix_4(const Butterfly<Turned>& b) {
    const Complex x0 = b.get(0), x1 = b.get(1), x2 = b.get(2), x3 = b.get(3);
    const Complex even = x0 + x2, odd = x1 + x3, left = x0 - x2, right = minus_i(x1 - x3);
    b.put(0, even + odd);
    b.put(1, left + right);
    b.put(2, even - odd);
    b.put(3, left - right);
}

// Outputs r and radix - r, for N values of r (from 0 here), share the sums over pairs of inputs.
template <int N, bool Turned>
inline void odd_outputs(const Butterfly<Turned>& b, int radix, const float* row, int r, Complex x0, const Complex* sums,
                        const Complex* differences) {
    const int half = radix / 2;
    Complex even[N], odd[N];
    for (int i = 0; i < N; ++i) even[i] = x0, odd[i] = Complex{vf{}, vf{}};
    for (int j = 0; j < half; ++j)
        for (int i = 0; i < N; ++i) {
            const float* entry = row + 2 * ((r + i) * half + j);
            const vf c = splat(entry[0]), s = splat(entry[1]);
            even[i].re = multiply_add(sums[j].re, c, even[i].re);
            even[i].im = multiply_add(sums[j].im, c, even[i].im);
            odd[i].re = multiply_add(differences[j].re, s, odd[i].re);
            odd[i].im = multiply_add(differences[j].im, s, odd[i].im);
        }
    for (int i = 0; i < N; ++i) {
        b.put(r + i + 1, even[i] + minus_i(odd[i]));
        b.put(radix - 1 - r - i, even[i] - minus_i(odd[i]));
    }
}

// Outputs from r on, N at a time, then fewer.
template <int N, bool Turned>
inline void all_odd_outputs(const Butterfly<Turned>& b, int radix, const float* row, int r, Complex x0,
                            const Complex* sums, const Complex* differences) {
    for (; r + N <= radix / 2; r += N) odd_outputs<N>(b, radix, row, r, x0, sums, differences);
    if constexpr (N > 1) all_odd_outputs<N - 1>(b, radix, row, r, x0, sums, differences);
}

template <int Radix, bool Turned>  // 0: known at run time only
inline void radix_odd(const Butterfly<Turned>& b, const Pass& pass) {
    constexpr int kTogether = Radix ? Radix / 2 : (W == 16 ? 5 : 3);  // as many sums as there are registers
    const int radix = Radix ? Radix : pass.radix, half = radix / 2;
    Complex sums[Radix ? Radix / 2 : kLargestRadix / 2], differences[Radix ? Radix / 2 : kLargestRadix / 2];
    const Complex x0 = b.get(0);
    Complex total = x0;
    for (int j = 0; j < half; ++j) {
        const Complex x = b.get(j + 1), y = b.get(radix - 1 - j);
        sums[j] = x + y;
        differences[j] = x - y;
        total = total + sums[j];
    }
    b.put(0, total);
    all_odd_outputs<kTogether>(b, radix, pass.matrix, 0, x0, sums, differences);
}

template <class F>
inline void butterflies(const Pass& pass, const float* in, int64_t in_step, float* out, F one) {
    const int64_t part = pass.size / pass.radix, from = in_step * kPoint, to = part * kPoint;
    one(Butterfly<false>{in, from, nullptr, out, to});
    for (int64_t k = 1; k < part; ++k) {
        const float* twiddle = pass.twiddles + 2 * (pass.radix - 1) * k;
        one(Butterfly<true>{in + k * kPoint, from, twiddle, out + k * kPoint, to});
    }
}

inline void join(const Pass& pass, const float* in, int64_t in_step, float* out) {
    switch (pass.radix) {
        case 2: return butterflies(pass, in, in_step, out, [](const auto& b) { radix_2(b); });
        case 3: return butterflies(pass, in, in_step, out, [&](const auto& b) { radix_odd<3>(b, pass); });
        case 4: return butterflies(pass, in, in_step, out, [](const auto& b) { radix_4(b); });
        case 5: return butterflies(pass, in, in_step, out, [&](const auto& b) { radix_odd<5>(b, pass); });
        case 7: return butterflies(pass, in, in_step, out, [&](const auto& b) { radix_odd<7>(b, pass); });
        default: return butterflies(pass, in, in_step, out, [&](const auto& b) { radix_odd<0>(b, pass); });
    }
}

// Transform of the points of `in` that lie `step` points apart; `out` must not overlap it.
inline void fft(const Pass* pass, const float* in, int64_t step, float* out) {
    const int64_t part = pass->size / pass->radix;
    if (part == 1) return join(*pass, in, step, out);
    for (int q = 0; q < pass->radix; ++q)
        fft(pass + 1, in + q * step * kPoint, step * pass->radix, out + q * part * kPoint);
    join(*pass, out, part, out);
}

}  // namespace unsynth::UNSYNTH_ISA
