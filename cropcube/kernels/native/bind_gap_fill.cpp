#include "binding.hpp"
#include "gap_fill.hpp"

namespace cropcube {
namespace {

constexpr std::size_t SHARE = 4096;  // series that a thread takes at once
constexpr std::size_t SIDE = 32;     // pixels of them whose lines stay in the cache together

// Nothing here is faster with other instructions: one set for all processors.
template <typename T>
void gap_fill(Input<T, 3> values, Input<bool, 2> valid, Input<double, 1> positions, Output<T, 3> filled,
              std::size_t threads) {
    const std::size_t steps = values.shape(0), bands = values.shape(1), pixels = values.shape(2);
    const bool fits = valid.shape(0) == steps && valid.shape(1) == pixels && positions.shape(0) == steps &&
                      filled.shape(0) == steps && filled.shape(1) == bands && filled.shape(2) == pixels;
    if (!fits) throw nb::value_error("shapes do not fit");
    const auto* mask = reinterpret_cast<const std::uint8_t*>(valid.data());
    const GapFill<T> work{values.data(), mask, positions.data(), steps, bands, pixels, filled.data()};
    nb::gil_scoped_release release;
    share((pixels + SHARE - 1) / SHARE, threads, [&](std::size_t, std::size_t i) {
        const std::size_t stop = std::min(pixels, (i + 1) * SHARE);
        for (std::size_t first = i * SHARE; first < stop; first += SIDE) {
            for (std::size_t band = 0; band < bands; ++band) {
                for (std::size_t pixel = first; pixel < std::min(stop, first + SIDE); ++pixel) {
                    fill_series(work, band, pixel);
                }
            }
        }
    });
}

template <typename T>
void define(nb::module_& module) {
    module.def("gap_fill", &gap_fill<T>, nb::arg("values").noconvert(), nb::arg("valid").noconvert(),
               nb::arg("positions").noconvert(), nb::arg("filled").noconvert(), nb::arg("threads"),
               "Write values (step, band, pixel) with their gaps filled into the last array.");
}

}  // namespace

void bind_gap_fill(nb::module_& module) {
    define<std::uint16_t>(module);
    define<float>(module);
    define<double>(module);
}

}  // namespace cropcube
