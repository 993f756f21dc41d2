// The Mersenne Twister MT19937 (Matsumoto & Nishimura, 1998, https://doi.org/10.1145/272991.272995) as torch's CPU
// generator seeds and reads it: a float is the low 24 bits of each output.
#pragma once

#include <cstdint>

namespace unsynth {

class Twister {
    static constexpr int kState = 624, kMiddle = 397;
    uint32_t state[kState];
    int next = kState;

    static uint32_t mix(uint32_t high, uint32_t low) {
        uint32_t y = (high & 0x80000000u) | (low & 0x7fffffffu);
        return (y >> 1) ^ ((low & 1u) ? 0x9908b0dfu : 0u);
    }
    static float temper(uint32_t y) {
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c5680u;
        y ^= (y << 15) & 0xefc60000u;
        y ^= y >> 18;
        return (float)(y & 0xffffffu) * (1.0f / 16777216.0f);
    }
    void twist() {
        for (int i = 0; i < kState; ++i)
            state[i] = state[(i + kMiddle) % kState] ^ mix(state[i], state[(i + 1) % kState]);
        next = 0;
    }

public:
    explicit Twister(uint32_t seed, int words = kState) {
        state[0] = seed;
        for (int i = 1; i < words; ++i) state[i] = 1812433253u * (state[i - 1] ^ (state[i - 1] >> 30)) + (uint32_t)i;
    }
    float uniform() {
        if (next == kState) twist();
        return temper(state[next++]);
    }
    // The first n <= 227 outputs of a seed, from a state that is only initialised as far as they need.
    static void first(uint32_t seed, float* out, int n) {
        Twister t(seed, n + kMiddle);
        for (int i = 0; i < n; ++i) out[i] = temper(t.state[i + kMiddle] ^ mix(t.state[i], t.state[i + 1]));
    }
};

}  // namespace unsynth
