// Python bindings: choose the instruction set, spread sounds over threads with the GIL released.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <mutex>
#include <stdexcept>
#include <string>

#include "mel_plan.hpp"
#include "parallel.hpp"
#include "pool.hpp"
#include "random.hpp"
#include "voice_types.hpp"

namespace nb = nanobind;

namespace unsynth {

#if defined(__x86_64__)
namespace avx512 { extern const Kernels kernels; }
namespace avx2 { extern const Kernels kernels; }
#endif
#if defined(__aarch64__)
namespace neon { extern const Kernels kernels; }
#else
namespace baseline { extern const Kernels kernels; }
#endif

// Best first.
std::vector<const Kernels*> supported() {
    std::vector<const Kernels*> found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd"))
        found.push_back(&avx512::kernels);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&avx2::kernels);
#endif
#if defined(__aarch64__)
    found.push_back(&neon::kernels);
#else
    found.push_back(&baseline::kernels);
#endif
    return found;
}

const Kernels& kernels(const std::string& isa) {
    for (const Kernels* k : supported())
        if (isa.empty() || isa == k->name) return *k;
    throw std::invalid_argument("instruction set not available: " + isa);
}

template <class... Shape>
using In = nb::ndarray<const float, nb::c_contig, nb::device::cpu, Shape...>;
using Matrix = In<nb::ndim<2>>;
using Ids = nb::ndarray<const int64_t, nb::c_contig, nb::device::cpu, nb::ndim<1>>;
using Out = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

void check(bool good, const char* what) {
    if (!good) throw std::invalid_argument(what);
}

// An uninitialised (rows, columns) array whose memory is used again when nobody holds it any more.
nb::ndarray<nb::numpy, float, nb::ndim<2>> borrow(size_t rows, size_t columns) {
    static Pool& pool = *new Pool;  // outlives whatever Python frees at exit
    auto* block = new Pool::Block(pool.take(std::max<size_t>(rows * columns, 1) * sizeof(float)));
    nb::capsule owner(block, [](void* held) noexcept {
        auto* block = static_cast<Pool::Block*>(held);
        block->pool->give(*block);
        delete block;
    });
    return {block->memory, {rows, columns}, owner};
}

const float* noise_row(int64_t id) {
    constexpr int kRows = 32;
    static std::once_flag once;
    static std::vector<float> bank;
    std::call_once(once, [] {
        Twister random(13);
        bank.resize((size_t)kRows * kSamples);
        for (float& x : bank) x = random.uniform() * 2.0f - 1.0f;
    });
    return bank.data() + (size_t)(((id % kRows) + kRows) % kRows) * kSamples;
}

void voice_angles(Matrix human, Out out, int threads, const std::string& isa) {
    const int64_t n = human.shape(0);
    check(human.shape(1) == kParams && (int64_t)out.size() == n * 2 * kFramesPadded, "shape");
    const Kernels& k = kernels(isa);
    nb::gil_scoped_release release;
    parallel(n, threads,
             [&](int64_t i) { k.angles(human.data() + i * kParams, out.data() + i * 2 * kFramesPadded); });
}

void voice_render(Matrix human, In<> angle, In<> cosine, Ids noise, Out out, int threads, const std::string& isa) {
    const int64_t n = human.shape(0), lfos = 2 * kFramesPadded;
    check(human.shape(1) == kParams && (int64_t)noise.size() == n && (int64_t)out.size() == n * kSamples &&
              (int64_t)angle.size() == n * lfos && (int64_t)cosine.size() == n * lfos, "shape");
    const Kernels& k = kernels(isa);
    nb::gil_scoped_release release;
    parallel(n, threads, [&](int64_t i) {
        const float* p = human.data() + i * kParams;
        const float* row = p[kMixer + 2] > kAudible ? noise_row(noise.data()[i]) : nullptr;
        k.render(p, angle.data() + i * lfos, cosine.data() + i * lfos, row, out.data() + i * kSamples);
    });
}

using Carries = nb::ndarray<double, nb::c_contig, nb::device::cpu, nb::ndim<3>>;  // sound, block, oscillator

