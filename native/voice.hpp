// The Voice for one sound at a time, time in the lanes: control signals, then audio in one pass, nothing in between.
// Follows unsynth/synths/modules.py operation by operation up to the phases; see there for the sources.
#pragma once

#include "math.hpp"
#include "voice_types.hpp"

namespace unsynth::UNSYNTH_ISA {

constexpr float kTwoPi = 6.2831855f, kPi = 3.1415927f, kEps = 1e-6f;

inline vf ramp_lanes(int first) {
    static constexpr float kLanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return load(kLanes) + (float)first;
}

// A monotone curve over `seconds` from `start`; constant before and after, so most vectors cost nothing.
class Ramp {
    float begin, frames, alpha, after;
    bool inverse;
    vf before;

    vf value(vf t) const {
        vf elapsed = max(t - begin, vf{}) + kEps;
        vf share = min(elapsed / splat(frames) + kEps, splat(1.0f));
        share = elapsed < splat(frames) ? share : splat(1.0f);
        if (inverse && frames > 0) share = 1.0f - share;
        return pow_exact(share, splat(alpha));
    }

public:
    Ramp(float seconds, float start, float alpha, bool inverse)
        : begin(start * 441.0f), frames(seconds * 441.0f), alpha(alpha), after(inverse && frames > 0 ? 0.0f : 1.0f),
          inverse(inverse), before(value(vf{})) {}

