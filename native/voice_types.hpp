// Sizes and parameter columns of the Voice, shared by every instruction set. Columns follow unsynth.synths.voice.SPEC.
#pragma once

namespace unsynth {

constexpr int kParams = 78, kPadded = 80, kScalars = 11;
constexpr int kSamples = 176400, kFrames = 1764, kFramesPadded = 1776;
constexpr int kMidi = 0, kDuration = 1, kMatrix = 48, kVco1 = 68, kVco2 = 71, kMixer = 75;
constexpr int kAdsr[2] = {2, 7}, kLfo[2] = {12, 20}, kLfoAmp[2] = {28, 33}, kLfoRate[2] = {38, 43};

struct Curves {  // one entry per parameter: ParamSpec's ranges
    const float *low, *high, *curve, *symmetric;
};

struct Kernels {  // one instruction set's entry points; all work on a single sound
    const char* name;
    void (*control)(const Curves&, const float* unit, float* signals, float* scalars);
    void (*render)(const Curves&, const float* unit, const float* noise, float* out);
    void (*audio)(const float* signals, const float* scalars, const float* noise, float* out, float* peak);
    void (*cos_exact)(const float*, float*, int);
    void (*pow_exact)(const float*, const float*, float*, int);
    void (*log2_exact)(const float*, float*, int);
    void (*exp2_exact)(const float*, float*, int);
};

}  // namespace unsynth
