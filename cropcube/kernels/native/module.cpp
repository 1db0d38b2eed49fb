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

#include "pack_samples.hpp"
#include "walk_trees.hpp"
#include "window_median.hpp"

namespace nb = nanobind;

namespace cropcube {

using MediansToFloat = PackSamples<std::uint16_t, float>;
using Medians = PackSamples<std::uint16_t, std::uint16_t>;
using Terms = PackSamples<float, float>;

#define CROPCUBE_DECLARE(variant)                                                                         \
    namespace variant {                                                                                   \
    void window_median(const WindowMedian& work, std::size_t first, std::size_t stop, std::int16_t* scratch); \
    void pack_samples(const Medians&, std::size_t begin, std::size_t end, std::uint16_t* scratch);        \
    void pack_samples(const MediansToFloat&, std::size_t begin, std::size_t end, std::uint16_t* scratch); \
    void pack_samples(const Terms&, std::size_t begin, std::size_t end, float* scratch);                  \
    void take_scaled(const TakeScaled<std::uint16_t>& work, std::size_t count);                           \
    void take_scaled(const TakeScaled<float>& work, std::size_t count);                                   \
    }
CROPCUBE_DECLARE(portable)
CROPCUBE_DECLARE(scalar)
#ifdef CROPCUBE_HAS_AVX2
CROPCUBE_DECLARE(avx2)
#endif

namespace {

using Kernel = void (*)(const WindowMedian&, std::size_t, std::size_t, std::int16_t*);
template <typename T, typename R>
using Packer = void (*)(const PackSamples<T, R>&, std::size_t, std::size_t, T*);
template <typename R>
using Taker = void (*)(const TakeScaled<R>&, std::size_t);

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
#ifndef CROPCUBE_HAS_AVX2
namespace avx2 = portable;
#endif
#define CROPCUBE_FUNCTION(type, name, variant) \
    of_variant<type>(variant, portable::name, scalar::name, avx2::name)

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
    const Kernel kernel = CROPCUBE_FUNCTION(Kernel, window_median, variant);
    const WindowMedian work{reflectance.data(),
                            reinterpret_cast<const std::uint8_t*>(valid.data()),
                            groups.dates.data(),
                            groups.offsets.data(),
                            bands,
                            height * width,
                            windows,
                            median.data(),
                            clear_count.data()};
    const std::size_t scratch = scratch_size(groups.longest);
    nb::gil_scoped_release release;
    std::vector<std::vector<std::int16_t>> held(std::max<std::size_t>(1, threads));
    share((work.pixels + SHARE - 1) / SHARE, threads, [&](std::size_t thread, std::size_t i) {
        held[thread].resize(scratch);
        kernel(work, i * SHARE, std::min(work.pixels, (i + 1) * SHARE), held[thread].data());
    });
}

std::vector<std::uint64_t> inverses_of_spans() {
    std::vector<std::uint64_t> found(MOST_STEPS, 0);
    for (std::uint64_t span = 1; span < MOST_STEPS; ++span) found[span] = (std::uint64_t{1} << 44) / (2 * span) + 1;
    return found;
}

template <typename T, typename R>
void pack_samples(Input<T, 4> source, Input<std::int64_t, 1> pixel, Input<std::int64_t, 1> row,
                  Input<std::int32_t, 1> band, std::size_t first, Output<R, 3> rows, std::size_t threads,
                  const std::string& variant) {
    const std::size_t steps = source.shape(0), bands = source.shape(1), pixels = source.shape(2) * source.shape(3);
    const std::size_t samples = pixel.shape(0), stop = first + rows.shape(2);
    const bool fits = band.shape(0) == bands && row.shape(0) == samples && rows.shape(0) == samples;
    if (!fits || stop > steps || steps > MOST_STEPS) {
        throw nb::value_error("shapes do not fit");
    }
    for (std::size_t b = 0; b < bands; ++b) {
        if (band(b) < 0 || static_cast<std::size_t>(band(b)) >= rows.shape(1)) throw nb::value_error("no such band");
    }
    for (std::size_t n = 0; n < samples; ++n) {
        if (pixel(n) < 0 || static_cast<std::size_t>(pixel(n)) >= pixels) throw nb::value_error("no such pixel");
        if (row(n) < 0 || static_cast<std::size_t>(row(n)) >= samples) throw nb::value_error("no such row");
    }
    static const std::vector<std::uint64_t> inverses = inverses_of_spans();
    const PackSamples<T, R> work{source.data(), pixel.data(), row.data(), band.data(), steps, bands, pixels,
                              first, stop, rows.shape(1), rows.data(), inverses.data()};
    using Function = Packer<T, R>;
    const Function packer = CROPCUBE_FUNCTION(Function, pack_samples, variant);
    const std::size_t scratch = PACKED_TOGETHER * bands * steps;
    constexpr std::size_t SHARED = 8 * PACKED_TOGETHER;
    nb::gil_scoped_release release;
    std::vector<std::vector<T>> held(std::max<std::size_t>(1, threads));
    share((samples + SHARED - 1) / SHARED, threads, [&](std::size_t thread, std::size_t i) {
        held[thread].resize(scratch);
        packer(work, i * SHARED, std::min(samples, (i + 1) * SHARED), held[thread].data());
    });
}

template <typename R>
void take_scaled(Input<R, 2> rows, Input<std::int64_t, 1> which, Input<float, 2> scale, Output<float, 2> taken) {
    const std::size_t length = rows.shape(1), count = which.shape(0);
    if (scale.shape(0) != 2 || scale.shape(1) != length || taken.shape(0) != count || taken.shape(1) != length) {
        throw nb::value_error("shapes do not fit");
    }
    for (std::size_t n = 0; n < count; ++n) {
        if (which(n) < 0 || static_cast<std::size_t>(which(n)) >= rows.shape(0)) throw nb::index_error("no such row");
    }
    const TakeScaled<R> work{rows.data(), which.data(), scale.data(), scale.data() + length, length, taken.data()};
    const Taker<R> taker = CROPCUBE_FUNCTION(Taker<R>, take_scaled, "");
    nb::gil_scoped_release release;
    taker(work, count);
}

// Checks that every walk ends in its own tree: children lie behind their parent and before the next tree.
void check_trees(const Trees& work, std::size_t nodes, std::size_t features, std::size_t columns) {
    for (std::size_t t = 0; t < work.trees; ++t) {
        const std::int64_t begin = work.first[t];
        const std::int64_t end = t + 1 < work.trees ? work.first[t + 1] : static_cast<std::int64_t>(nodes);
        if (begin < 0 || begin >= end || end > static_cast<std::int64_t>(nodes)) throw nb::value_error("no such tree");
        if (work.column[t] < 0 || static_cast<std::size_t>(work.column[t]) >= columns) {
            throw nb::value_error("no such column");
        }
        for (std::int64_t n = begin; n < end; ++n) {
            if (work.left[n] < 0 && work.right[n] < 0) continue;
            const bool inside = work.left[n] > n && work.left[n] < end && work.right[n] > n && work.right[n] < end;
            const bool known = work.feature[n] >= 0 && static_cast<std::size_t>(work.feature[n]) < features;
            if (!inside || !known) throw nb::value_error("a tree leads nowhere");
        }
    }
}

void sum_trees(Input<float, 2> inputs, Input<std::int64_t, 1> first, Input<std::int32_t, 1> column,
               Input<std::int32_t, 1> left, Input<std::int32_t, 1> right, Input<std::int32_t, 1> feature,
               Input<double, 1> threshold, Input<double, 1> value, Output<double, 2> sums, std::size_t threads) {
    const std::size_t nodes = left.shape(0), samples = inputs.shape(0);
    if (first.shape(0) != column.shape(0) || right.shape(0) != nodes || feature.shape(0) != nodes ||
        threshold.shape(0) != nodes || value.shape(0) != nodes || sums.shape(0) != samples) {
        throw nb::value_error("shapes do not fit");
    }
    const Trees work{first.data(), column.data(), first.shape(0), left.data(),
                     right.data(), feature.data(), threshold.data(), value.data()};
    check_trees(work, nodes, inputs.shape(1), sums.shape(1));
    constexpr std::size_t SHARED = 256;
    nb::gil_scoped_release release;
    share((samples + SHARED - 1) / SHARED, threads, [&](std::size_t, std::size_t i) {
        walk_trees(work, inputs.data(), inputs.shape(1), sums.data(), sums.shape(1), i * SHARED,
                   std::min(samples, (i + 1) * SHARED));
    });
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
    const char* packed = "Write rows (samples, bands, steps) of pixels of features (steps, bands, y, x), gaps filled.";
    const auto pack = [&](auto function) {
        module.def("pack_samples", function, nb::arg("source").noconvert(), nb::arg("pixel").noconvert(), nb::arg("row").noconvert(),
                   nb::arg("band").noconvert(), nb::arg("first"), nb::arg("rows").noconvert(), nb::arg("threads"),
                   nb::arg("variant"), packed);
    };
    pack(&cropcube::pack_samples<std::uint16_t, std::uint16_t>);
    pack(&cropcube::pack_samples<std::uint16_t, float>);
    pack(&cropcube::pack_samples<float, float>);
    const auto take = [&](auto function) {
        module.def("take_scaled", function, nb::arg("rows").noconvert(), nb::arg("which").noconvert(),
                   nb::arg("scale").noconvert(), nb::arg("taken").noconvert(),
                   "Write (rows[which] - scale[0]) / scale[1] into the last array.");
    };
    take(&cropcube::take_scaled<std::uint16_t>);
    take(&cropcube::take_scaled<float>);
    module.def("sum_trees", &cropcube::sum_trees, nb::arg("inputs").noconvert(), nb::arg("first").noconvert(),
               nb::arg("column").noconvert(), nb::arg("left").noconvert(), nb::arg("right").noconvert(),
               nb::arg("feature").noconvert(), nb::arg("threshold").noconvert(), nb::arg("value").noconvert(),
               nb::arg("sums").noconvert(), nb::arg("threads"),
               "Add what trees say of samples (samples, features) to sums (samples, columns).");
}
