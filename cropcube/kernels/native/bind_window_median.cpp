#include "grouping.hpp"
#include "window_median.hpp"

namespace cropcube {

CROPCUBE_DECLARE(void window_median(const WindowMedian& work, std::size_t first, std::size_t stop, std::int16_t* scratch);)

namespace {

using Kernel = void (*)(const WindowMedian&, std::size_t, std::size_t, std::int16_t*);

constexpr std::size_t SHARE = WIDE_BLOCK;  // pixels that a thread takes at once

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

}  // namespace

void bind_window_median(nb::module_& module) {
    module.def("window_median", &window_median, nb::arg("reflectance").noconvert(), nb::arg("valid").noconvert(),
               nb::arg("window").noconvert(), nb::arg("median").noconvert(), nb::arg("clear_count").noconvert(),
               nb::arg("threads"), nb::arg("variant"),
               "Write the median and the number of clear dates of each window into the last two arrays.");
}

}  // namespace cropcube
