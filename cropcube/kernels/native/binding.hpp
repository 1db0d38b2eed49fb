// What the bindings share: the types of arguments, the choice of the instruction set, the sharing of work among threads.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace nb = nanobind;

// Declares functions that variant.cpp defines once per instruction set.
#ifdef CROPCUBE_HAS_AVX2
#define CROPCUBE_DECLARE(...)         \
    namespace portable { __VA_ARGS__ } \
    namespace scalar { __VA_ARGS__ }   \
    namespace avx2 { __VA_ARGS__ }
#else
#define CROPCUBE_DECLARE(...)         \
    namespace portable { __VA_ARGS__ } \
    namespace scalar { __VA_ARGS__ }
#endif

namespace cropcube {

#ifndef CROPCUBE_HAS_AVX2
namespace portable {}
namespace avx2 = portable;
#endif

template <typename T, std::size_t N>
using Input = nb::ndarray<const T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;
template <typename T, std::size_t N>
using Output = nb::ndarray<T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;

// Instruction sets that this build has and this processor can run, fastest first.
inline std::vector<std::string> variants() {
    std::vector<std::string> found;
#ifdef CROPCUBE_HAS_AVX2
    if (__builtin_cpu_supports("avx2")) found.push_back("avx2");
#endif
    found.push_back("portable");
    found.push_back("scalar");
    return found;
}

// Which of its instruction sets' functions a name stands for; "" is the fastest.
template <typename Function>
Function of_variant(std::string variant, Function portable, Function scalar, Function avx2) {
    const std::vector<std::string> known = variants();
    if (variant.empty()) variant = known.front();
    if (std::find(known.begin(), known.end(), variant) == known.end()) {
        throw nb::value_error(("variant " + variant + " does not run on this processor").c_str());
    }
    return variant == "avx2" ? avx2 : variant == "scalar" ? scalar : portable;
}
#define CROPCUBE_FUNCTION(type, name, variant) \
    of_variant<type>(variant, portable::name, scalar::name, avx2::name)

// Runs units of work 0 .. count - 1 on threads; `run(thread, unit)`. Which thread takes which changes nothing.
template <typename Run>
void share(std::size_t count, std::size_t threads, const Run& run) {
    threads = std::max<std::size_t>(1, std::min(threads, count));
    std::atomic<std::size_t> next{0};
    const auto work = [&](std::size_t thread) {
        for (std::size_t i = next++; i < count; i = next++) run(thread, i);
    };
    std::vector<std::thread> others;
    others.reserve(threads);
    for (std::size_t thread = 1; thread < threads; ++thread) {
        try {
            others.emplace_back(work, thread);
        } catch (const std::system_error&) {
            break;  // no more threads to be had: those running, and this one, do all the work
        }
    }
    work(0);
    for (std::thread& other : others) other.join();
}

}  // namespace cropcube
