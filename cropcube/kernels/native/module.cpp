// Python module `cropcube.kernels._native`: checks sizes, picks the instruction set, shares the pixels among threads.
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

#include "window_median.hpp"

namespace nb = nanobind;

namespace cropcube {

#define CROPCUBE_DECLARE(variant)                                                                         \
    namespace variant {                                                                                   \
    void window_median(const WindowMedian& work, std::size_t first, std::size_t stop, std::int16_t* scratch); \
    }
CROPCUBE_DECLARE(portable)
CROPCUBE_DECLARE(scalar)
#ifdef CROPCUBE_HAS_AVX2
CROPCUBE_DECLARE(avx2)
#endif

namespace {

using Kernel = void (*)(const WindowMedian&, std::size_t, std::size_t, std::int16_t*);

template <typename T, std::size_t N>
using Input = nb::ndarray<const T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;
template <typename T, std::size_t N>
using Output = nb::ndarray<T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;

constexpr std::size_t SHARE = 8 * BLOCK;  // pixels that a thread takes at once

// Instruction sets that this build has and this processor can run, fastest first.
std::vector<std::string> variants() {
    std::vector<std::string> found;
#ifdef CROPCUBE_HAS_AVX2
    if (__builtin_cpu_supports("avx2")) found.push_back("avx2");
#endif
    found.push_back("portable");
    found.push_back("scalar");
    return found;
}

Kernel kernel_of(const std::string& variant) {
    const std::vector<std::string> known = variants();
    if (std::find(known.begin(), known.end(), variant) == known.end()) {
        throw nb::value_error(("variant " + variant + " does not run on this processor").c_str());
    }
#ifdef CROPCUBE_HAS_AVX2
    if (variant == "avx2") return avx2::window_median;
#endif
    return variant == "scalar" ? scalar::window_median : portable::window_median;
}

// Dates grouped by window: a stable counting sort that drops window -1.
struct Grouping {
    std::vector<std::int32_t> dates, offsets;
    std::size_t longest = 0;

    Grouping(const std::int32_t* window, std::size_t count, std::size_t windows) : offsets(windows + 1, 0) {
        for (std::size_t t = 0; t < count; ++t) {
            if (window[t] < -1 || window[t] >= static_cast<std::int64_t>(windows)) {
                throw nb::value_error("window_T has an entry outside -1 .. windows - 1");
            }
            if (window[t] >= 0) ++offsets[window[t] + 1];
        }
        for (std::size_t w = 0; w < windows; ++w) {
            longest = std::max(longest, static_cast<std::size_t>(offsets[w + 1]));
            offsets[w + 1] += offsets[w];
        }
        dates.resize(offsets[windows]);
        std::vector<std::int32_t> next(offsets.begin(), offsets.end() - 1);
        for (std::size_t t = 0; t < count; ++t) {
            if (window[t] >= 0) dates[next[window[t]]++] = static_cast<std::int32_t>(t);
        }
    }
};

// Runs the kernel over all pixels. Which thread takes which pixels changes nothing in the result.
void share(const WindowMedian& work, Kernel kernel, std::size_t longest, std::size_t threads) {
    const std::size_t shares = (work.pixels + SHARE - 1) / SHARE;
    threads = std::max<std::size_t>(1, std::min(threads, shares));
    std::vector<std::vector<std::int16_t>> scratch(threads, std::vector<std::int16_t>(scratch_size(longest)));
    std::atomic<std::size_t> next{0};
    const auto run = [&](std::size_t thread) {
        for (std::size_t i = next++; i < shares; i = next++) {
            kernel(work, i * SHARE, std::min(work.pixels, (i + 1) * SHARE), scratch[thread].data());
        }
    };
    std::vector<std::thread> others;
    others.reserve(threads);
    for (std::size_t thread = 1; thread < threads; ++thread) {
        try {
            others.emplace_back(run, thread);
        } catch (const std::system_error&) {
            break;  // no more threads to be had: those running, and this one, do all the work
        }
    }
    run(0);
    for (std::thread& other : others) other.join();
}

void window_median(Input<std::uint16_t, 4> reflectance, Input<bool, 3> valid, Input<std::int32_t, 1> window,
                   Output<std::uint16_t, 4> median, Output<std::uint16_t, 3> clear_count, std::size_t threads,
                   const std::string& variant) {
    const std::size_t dates = reflectance.shape(0), bands = reflectance.shape(1);
    const std::size_t height = reflectance.shape(2), width = reflectance.shape(3), windows = median.shape(0);
    const bool fits = valid.shape(0) == dates && valid.shape(1) == height && valid.shape(2) == width &&
                      window.shape(0) == dates && median.shape(1) == bands && median.shape(2) == height &&
                      median.shape(3) == width && clear_count.shape(0) == windows &&
                      clear_count.shape(1) == height && clear_count.shape(2) == width;
    if (!fits) throw nb::value_error("shapes do not fit");
    const Grouping groups(window.data(), dates, windows);
    if (groups.longest > INT16_MAX) throw nb::value_error("a window has more than 32767 dates");
    const Kernel kernel = kernel_of(variant.empty() ? variants().front() : variant);
    const WindowMedian work{reflectance.data(),
                            reinterpret_cast<const std::uint8_t*>(valid.data()),
                            groups.dates.data(),
                            groups.offsets.data(),
                            bands,
                            height * width,
                            windows,
                            median.data(),
                            clear_count.data()};
    nb::gil_scoped_release release;
    share(work, kernel, groups.longest, threads);
}

}  // namespace
}  // namespace cropcube

NB_MODULE(_native, module) {
    module.doc() = "Compiled kernels; use cropcube.kernels, which checks what it hands down here.";
    module.def("variants", &cropcube::variants, "Instruction sets that run here, fastest first.");
    module.def("window_median", &cropcube::window_median, nb::arg("reflectance").noconvert(),
               nb::arg("valid").noconvert(), nb::arg("window").noconvert(), nb::arg("median").noconvert(),
               nb::arg("clear_count").noconvert(), nb::arg("threads"), nb::arg("variant"),
               "Write the median and the number of clear dates of each window into the last two arrays.");
}
