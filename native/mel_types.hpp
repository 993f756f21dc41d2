// What a log-mel spectrogram needs, as plain pointers, shared by every instruction set. native/mel_plan.hpp fills it.
#pragma once

#include <cstdint>

namespace unsynth {

constexpr int kLargestRadix = 31, kWidest = 16;  // prime factor of an FFT; lanes of any instruction set
constexpr int kGrouped = 4;                      // bins whose magnitudes are moved as one

struct Pass {  // of a decimation-in-time FFT: joins `radix` transforms of size / radix points into one of `size`
    int radix, size;
    const float* twiddles;  // [size / radix][radix - 1][cos, sin] of 2 pi q k / size
    const float* matrix;    // [radix / 2][radix / 2][cos, sin] of 2 pi j r / radix, both from 1; for odd radix
};

struct Band {  // of a filterbank: weights of `count` bins from `first`
    int first, count;
    const float* weights;
};

struct Mel {
    int n_fft, hop, bands;
    float floor;          // of the power
    const float* window;  // [padded()], zeros after n_fft
    const Pass* passes;   // the last one to be done first; its parts have one point each at the end of the list
    const Band* band;

    int64_t frames(int64_t samples) const { return 1 + (samples + n_fft / 2 * 2 - n_fft) / hop; }  // centred
    int64_t padded() const { return (n_fft + kWidest - 1) / kWidest * kWidest; }
    int64_t span() const { return (2 * kWidest - 1) * (int64_t)hop + padded(); }  // samples under 2 kWidest frames
    int64_t scratch() const { return span() + 2 * kWidest * (padded() + n_fft) + kWidest; }  // floats
};

struct Transport {  // what magnitudes are moved to
    const float* target;  // [groups][stride] cumulated shares of each frame's magnitude
    int64_t stride;       // at least 2 kWidest more than there are frames
    float floor;          // magnitude of a whole frame that counts as silence, for a sound whose peak is 1
};

}  // namespace unsynth
