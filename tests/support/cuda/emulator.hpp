// Runs a CUDA kernel on the processor: blocks one after another, the threads of a block as fibres, so that
// __syncthreads() waits for all of them. Included before a .cu file, which then is plain C++.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#define __host__
#define __device__
#define __global__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)

struct dim3 {
    unsigned x, y, z;
};
static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

constexpr std::size_t STACK = 1 << 17, SHARED = 48 * 1024;
alignas(64) static unsigned char shared[SHARED + 64];
static ucontext_t scheduler;

struct Fibre {
    ucontext_t context;
    dim3 index;
    bool done;
};
static Fibre* running;

template <typename Run>
struct Body {
    static const Run* run;
    static void enter() {
        (*run)();
        running->done = true;
        swapcontext(&running->context, &scheduler);
    }
};
template <typename Run>
const Run* Body<Run>::run = nullptr;

// Runs one block; false where its threads wrote past the shared memory that it was given.
template <typename Run>
bool run_block(std::vector<Fibre>& fibres, std::vector<char>& stacks, std::size_t bytes, const Run& run) {
    std::memset(shared, 0xa5, sizeof shared);
    Body<Run>::run = &run;
    for (std::size_t i = 0; i < fibres.size(); ++i) {
        getcontext(&fibres[i].context);
        fibres[i].context.uc_stack.ss_sp = stacks.data() + i * STACK;
        fibres[i].context.uc_stack.ss_size = STACK;
        fibres[i].context.uc_link = nullptr;
        fibres[i].index = {static_cast<unsigned>(i), 0, 0};
        fibres[i].done = false;
        makecontext(&fibres[i].context, &Body<Run>::enter, 0);
    }
    for (bool left = true; left;) {
        left = false;
        for (Fibre& fibre : fibres) {
            if (fibre.done) continue;
            running = &fibre;
            threadIdx = fibre.index;
            swapcontext(&scheduler, &fibre.context);
            left = left || !fibre.done;
        }
    }
    for (std::size_t i = bytes; i < sizeof shared; ++i) {
        if (shared[i] != 0xa5) return false;
    }
    return true;
}

template <typename... A, std::size_t... I>
bool launch(void (*kernel)(A...), const unsigned* grid, unsigned block, std::size_t bytes, void** arguments,
            std::index_sequence<I...>) {
    if (bytes > SHARED) return false;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block, 1, 1};
    std::vector<Fibre> fibres(block);
    std::vector<char> stacks(block * STACK);
    for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z) {
        for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y) {
            for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x) {
                const auto run = [&] { kernel(*static_cast<std::remove_reference_t<A>*>(arguments[I])...); };
                if (!run_block(fibres, stacks, bytes, run)) return false;
            }
        }
    }
    return true;
}

template <typename... A>
bool launch(void (*kernel)(A...), const unsigned* grid, unsigned block, std::size_t bytes, void** arguments) {
    return launch(kernel, grid, block, bytes, arguments, std::index_sequence_for<A...>{});
}

}  // namespace emulator

static inline void __syncthreads() { swapcontext(&emulator::running->context, &emulator::scheduler); }

#define CROPCUBE_SHARED(type, name) type* name = reinterpret_cast<type*>(emulator::shared)
#define CROPCUBE_KERNEL(name)                                                                                      \
    extern "C" bool emulate(const unsigned* grid, unsigned block, std::size_t bytes, void** arguments) {           \
        return emulator::launch(name, grid, block, bytes, arguments);                                              \
    }

// Intrinsics, by their definitions in the CUDA C++ Programming Guide.
static inline int __popc(std::uint32_t word) { return __builtin_popcount(word); }

static inline std::uint32_t __byte_perm(std::uint32_t a, std::uint32_t b, std::uint32_t select) {
    const std::uint64_t both = static_cast<std::uint64_t>(b) << 32 | a;
    std::uint32_t result = 0;
    for (int i = 0; i < 4; ++i) result |= static_cast<std::uint32_t>(both >> 8 * (select >> 4 * i & 7) & 0xff) << 8 * i;
    return result;
}

template <typename Choose>
static inline std::uint32_t each_half(std::uint32_t a, std::uint32_t b, const Choose& choose) {
    const auto half = [](std::uint32_t word, int n) { return static_cast<std::int16_t>(word >> 16 * n); };
    const auto low = static_cast<std::uint16_t>(choose(half(a, 0), half(b, 0)));
    return low | static_cast<std::uint32_t>(static_cast<std::uint16_t>(choose(half(a, 1), half(b, 1)))) << 16;
}
static inline std::uint32_t __vmins2(std::uint32_t a, std::uint32_t b) {
    return each_half(a, b, [](std::int16_t x, std::int16_t y) { return x < y ? x : y; });
}
static inline std::uint32_t __vmaxs2(std::uint32_t a, std::uint32_t b) {
    return each_half(a, b, [](std::int16_t x, std::int16_t y) { return x < y ? y : x; });
}
