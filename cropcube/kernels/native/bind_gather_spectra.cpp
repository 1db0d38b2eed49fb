#include <cmath>
#include <optional>

#include <nanobind/stl/optional.h>

#include "binding.hpp"
#include "gather_spectra.hpp"

namespace cropcube {

CROPCUBE_DECLARE(void gather_spectra(const GatherSpectra& work, std::size_t begin, std::size_t end);)

namespace {

using Gatherer = void (*)(const GatherSpectra&, std::size_t, std::size_t);

void gather_spectra(Input<float, 2> source, Input<std::int32_t, 1> pixel, float fill,
                    std::optional<Input<std::uint8_t, 2>> marked, Output<float, 2> planes, std::size_t threads,
                    const std::string& variant) {
    const std::size_t pixels = source.shape(0), bands = source.shape(1), cells = pixel.shape(0);
    const bool marks_fit = !marked || (marked->shape(0) == cells && marked->shape(1) * 8 >= bands);
    if (planes.shape(0) != bands || planes.shape(1) != cells || !marks_fit) throw nb::value_error("shapes do not fit");
    for (std::size_t n = 0; n < cells; ++n) {
        if (pixel(n) >= 0 && static_cast<std::size_t>(pixel(n)) >= pixels) throw nb::value_error("no such pixel");
    }
    const std::vector<float> nothing(bands, NAN);
    const GatherSpectra work{source.data(), bands, pixel.data(), cells, fill,
                             marked ? marked->data() : nullptr, marked ? marked->shape(1) : 0,
                             nothing.data(), planes.data()};
    const Gatherer gather = CROPCUBE_FUNCTION(Gatherer, gather_spectra, variant);
    constexpr std::size_t SHARED = 32 * TURNED;
    nb::gil_scoped_release release;
    share((cells + SHARED - 1) / SHARED, threads, [&](std::size_t, std::size_t i) {
        gather(work, i * SHARED, std::min(cells, (i + 1) * SHARED));
    });
}

}  // namespace

void bind_gather_spectra(nb::module_& module) {
    module.def("gather_spectra", &gather_spectra, nb::arg("source").noconvert(), nb::arg("pixel").noconvert(),
               nb::arg("fill"), nb::arg("marked").noconvert().none(), nb::arg("planes").noconvert(),
               nb::arg("threads"), nb::arg("variant"),
               "Write planes (bands, cells) of spectra (pixels, bands); NaN for no pixel, the fill value and marked bands.");
}

}  // namespace cropcube
