// The gradient of render_audio: from dL/d(audio) to dL/d(control signals) and dL/d(scalars), block by block in reverse.
// Phases are recomputed from the carries that the forward pass left; nothing at the audio rate is stored.
#pragma once

#include "voice.hpp"

namespace unsynth::UNSYNTH_ISA {

// Sums what flows into control frames: the adjoint of linear interpolation. Vectors come in decreasing order of time.
class Frames {
    float* out;
    int frame = kFrames;
    vf left{}, right{};

    void flush() {
        out[frame] += sum(left);
        out[frame + 1] += sum(right);
        left = right = vf{};
    }

public:
    explicit Frames(float* out) : out(out) {}
    void add(const Position& at, vf x) {
        const vf rest = (1.0f - at.weight) * x, weighted = at.weight * x;
        if (at.split) {
            move_to(at.frame + 1);
            left += at.next ? rest : vf{};
            right += at.next ? weighted : vf{};
            move_to(at.frame);
            left += at.next ? vf{} : rest;
            right += at.next ? vf{} : weighted;
        } else {
            move_to(at.frame);
            left += rest;
            right += weighted;
        }
    }
    void move_to(int f) {
        if (f != frame) flush();
        frame = f;
    }
    void finish() { flush(); }
};

struct VcoGradient {
    float midi, depth, initial;
    vf d_midi{}, d_depth{}, d_initial{};
    double later = 0;  // sum of dL/d(angle) over the samples after the block

    // dL/d(angle) in, dL/d(modulation) out, in place.
    void backward(const Buffer& modulation, Buffer& d) {
        Buffer before;
        double total = 0;
        for (int i = 0; i < kBlock; i += W) before.set(i, accumulate(d[i], total));
        for (int i = 0; i < kBlock; i += W) {
            d_initial += d[i];
            vf d_step = ((float)(later + total) - before[i]) + d[i];
            vf pitch = midi + depth * modulation[i];
            vf slope = frequency(midi, depth, modulation[i]) * (kTwoPi / 44100.0f * 0.0577622650f);
            vf d_pitch = pitch >= vf{} ? (pitch <= splat(127.0f) ? d_step * slope : vf{}) : vf{};
            d_midi += d_pitch;
            d_depth += d_pitch * modulation[i];
            d.set(i, d_pitch * depth);
        }
        later += total;
    }
};

struct MixGradient {
    vf level[3] = {}, shape{}, hard{};
};

// Turns dL/d(mix) of one block into dL/d(angle) of both oscillators and dL/d(amplitude) of the three sources.
inline void mix_backward(const float* s, const Buffer& angle_1, const Buffer& angle_2, const Buffer* up,
                         const float* noise, const float* grad, MixGradient& g, Buffer& d_angle_1, Buffer& d_angle_2,
                         Buffer* d_amp) {
    const float shape = s[6], hard = s[7], h = 1.0f - shape / 2.0f;
    for (int i = 0; i < kBlock; i += W) {
        vf d = load(grad + i), amp = up[1][i];
        SinCos sc = sincos(angle_1[i]);
        g.level[0] += d * sc.cos * amp;
        d_amp[0].set(i, d * s[8] * sc.cos);
        d_angle_1.set(i, -(d * s[8] * amp * sc.sin));
    }
    for (int i = 0; i < kBlock; i += W) {
        vf d = load(grad + i), amp = up[3][i];
        SinCos sc = sincos(angle_2[i]);
        vf square = tanh_half_log2(hard * 1.44269504f * sc.sin), tilt = 1.0f + shape * sc.cos;
        vf saw = h * square * tilt, d_saw = d * s[9] * amp;
        g.level[1] += d * saw * amp;
        d_amp[1].set(i, d * s[9] * saw);
        g.shape += d_saw * square * (h * sc.cos - 0.5f * tilt);
        vf d_inner = d_saw * h * tilt * (1.0f - square * square) * 0.5f;
        g.hard += d_inner * sc.sin;
        d_angle_2.set(i, d_inner * hard * sc.cos - d_saw * h * square * shape * sc.sin);
    }
    for (int i = 0; noise && i < kBlock; i += W) {
        vf d = load(grad + i), n = load(noise + i);
        g.level[2] += d * n * up[4][i];
        d_amp[2].set(i, d * s[10] * n);
    }
}

// dL/d(audio before limiting), in place of dL/d(audio): the peak's own sample carries the gradient of the scale.
inline void limit_backward(const float* out, float peak, float* grad) {
    if (peak <= 1) return;
    double along = 0;
    int at = 0;
    for (int i = 0; i < kSamples; ++i) {
        along += (double)grad[i] * out[i];
        if (std::fabs(out[i]) > std::fabs(out[at])) at = i;
        grad[i] /= peak;
    }
    grad[at] -= (float)(along / peak) * (out[at] > 0 ? 1.0f : -1.0f);
}

// `grad` is overwritten; `d_signals` [5][kFramesPadded] and `d_scalars` are set.
inline void audio_backward(const float* signals, const float* s, const float* noise, const float* out, float peak,
                           const double* carries, float* grad, float* d_signals, float* d_scalars) {
    FlushDenormals flush;
    limit_backward(out, peak, grad);
    std::memset(d_signals, 0, sizeof(float) * 5 * kFramesPadded);
    noise = s[10] > kAudible ? noise : nullptr;
    VcoGradient vco_1{s[0], s[1], s[2]}, vco_2{s[3], s[4], s[5]};
    MixGradient g;
    Frames frames[5] = {Frames(d_signals), Frames(d_signals + kFramesPadded), Frames(d_signals + 2 * kFramesPadded),
                        Frames(d_signals + 3 * kFramesPadded), Frames(d_signals + 4 * kFramesPadded)};
    Buffer up[5], angle_1, angle_2, d_pitch_1, d_pitch_2, d_amp[3];
    const int end = last_frame(signals);
    for (int block = kSamples / kBlock - 1; block >= 0; --block) {
        const int first = block * kBlock;
        if (Position(first).frame > end) continue;
        upsample(signals, first, noise ? 5 : 4, up);
        double carry_1 = carries[2 * block], carry_2 = carries[2 * block + 1];
        angle_1 = up[0], angle_2 = up[2];
        phase(s[0], s[1], s[2], angle_1, carry_1);
        phase(s[3], s[4], s[5], angle_2, carry_2);
        mix_backward(s, angle_1, angle_2, up, noise ? noise + first : nullptr, grad + first, g, d_pitch_1, d_pitch_2,
                     d_amp);
        vco_1.backward(up[0], d_pitch_1);
        vco_2.backward(up[2], d_pitch_2);
        for (int i = kBlock - W; i >= 0; i -= W) {
            const Position at(first + i);
            frames[0].add(at, d_pitch_1[i]);
            frames[1].add(at, d_amp[0][i]);
            frames[2].add(at, d_pitch_2[i]);
            frames[3].add(at, d_amp[1][i]);
            if (noise) frames[4].add(at, d_amp[2][i]);
        }
    }
    for (Frames& f : frames) f.finish();
    const vf sums[kScalars] = {vco_1.d_midi,  vco_1.d_depth,   vco_1.d_initial, vco_2.d_midi, vco_2.d_depth,
                               vco_2.d_initial, g.shape, g.hard, g.level[0],  g.level[1],   g.level[2]};
    for (int i = 0; i < kScalars; ++i) d_scalars[i] = sum(sums[i]);
}

}  // namespace unsynth::UNSYNTH_ISA
