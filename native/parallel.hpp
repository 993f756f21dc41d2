// Run a function for every index on several threads, or as many of them as there can be; the calling thread works too.
#pragma once

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

namespace unsynth {

template <class F>
void parallel(int64_t n, int threads, F f) {
    std::atomic<int64_t> next{0};
    auto work = [&] {
        for (int64_t i; (i = next.fetch_add(1)) < n;) f(i);
    };
    std::vector<std::thread> helpers;
    try {
        for (int64_t i = 1; i < std::min<int64_t>(threads, n); ++i) helpers.emplace_back(work);
    } catch (const std::system_error&) {  // a limit on threads or memory: the others do all of it
    }
    work();
    for (auto& t : helpers) t.join();
}

}  // namespace unsynth
