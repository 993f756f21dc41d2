// One instruction set's kernels: compiled several times with different flags (see CMakeLists.txt).
#include "voice.hpp"

namespace unsynth::UNSYNTH_ISA {

template <vf (*F)(vf)>
void map(const float* x, float* y, int n) {
    for (int i = 0; i + W <= n; i += W) store(y + i, F(load(x + i)));
}
void map_pow(const float* x, const float* e, float* y, int n) {
    for (int i = 0; i + W <= n; i += W) store(y + i, pow_exact(load(x + i), load(e + i)));
}

#define UNSYNTH_STRING2(x) #x
#define UNSYNTH_STRING(x) UNSYNTH_STRING2(x)
extern const Kernels kernels;
const Kernels kernels = {UNSYNTH_STRING(UNSYNTH_ISA), control, render, render_audio, map<cos_exact>, map_pow,
                         map<log2_exact>, map<exp2_exact>};

}  // namespace unsynth::UNSYNTH_ISA
