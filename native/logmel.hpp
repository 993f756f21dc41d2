// Log-mel spectrogram of one sound, frames in the lanes: centred, zero-padded frames under a Hann window, power
// spectrum, filters, decibels. Neighbouring frames are packed into the real and imaginary parts of one complex FFT, so
// odd sizes cost no more; frames without sound cost nothing.
#pragma once

#include <algorithm>
#include <cfloat>

#include "fft.hpp"
#include "math.hpp"

namespace unsynth::UNSYNTH_ISA {

inline vf decibels(vf power, vf floor) {  // 10 log10 of at least floor > 0, to 1e-4 dB; NaN if not finite
    const Normal n = split(max(power, floor));
    const vf r = (n.mantissa - 1.0f) / (n.mantissa + 1.0f), r2 = r * r;
    const vf log = 2.0f * r * horner(r2, splat(1.0f / 7), 1.0f / 5, 1.0f / 3, 1.0f);
    return n.exponent * 3.0102999566f + log * 4.3429448190f + (power - power);
}

inline void transpose(vf* rows) {
    vf zipped[W];
    for (int stride = 1; stride < W; stride *= 2) {
        for (int i = 0; i < H; ++i) {
            zipped[2 * i] = zip_low(rows[i], rows[i + H]);
            zipped[2 * i + 1] = zip_high(rows[i], rows[i + H]);
        }
        std::copy(zipped, zipped + W, rows);
    }
}

// W windowed frames that begin `step` samples apart, as the real or imaginary parts of `out`.
inline void load_frames(const Mel& mel, const float* audio, int64_t step, float* out) {
    for (int n = 0; n < mel.n_fft; n += W) {
        const vf window = load(mel.window + n);
        vf rows[W];
        for (int i = 0; i < W; ++i) rows[i] = load(audio + i * step + n) * window;
        transpose(rows);
        for (int i = 0; i < W; ++i) store(out + (n + i) * kPoint, rows[i]);
    }
}

// Spectra of packed frames to four times the power of the even and of the odd frames, in place.
inline void powers(int n_fft, float* spectrum) {
    for (int k = 0; k <= n_fft / 2; ++k) {
        const Complex x = load_point(spectrum + k * kPoint), y = load_point(spectrum + (k ? n_fft - k : 0) * kPoint);
        const Complex sum = x + y, difference = x - y;
        store_point(spectrum + k * kPoint,
                    {multiply_add(sum.re, sum.re, difference.im * difference.im),
                     multiply_add(sum.im, sum.im, difference.re * difference.re)});
    }
}

inline void store_some(float* out, vf x, int64_t count) {
    if (count >= W) return store(out, x);
    for (int i = 0; i < count; ++i) out[i] = x[i];
}

// Bands of 2W frames, of which the first `count` are wanted; rows of `out` are `frames` long.
inline void bands(const Mel& mel, const float* power, float* out, int64_t count, int64_t frames) {
    for (int b = 0; b < mel.bands; ++b, out += frames) {
        const Band& band = mel.band[b];
        Complex total{};
        for (int k = 0; k < band.count; ++k) {
            const Complex p = load_point(power + (band.first + k) * kPoint);
            const vf weight = splat(band.weights[k]);
            total = {multiply_add(p.re, weight, total.re), multiply_add(p.im, weight, total.im)};
        }
        const vf even = decibels(total.re, splat(mel.floor)), odd = decibels(total.im, splat(mel.floor));
        store_some(out, zip_low(even, odd), count);
        store_some(out + W, zip_high(even, odd), count - W);
    }
}

struct Range {
    int64_t begin, end;
};
inline Range sounding(const Mel& mel, const float* audio, int64_t samples) {  // frames with a sample that is not zero
    int64_t first = 0, end = samples;
    while (end > 0 && audio[end - 1] == 0) --end;
    while (first < end && audio[first] == 0) ++first;
    if (first == end) return {0, 0};
    const int64_t before = mel.n_fft / 2, after = mel.n_fft - before;
    return {std::max<int64_t>(0, (first - after) / mel.hop + (first >= after)),
            std::min(mel.frames(samples), (end - 1 + before) / mel.hop + 1)};
}

// [bands][frames] decibels; `scratch` has room for mel.scratch() floats. What is left of the powers of 2W frames is
// given to `after`, with the first of them and how many are wanted.
template <class After>
inline void log_mel(const Mel& mel, const float* audio, int64_t samples, float* scratch, float* out, After after) {
    FlushDenormals flush;
    const int64_t frames = mel.frames(samples), span = (2 * W - 1) * (int64_t)mel.hop + mel.padded();
    const Range active = sounding(mel, audio, samples);
    const float silent = decibels(splat(0), splat(mel.floor))[0];
    float* input = scratch + (kWidest - (uintptr_t)scratch / sizeof(float) % kWidest);
    float *spectrum = input + kPoint * mel.padded(), *edge = spectrum + kPoint * (int64_t)mel.n_fft;
    for (int b = 0; b < mel.bands; ++b) {
        std::fill(out + b * frames, out + b * frames + active.begin, silent);
        std::fill(out + b * frames + active.end, out + (b + 1) * frames, silent);
    }
    for (int64_t f = active.begin; f < active.end; f += 2 * W) {
        const int64_t start = f * mel.hop - mel.n_fft / 2, stop = start + span;
        const float* from = audio + start;
        if (start < 0 || stop > samples) {
            const int64_t first = std::max<int64_t>(start, 0), last = std::min(stop, samples);
            std::fill(edge, edge + span, 0.0f);
            std::copy(audio + first, audio + last, edge + (first - start));
            from = edge;
        }
        load_frames(mel, from, 2 * mel.hop, input);
        load_frames(mel, from + mel.hop, 2 * mel.hop, input + W);
        fft(mel.passes, input, 1, spectrum);
        powers(mel.n_fft, spectrum);
        bands(mel, spectrum, out + f, active.end - f, frames);
        after(spectrum, f, std::min<int64_t>(2 * W, active.end - f));
    }
}

inline void log_mel(const Mel& mel, const float* audio, int64_t samples, float* scratch, float* out) {
    log_mel(mel, audio, samples, scratch, out, [](float*, int64_t, int64_t) {});
}

// Sum over `count` frames and all groups of bins of the difference between the frame's cumulated magnitudes, as shares
// of their sum or of `floor`, and `target`, [groups][stride]. Four times the powers of 2W frames are overwritten.
inline float transported(const Mel& mel, float* power, float floor, const float* target, int64_t stride,
                         int64_t count) {
    const int bins = mel.n_fft / 2 + 1, groups = (bins + kGrouped - 1) / kGrouped;
    Complex total{}, reached{};
    for (int g = 0; g < groups; ++g) {
        Complex mass{};
        for (int k = g * kGrouped; k < std::min((g + 1) * kGrouped, bins); ++k) {
            const Complex p = load_point(power + k * kPoint);
            mass = mass + Complex{root(p.re), root(p.im)};
        }
        store_point(power + g * kPoint, mass);
        total = total + mass;
    }
    const vf least = splat(2 * floor), even = 1.0f / max(total.re, least), odd = 1.0f / max(total.im, least);
    vf low{}, high{};
    for (int g = 0; g < groups; ++g, target += stride) {
        reached = reached + load_point(power + g * kPoint);
        const vf a = reached.re * even, b = reached.im * odd;
        low += abs(zip_low(a, b) - load(target)), high += abs(zip_high(a, b) - load(target + W));
    }
    float each[2 * W], moved = 0;
    store(each, low), store(each + W, high);
    for (int64_t i = 0; i < count; ++i) moved += each[i];
    return moved;
}

inline float peak(const float* audio, int64_t samples) {  // NaN where a sample is NaN or infinite
    vf highest{}, wrong{};
    int64_t i = 0;
    for (; i + W <= samples; i += W) {
        const vf x = load(audio + i);
        highest = max(highest, abs(x)), wrong += x * 0.0f;
    }
    float top = largest(highest), rest = sum(wrong);
    for (; i < samples; ++i) top = std::max(top, std::fabs(audio[i])), rest += audio[i] * 0.0f;
    return top + rest;
}

// Mean over all frames and groups of what `transported` sums; frames without sound have no magnitude at all.
inline float log_mel_transport(const Mel& mel, const float* audio, int64_t samples, float peak,
                               const Transport& transport, float* scratch, float* out) {
    FlushDenormals flush;  // here too, so that both see the same frames as silent
    const int64_t frames = mel.frames(samples);
    const Range active = sounding(mel, audio, samples);
    const float floor = std::max(FLT_MIN, transport.floor * peak);
    double moved = 0;
    log_mel(mel, audio, samples, scratch, out, [&](float* power, int64_t f, int64_t count) {
        moved += transported(mel, power, floor, transport.target + f, transport.stride, count);
    });
    const int groups = (mel.n_fft / 2 + kGrouped) / kGrouped;
    for (int g = 0; g < groups; ++g) {
        const float* target = transport.target + g * transport.stride;
        for (int64_t f = 0; f < frames; ++f) moved += f < active.begin || f >= active.end ? target[f] : 0.0f;
    }
    return (float)(moved / ((double)groups * frames));
}

// Mean absolute difference from `target`, [bands][frames], of decibels below the sound's own maximum, clipped at
// `range` below; `decibel` has room for as many. `moved`, where wanted, becomes the spectral transport. Both are NaN
// where a sample is NaN or infinite.
inline float mel_distance(const Mel& mel, const float* audio, int64_t samples, float range, const float* target,
                          const Transport& transport, float* moved, float* scratch, float* decibel) {
    const float loudest = peak(audio, samples), defined = loudest - loudest;
    if (moved) *moved = defined + log_mel_transport(mel, audio, samples, loudest, transport, scratch, decibel);
    else log_mel(mel, audio, samples, scratch, decibel);
    const int64_t count = mel.bands * mel.frames(samples);
    vf highest = splat(decibel[0]), total{};
    int64_t i = 0;
    for (; i + W <= count; i += W) highest = max(highest, load(decibel + i));
    float top = largest(highest);
    for (; i < count; ++i) top = std::max(top, decibel[i]);
    for (i = 0; i + W <= count; i += W)
        total += abs(load(target + i) - max(load(decibel + i) - top, splat(-range)));
    float rest = sum(total);
    for (; i < count; ++i) rest += std::fabs(target[i] - std::max(decibel[i] - top, -range));
    return defined + rest / (float)count;
}

}  // namespace unsynth::UNSYNTH_ISA
