// Memory for audio that is handed out and comes back: fresh pages cost almost as much as rendering into them.
#pragma once

#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

namespace unsynth {

class Pool {
    static constexpr size_t kKeep = size_t(256) << 20;  // bytes that may wait for their next use
    std::mutex mutex;
    std::multimap<size_t, void*> waiting;
    size_t kept = 0;

public:
    struct Block {
        Pool* pool;
        size_t size;
        void* memory;
    };

    Block take(size_t size) {
        {
            std::lock_guard<std::mutex> lock(mutex);
            auto found = waiting.lower_bound(size);
            if (found != waiting.end() && found->first <= size + size / 4) {
                Block block{this, found->first, found->second};
                kept -= found->first;
                waiting.erase(found);
                return block;
            }
        }
        size = (size + 4095) / 4096 * 4096;
        void* memory = std::aligned_alloc(4096, size);
        if (!memory) throw std::bad_alloc();
        return {this, size, memory};
    }

    void give(const Block& block) {
        std::lock_guard<std::mutex> lock(mutex);
        if (kept + block.size > kKeep) return std::free(block.memory);
        waiting.emplace(block.size, block.memory);
        kept += block.size;
    }
};

}  // namespace unsynth
