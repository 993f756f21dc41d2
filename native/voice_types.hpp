// Sizes and parameter columns of the Voice, shared by every instruction set. Columns follow unsynth.synths.voice.SPEC.
#pragma once

#include "mel_types.hpp"

namespace unsynth {

constexpr int kParams = 78, kScalars = 11;
constexpr int kSamples = 176400, kFrames = 1764, kFramesPadded = 1776;
constexpr float kAudible = 1e-9f;  // of a mixer level: below it a source is left out
constexpr int kMidi = 0, kDuration = 1, kMatrix = 48, kVco1 = 68, kVco2 = 71, kMixer = 75;
constexpr int kAdsr[2] = {2, 7}, kLfo[2] = {12, 20}, kLfoAmp[2] = {28, 33}, kLfoRate[2] = {38, 43};

struct Kernels {  // one instruction set's entry points; all work on a single sound
    const char* name;
    void (*angles)(const float* human, float* out);
    void (*render)(const float* human, const float* angle, const float* cosine, const float* noise, float* out);
    void (*audio)(const float* signals, const float* scalars, const float* noise, float* out, float* peak,
                  double* carries);
    void (*audio_backward)(const float* signals, const float* scalars, const float* noise, const float* out, float peak,
                           const double* carries, float* grad, float* d_signals, float* d_scalars);
    int block;  // samples between two carries
    void (*log_mel)(const Mel& mel, const float* audio, int64_t samples, float* scratch, float* out);
    float (*mel_distance)(const Mel& mel, const float* audio, int64_t samples, float range, const float* target,
                          const Transport& transport, float* moved, float* scratch, float* decibel);
};

}  // namespace unsynth
