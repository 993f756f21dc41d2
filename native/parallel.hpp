// Run a function for every index on several threads, or as many of them as there can be; the calling thread works too,
// and throws what the first that failed has thrown.
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace unsynth {

template <class F>
void parallel(int64_t n, int threads, F f) {
    std::atomic<int64_t> next{0};
    std::exception_ptr failed;
    std::once_flag once;
    auto work = [&] {
        try {
            for (int64_t i; (i = next.fetch_add(1)) < n;) f(i);
        } catch (...) {
            std::call_once(once, [&] { failed = std::current_exception(); });
            next = n;
        }
    };
    std::vector<std::thread> helpers;
    try {
        for (int64_t i = 1; i < std::min<int64_t>(threads, n); ++i) helpers.emplace_back(work);
    } catch (const std::system_error&) {  // a limit on threads or memory: the others do all of it
    }
    work();
    for (auto& t : helpers) t.join();
    if (failed) std::rethrow_exception(failed);
}

}  // namespace unsynth
