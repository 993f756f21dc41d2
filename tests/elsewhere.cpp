// Renders sounds from a file of parameters, angles and cosines: to run the kernels of another processor or compiler.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "../native/voice_gradient.hpp"

using namespace unsynth;
using namespace unsynth::UNSYNTH_ISA;

int main(int, char** argv) {
    const int sounds = std::atoi(argv[1]), lfos = 2 * kFramesPadded;
    std::vector<float> human(sounds * kParams), angle(sounds * lfos), cosine(sounds * lfos), again(lfos), out(kSamples);
    FILE *in = std::fopen(argv[2], "rb"), *to = std::fopen(argv[3], "wb");
    for (auto* v : {&human, &angle, &cosine})
        if (std::fread(v->data(), sizeof(float), v->size(), in) != v->size()) return 1;
    for (int i = 0; i < sounds; ++i) {
        angles(&human[i * kParams], again.data());
        if (std::memcmp(again.data(), &angle[i * lfos], sizeof(float) * lfos)) return 2;
        render(&human[i * kParams], &angle[i * lfos], &cosine[i * lfos], nullptr, out.data());
        std::fwrite(out.data(), sizeof(float), kSamples, to);
    }
    return std::fclose(to);
}
