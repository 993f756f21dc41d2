// One instruction set's kernels: compiled several times with different flags (see CMakeLists.txt).
#include "logmel.hpp"
#include "voice_gradient.hpp"

namespace unsynth::UNSYNTH_ISA {

#define UNSYNTH_STRING2(x) #x
#define UNSYNTH_STRING(x) UNSYNTH_STRING2(x)
extern const Kernels kernels;
const Kernels kernels = {UNSYNTH_STRING(UNSYNTH_ISA), angles, render, render_audio, audio_backward,
                         kBlock, log_mel, mel_distance};

}  // namespace unsynth::UNSYNTH_ISA