// What the differentiable path works on, and each sound's share of it.
struct Controlled {
    In<> signals;
    Matrix scalars;
    Ids noise;
    Carries carries;

    int64_t size(const Kernels& k) const {
        const int64_t n = scalars.shape(0);
        check(scalars.shape(1) == kScalars && (int64_t)signals.size() == n * 5 * kFramesPadded &&
                  (int64_t)noise.size() == n && (int64_t)carries.size() == n * 2 * (kSamples / k.block), "shape");
        return n;
    }
    const float* signal(int64_t i) const { return signals.data() + i * 5 * kFramesPadded; }
    const float* scalar(int64_t i) const { return scalars.data() + i * kScalars; }
    const float* row(int64_t i) const {
        return scalar(i)[kScalars - 1] > kAudible ? noise_row(noise.data()[i]) : nullptr;
    }
    double* carry(int64_t i) const { return carries.data() + i * carries.shape(1) * 2; }
};

void voice_audio(In<> signals, Matrix scalars, Ids noise, Carries carries, Out out, Out peak, int threads,
                 const std::string& isa) {
    const Kernels& k = kernels(isa);
    const Controlled c{signals, scalars, noise, carries};
    const int64_t n = c.size(k);
    check((int64_t)out.size() == n * kSamples && (int64_t)peak.size() == n, "shape");
    nb::gil_scoped_release release;
    parallel(n, threads, [&](int64_t i) {
        k.audio(c.signal(i), c.scalar(i), c.row(i), out.data() + i * kSamples, peak.data() + i, c.carry(i));
    });
}

void voice_audio_backward(In<> signals, Matrix scalars, Ids noise, Carries carries, In<> out, In<> peak, Out grad,
                          Out d_signals, Out d_scalars, int threads, const std::string& isa) {
    const Kernels& k = kernels(isa);
    const Controlled c{signals, scalars, noise, carries};
    const int64_t n = c.size(k);
    check((int64_t)out.size() == n * kSamples && (int64_t)peak.size() == n && grad.size() == out.size() &&
              d_signals.size() == signals.size() && d_scalars.size() == scalars.size(), "shape");
    nb::gil_scoped_release release;
    parallel(n, threads, [&](int64_t i) {
        k.audio_backward(c.signal(i), c.scalar(i), c.row(i), out.data() + i * kSamples, peak.data()[i], c.carry(i),
                         grad.data() + i * kSamples, d_signals.data() + i * 5 * kFramesPadded,
                         d_scalars.data() + i * kScalars);
    });
}

void voice_params(Ids ids, Out out, int count) {
    check((int64_t)out.size() == (int64_t)ids.size() * count && count <= 227, "shape");
    nb::gil_scoped_release release;
    for (size_t i = 0; i < ids.size(); ++i) Twister::first((uint32_t)ids.data()[i], out.data() + i * count, count);
}

float* scratch(int64_t floats) {  // this thread's; valid until it asks for more
    thread_local std::vector<float> memory;
    if ((int64_t)memory.size() < floats) memory.resize(floats);
    return memory.data();
}

void mel_features(const MelPlan& plan, Matrix audio, Out out, int threads, const std::string& isa) {
    const int64_t n = audio.shape(0), samples = audio.shape(1);
    const Mel& mel = plan.mel();
    const int64_t size = mel.bands * mel.frames(samples);
    check(samples > 0 && (int64_t)out.size() == n * size, "shape");
    const Kernels& k = kernels(isa);
    nb::gil_scoped_release release;
    parallel(n, threads, [&](int64_t i) {
        k.log_mel(mel, audio.data() + i * samples, samples, scratch(mel.scratch()), out.data() + i * size);
    });
}

