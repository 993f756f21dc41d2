// Python bindings: choose the instruction set, spread sounds over threads with the GIL released.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <mutex>
#include <stdexcept>
#include <string>

#include "parallel.hpp"
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
using Vector = In<nb::ndim<1>>;
using Ids = nb::ndarray<const int64_t, nb::c_contig, nb::device::cpu, nb::ndim<1>>;
using Out = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

void check(bool good, const char* what) {
    if (!good) throw std::invalid_argument(what);
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

struct Ranges {
    Vector low, high, curve, symmetric;
    Curves curves() const { return {low.data(), high.data(), curve.data(), symmetric.data()}; }
};

void voice_render(Matrix params, Ids noise, const Ranges& ranges, Out out, int threads, const std::string& isa) {
    const int64_t n = params.shape(0);
    check(params.shape(1) == kParams && (int64_t)noise.size() == n && (int64_t)out.size() == n * kSamples, "shape");
    const Kernels& k = kernels(isa);
    const Curves curves = ranges.curves();
    nb::gil_scoped_release release;
    parallel(n, threads, [&](int64_t i) {
        const float* p = params.data() + i * kParams;
        const float* row = p[kMixer + 2] > 0.5f ? noise_row(noise.data()[i]) : nullptr;  // else below 1e-12
        k.render(curves, p, row, out.data() + i * kSamples);
    });
}

void voice_params(Ids ids, Out out, int count) {
    check((int64_t)out.size() == (int64_t)ids.size() * count && count <= 227, "shape");
    nb::gil_scoped_release release;
    for (size_t i = 0; i < ids.size(); ++i) Twister::first((uint32_t)ids.data()[i], out.data() + i * count, count);
}

void elementwise(const std::string& name, Vector x, Vector y, Out out, const std::string& isa) {
    const Kernels& k = kernels(isa);
    const int n = (int)x.size();
    if (name == "cos") k.cos_exact(x.data(), out.data(), n);
    else if (name == "pow") k.pow_exact(x.data(), y.data(), out.data(), n);
    else if (name == "log2") k.log2_exact(x.data(), out.data(), n);
    else k.exp2_exact(x.data(), out.data(), n);
}

}  // namespace unsynth

NB_MODULE(_native, m) {
    using namespace unsynth;
    nb::class_<Ranges>(m, "Ranges").def(nb::init<Vector, Vector, Vector, Vector>());
    m.def("instruction_sets", [] {
        std::vector<std::string> names;
        for (const Kernels* k : supported()) names.emplace_back(k->name);
        return names;
    });
    m.def("voice_render", &voice_render, nb::arg("params"), nb::arg("noise"), nb::arg("ranges"), nb::arg("out"),
          nb::arg("threads"), nb::arg("isa") = "");
    m.def("uniforms", &voice_params, nb::arg("ids"), nb::arg("out"), nb::arg("count"));
    m.def("elementwise", &elementwise, nb::arg("name"), nb::arg("x"), nb::arg("y"), nb::arg("out"), nb::arg("isa") = "");
}