    bool done(int first) const { return (float)first - begin > frames; }
    vf at(int first) const {
        if ((float)(first + W) <= begin) return before;
        if (done(first)) return splat(after);
        return value(ramp_lanes(first));
    }
};

inline void adsr(const float* p, float note, float* out) {  // p: attack, decay, sustain, release, alpha
    const float attack = p[0], decay = p[1], sustain = p[2], release = p[3], alpha = p[4];
    const float rise_time = std::fmin(attack, note);
    const Ramp rise(rise_time, 0, alpha, false), release_ramp(release, note, alpha, true);
    const Ramp fall(std::fmin(std::fmax(note - attack, 0.0f), decay), rise_time, alpha, true);
    const float rest = 1.0f - sustain;
    for (int t = 0; t < kFramesPadded; t += W) {
        vf end = release_ramp.at(t);
        if (release > 0 && release_ramp.done(t)) {
            store(out + t, vf{});
            continue;
        }
        store(out + t, rise.at(t) * (rest * fall.at(t) + sustain) * end);
    }
}

inline vf lfo_mix(vf angle, vf cosine, const float* weight) {
    vf turns = round(angle * (1.0f / kTwoPi)).value;
    vf saw = fma(turns, splat(-kTwoPi), angle);
    saw = (saw < vf{} ? saw + kTwoPi : saw) / splat(kTwoPi);
    vf twice = 2.0f * saw, triangle = twice > splat(1.0f) ? 2.0f - twice : twice;
    vf square = cosine > vf{} ? splat(1.0f) : (cosine < vf{} ? vf{} : splat(0.5f));
    vf y = weight[0] * ((cosine + 1.0f) / splat(2.0f));
    y = fma(splat(weight[1]), triangle, y);
    y = fma(splat(weight[2]), saw, y);
    y = fma(splat(weight[3]), 1.0f - saw, y);
    return fma(splat(weight[4]), square, y);
}

inline void lfo_weights(const float* wave, float* weight) {  // sin, tri, saw, rsaw, sqr
    alignas(64) float u[16] = {};
    std::memcpy(u, wave, sizeof(float) * 5);
    for (int i = 0; i < 16; i += W) store(u + i, pow_exact(load(u + i), splat(2.718281828f)));
    float total = (((u[0] + u[4]) + u[1]) + u[2]) + u[3];  // the order in which torch sums a row of five
    for (int i = 0; i < 5; ++i) weight[i] = total > 1e-30f ? u[i] / total : 0.0f;
}

// The phase of both LFOs at the control rate, [2][kFramesPadded].
inline void angles(const float* p, float* out) {
    alignas(64) float rate[kFramesPadded];
    for (int i = 0; i < 2; ++i, out += kFramesPadded) {
        const float *lfo = p + kLfo[i], frequency = lfo[0], depth = lfo[1], initial = lfo[2];
        adsr(p + kLfoRate[i], p[kDuration], rate);
        double phase = 0;
        for (int t = 0; t < kFramesPadded; t += W) {
            vf hertz = max(frequency + depth * load(rate + t), vf{});
            store(out + t, accumulate(kTwoPi * hertz / splat(441.0f), phase) + initial);
        }
    }
}

inline void lfo(const float* p, const float* angle, const float* cosine, float* out) {  // `out` holds the envelope
    float weight[5];
    lfo_weights(p + 3, weight);
    for (int t = 0; t < kFramesPadded; t += W)
        store(out + t, lfo_mix(load(angle + t), load(cosine + t), weight) * load(out + t));
}

inline float hardness(float midi, float depth) {
    float top = 440.0f * exp2_small(splat((midi + std::fmax(depth, 0.0f) - 69.0f) / 12.0f))[0];
    return kPi * (12000.0f / (top * std::log10(top)));
}

// Human-unit parameters, LFO angles and their shifted cosines to control signals [5][kFramesPadded] and scalars.
inline void control(const float* p, const float* angle, const float* cosine, float* signals, float* scalars) {
    alignas(64) float source[4][kFramesPadded];
    for (int i = 0; i < 2; ++i) {
        adsr(p + kAdsr[i], p[kDuration], source[i]);
        adsr(p + kLfoAmp[i], p[kDuration], source[2 + i]);
        lfo(p + kLfo[i], angle + i * kFramesPadded, cosine + i * kFramesPadded, source[2 + i]);
    }
    for (int d = 0; d < 5; ++d) {
        float* out = signals + d * kFramesPadded;
        for (int t = 0; t < kFramesPadded; t += W) {
            vf y = p[kMatrix + d] * load(source[0] + t);
            for (int s = 1; s < 4; ++s) y = fma(splat(p[kMatrix + 5 * s + d]), load(source[s] + t), y);
            store(out + t, y);
        }
        for (int t = kFrames; t < kFramesPadded; ++t) out[t] = out[kFrames - 1];
    }
    const float midi_1 = p[kMidi] + p[kVco1], midi_2 = p[kMidi] + p[kVco2];
    const float values[kScalars] = {midi_1,       p[kVco1 + 1], p[kVco1 + 2], midi_2,
                                    p[kVco2 + 1], p[kVco2 + 2], p[kVco2 + 3], hardness(midi_2, p[kVco2 + 1]),
                                    p[kMixer],    p[kMixer + 1], p[kMixer + 2]};
    std::memcpy(scalars, values, sizeof values);
}

// Audio is made in blocks, each block in stages over short buffers: a stage's iterations do not wait for one another,
// which keeps the arithmetic units busy where one long dependency chain per sample would not.
constexpr int kBlock = 15 * W;  // samples; divides kSamples for every W
static_assert(kSamples % kBlock == 0);

struct alignas(64) Buffer {
    float x[kBlock];
    vf operator[](int i) const { return load(x + i); }
    void set(int i, vf y) { store(x + i, y); }
};

// Position of the samples from `first` on between control frames: left frame of the first lane, and lanes.
struct Position {
    int frame;
    bool split;  // the left frame of the last lane is one further
    vi next;     // lanes whose left frame is one further
    vf weight;   // of the right frame

