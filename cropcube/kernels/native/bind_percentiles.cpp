#include "binding.hpp"
#include "percentiles.hpp"

namespace cropcube {

CROPCUBE_DECLARE(void percentiles(const Percentiles& work, std::size_t first, std::size_t stop, std::int16_t* scratch);)

namespace {

using Kernel = void (*)(const Percentiles&, std::size_t, std::size_t, std::int16_t*);

constexpr std::size_t SHARE = WIDE_BLOCK;  // pixels that a thread takes at once

void percentiles(Input<std::uint16_t, 4> reflectance, Input<bool, 3> valid, Input<std::int32_t, 1> thousandths,
                 Input<std::int32_t, 2> network, Output<std::uint16_t, 4> percentile,
                 Output<std::uint16_t, 2> clear_count, std::size_t threads, const std::string& variant) {
    const std::size_t dates = reflectance.shape(0), bands = reflectance.shape(1);
    const std::size_t height = reflectance.shape(2), width = reflectance.shape(3), wanted = thousandths.shape(0);
    const bool fits = valid.shape(0) == dates && valid.shape(1) == height && valid.shape(2) == width &&
                      network.shape(1) == 2 && percentile.shape(0) == wanted && percentile.shape(1) == bands &&
                      percentile.shape(2) == height && percentile.shape(3) == width &&
                      clear_count.shape(0) == height && clear_count.shape(1) == width && dates <= INT16_MAX;
    if (!fits) throw nb::value_error("shapes do not fit");
    for (std::size_t i = 0; i < wanted; ++i) {
        if (thousandths.data()[i] < 0 || thousandths.data()[i] > 1000) throw nb::value_error("not 0 to 1000");
    }
    for (std::size_t i = 0; i < network.size(); ++i) {
        const std::int32_t place = network.data()[i];
        if (place < 0 || place >= static_cast<std::int64_t>(dates)) throw nb::value_error("network outside the dates");
    }
    std::vector<std::int32_t> order(dates);
    for (std::size_t t = 0; t < dates; ++t) order[t] = static_cast<std::int32_t>(t);
    const std::int32_t offsets[2] = {0, static_cast<std::int32_t>(dates)};
    const auto* mask = reinterpret_cast<const std::uint8_t*>(valid.data());
    const std::size_t pixels = height * width;
    const WindowMedian series{reflectance.data(), mask, order.data(), offsets, bands, pixels, 1, nullptr,
                              clear_count.data()};
    const Percentiles work{series, thousandths.data(), network.data(), wanted, network.shape(0), percentile.data()};
    const Kernel kernel = CROPCUBE_FUNCTION(Kernel, percentiles, variant);
    nb::gil_scoped_release release;
    std::vector<std::vector<std::int16_t>> held(std::max<std::size_t>(1, threads));
    share((pixels + SHARE - 1) / SHARE, threads, [&](std::size_t thread, std::size_t i) {
        held[thread].resize(scratch_size(dates));
        kernel(work, i * SHARE, std::min(pixels, (i + 1) * SHARE), held[thread].data());
    });
}

}  // namespace

void bind_percentiles(nb::module_& module) {
    module.def("percentiles", &percentiles, nb::arg("reflectance").noconvert(), nb::arg("valid").noconvert(),
               nb::arg("thousandths").noconvert(), nb::arg("network").noconvert(), nb::arg("percentile").noconvert(),
               nb::arg("clear_count").noconvert(), nb::arg("threads"), nb::arg("variant"),
               "Write percentiles and the number of clear dates into the last two arrays.");
}

}  // namespace cropcube