// Mean over the plans of the distance of each sound from `targets`, and where `moved` has room how far its spectrum at
// the last plan is from `cumulated`.
void mel_distances(const std::vector<const MelPlan*>& plans, Matrix audio, const std::vector<Matrix>& targets,
                   float range, Out out, Matrix cumulated, float floor, Out moved, int threads,
                   const std::string& isa) {
    const int64_t n = audio.shape(0), samples = audio.shape(1);
    check(samples > 0 && (int64_t)out.size() == n && plans.size() == targets.size() && !plans.empty(), "shape");
    int64_t work = 0, size = 0;
    for (size_t p = 0; p < plans.size(); ++p) {
        const Mel& mel = plans[p]->mel();
        check((int64_t)targets[p].size() == mel.bands * mel.frames(samples), "shape");
        work = std::max(work, mel.scratch()), size = std::max(size, (int64_t)targets[p].size());
    }
    const Mel& last = plans.back()->mel();
    const Transport transport{cumulated.data(), (int64_t)cumulated.shape(1), floor};
    check(!moved.size() || ((int64_t)moved.size() == n && transport.stride >= last.frames(samples) + 2 * kWidest &&
                            (int)cumulated.shape(0) == (last.n_fft / 2 + kGrouped) / kGrouped), "shape");
    const Kernels& k = kernels(isa);
    nb::gil_scoped_release release;
    parallel(n, threads, [&](int64_t i) {
        float *memory = scratch(work + size), total = 0;
        for (size_t p = 0; p < plans.size(); ++p) {
            float* wanted = moved.size() && p + 1 == plans.size() ? moved.data() + i : nullptr;
            total += k.mel_distance(plans[p]->mel(), audio.data() + i * samples, samples, range, targets[p].data(),
                                    transport, wanted, memory, memory + work);
        }
        out.data()[i] = total / (float)plans.size();
    });
}

}  // namespace unsynth

NB_MODULE(_native, m) {
    using namespace unsynth;
    m.def("instruction_sets", [] {
        std::vector<std::string> names;
        for (const Kernels* k : supported()) names.emplace_back(k->name);
        return names;
    });
    m.def("voice_render", &voice_render, nb::arg("human"), nb::arg("angle"), nb::arg("cosine"), nb::arg("noise"),
          nb::arg("out"), nb::arg("threads"), nb::arg("isa") = "");
    m.def("voice_angles", &voice_angles, nb::arg("human"), nb::arg("out"), nb::arg("threads"), nb::arg("isa") = "");
    m.def("voice_audio", &voice_audio, nb::arg("signals"), nb::arg("scalars"), nb::arg("noise"), nb::arg("carries"),
          nb::arg("out"), nb::arg("peak"), nb::arg("threads"), nb::arg("isa") = "");
    m.def("voice_audio_backward", &voice_audio_backward, nb::arg("signals"), nb::arg("scalars"), nb::arg("noise"),
          nb::arg("carries"), nb::arg("out"), nb::arg("peak"), nb::arg("grad"), nb::arg("d_signals"),
          nb::arg("d_scalars"), nb::arg("threads"), nb::arg("isa") = "");
    m.def("voice_blocks", [](const std::string& isa) { return kSamples / kernels(isa).block; }, nb::arg("isa") = "");
    m.attr("voice_frames") = kFramesPadded;
    m.def("borrow", &borrow, nb::arg("rows"), nb::arg("columns"));
    m.def("uniforms", &voice_params, nb::arg("ids"), nb::arg("out"), nb::arg("count"));
    nb::class_<MelPlan>(m, "MelPlan")
        .def("__init__", [](MelPlan* plan, int n_fft, int hop, Matrix filters, float floor) {
            check((int64_t)filters.shape(1) == n_fft / 2 + 1, "shape");
            new (plan) MelPlan(n_fft, hop, filters.data(), (int)filters.shape(0), floor);
        }, nb::arg("n_fft"), nb::arg("hop"), nb::arg("filters"), nb::arg("floor"));
    m.def("mel_supports", &MelPlan::supports, nb::arg("n_fft"));
    m.def("log_mel", &mel_features, nb::arg("plan"), nb::arg("audio"), nb::arg("out"), nb::arg("threads"),
          nb::arg("isa") = "");
    m.def("mel_distance", &mel_distances, nb::arg("plans"), nb::arg("audio"), nb::arg("targets"), nb::arg("range"),
          nb::arg("out"), nb::arg("cumulated"), nb::arg("floor"), nb::arg("moved"), nb::arg("threads"),
          nb::arg("isa") = "");
    m.attr("mel_grouped") = kGrouped;
    m.attr("mel_padding") = 2 * kWidest;
}