    explicit Position(int first) {
        constexpr float scale = (float)(1763.0 / 176399.0);
        frame = (int)(scale * (float)first);
        split = scale * (float)(first + W - 1) >= (float)(frame + 1);
        vf position = scale * ramp_lanes(first);
        next = position >= splat((float)(frame + 1));
        weight = position - (next ? splat((float)(frame + 1)) : splat((float)frame));
    }
};

// Linear interpolation of the five control signals; pitch is rounded as torch rounds it, amplitudes need not be.
inline void upsample(const float* signals, int first, int count, Buffer* out) {
    for (int i = 0; i < kBlock; i += W) {
        const Position at(first + i);
        const float* x = signals + at.frame;
        for (int s = 0; s < count; ++s, x += kFramesPadded) {
            vf left = splat(x[0]), right = splat(x[1]);
            if (at.split) left = at.next ? right : left, right = at.next ? splat(x[2]) : right;
            const bool pitch = s == 0 || s == 2;
            out[s].set(i, pitch ? fma(left, 1.0f - at.weight, right * at.weight) : fma(at.weight, right - left, left));
        }
    }
}

inline vf frequency(float midi, float depth, vf modulation) {
    return 440.0f * exp2_small(divide(clamp(midi + depth * modulation, 0.0f, 127.0f) - 69.0f, 12.0f));
}

// Modulation to phase in radians, in place; `carry` is the phase so far. The order of float64 sums does not matter: an
// increment has at most 33 fractional bits and the sum at most 19 integer bits.
inline void phase(float midi, float depth, float initial, Buffer& x, double& carry) {
    for (int i = 0; i < kBlock; i += W) x.set(i, divide(kTwoPi * frequency(midi, depth, x[i]), 44100.0f));
    for (int i = 0; i < kBlock; i += W) x.set(i, accumulate(x[i], carry) + initial);
}

inline int last_frame(const float* signals) {  // after it every amplitude is zero
    for (int t = kFrames; t > 0; --t)
        if (signals[kFramesPadded + t - 1] != 0 || signals[3 * kFramesPadded + t - 1] != 0 ||
            signals[4 * kFramesPadded + t - 1] != 0)
            return t;
    return 0;
}

// Audio before peak limiting, and its peak. `carries` (unless null) takes both phases at the start of every block.
inline float mix(const float* signals, const float* s, const float* noise, float* out, double* carries) {
    const float shape = s[6], hard = s[7] * 1.44269504f, gain = s[9] * (1.0f - shape / 2.0f);
    const int frames = last_frame(signals);
    double phase_1 = 0, phase_2 = 0;
    Buffer up[5];
    vf peak{};
    int first = 0;
    for (; first < kSamples && Position(first).frame <= frames; first += kBlock) {
        float* y = out + first;
        if (carries) *carries++ = phase_1, *carries++ = phase_2;
        upsample(signals, first, noise ? 5 : 4, up);
        phase(s[0], s[1], s[2], up[0], phase_1);
        phase(s[3], s[4], s[5], up[2], phase_2);
        for (int i = 0; i < kBlock; i += W) up[0].set(i, s[8] * cosine(up[0][i]) * up[1][i]);
        for (int i = 0; i < kBlock; i += W) {
            SinCos sc = sincos(up[2][i]);
            vf saw = tanh_half_log2(hard * sc.sin) * (1.0f + shape * sc.cos);
            up[0].set(i, fma(gain * saw, up[3][i], up[0][i]));
        }
        if (noise)
            for (int i = 0; i < kBlock; i += W) up[0].set(i, fma(s[10] * load(noise + first + i), up[4][i], up[0][i]));
        for (int i = 0; i < kBlock; i += W) {
            peak = max(peak, abs(up[0][i]));
            store(y + i, up[0][i]);
        }
    }
    std::memset(out + first, 0, sizeof(float) * (kSamples - first));
    return largest(peak);
}

inline void render_audio(const float* signals, const float* scalars, const float* noise, float* out, float* peak,
                         double* carries) {
    FlushDenormals flush;
    *peak = mix(signals, scalars, scalars[10] > kAudible ? noise : nullptr, out, carries);
    if (*peak > 1)
        for (int i = 0; i < kSamples; i += W) store(out + i, load(out + i) * (1.0f / *peak));
}

inline void render(const float* human, const float* angle, const float* cosine, const float* noise, float* out) {
    alignas(64) float signals[5 * kFramesPadded], scalars[kScalars], peak;
    control(human, angle, cosine, signals, scalars);
    render_audio(signals, scalars, noise, out, &peak, nullptr);
}

}  // namespace unsynth::UNSYNTH_ISA
