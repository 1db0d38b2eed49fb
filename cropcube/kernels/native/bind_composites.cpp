#include "binding.hpp"
#include "composites.hpp"

namespace cropcube {

CROPCUBE_DECLARE(void best_view(const Composites& work, std::size_t first, std::size_t stop, float* scratch);)
CROPCUBE_DECLARE(void median_view(const Composites& work, std::size_t first, std::size_t stop, float* scratch);)
CROPCUBE_DECLARE(void weighted_mean(const Composites& work, std::size_t first, std::size_t stop, float* scratch);)

namespace {

using Kernel = void (*)(const Composites&, std::size_t, std::size_t, float*);

Kernel kernel_of(const std::string& way, const std::string& variant) {
    if (way == "best") return CROPCUBE_FUNCTION(Kernel, best_view, variant);
    if (way == "median") return CROPCUBE_FUNCTION(Kernel, median_view, variant);
    if (way == "mean") return CROPCUBE_FUNCTION(Kernel, weighted_mean, variant);
    throw nb::value_error("no such composite");
}

void check_places(const Input<std::int32_t, 1>& good, std::size_t bands, const Input<std::int32_t, 2>& network,
                  std::size_t dates) {
    for (std::size_t i = 0; i < good.size(); ++i) {
        const std::int64_t band = good.data()[i];
        if (band < 0 || band >= static_cast<std::int64_t>(bands)) throw nb::value_error("no such band");
    }
    for (std::size_t i = 0; i < network.size(); ++i) {
        const std::int64_t place = network.data()[i];
        if (place < 0 || place >= static_cast<std::int64_t>(dates)) throw nb::value_error("network outside the dates");
    }
}

void composite(const std::string& way, Input<float, 4> reflectance, Input<float, 4> uncertainty, Input<bool, 3> clear,
               Input<std::int32_t, 1> good, Input<std::int32_t, 2> network, Output<float, 3> spectrum,
               Output<float, 3> spread, Output<std::int16_t, 2> acquisition, Output<std::uint16_t, 2> clear_count,
               std::size_t threads, const std::string& variant) {
    const std::size_t dates = reflectance.shape(0), bands = reflectance.shape(1);
    const std::size_t height = reflectance.shape(2), width = reflectance.shape(3);
    bool fits = network.shape(1) == 2 && dates <= INT16_MAX;
    for (std::size_t axis = 0; axis < 4; ++axis) fits &= uncertainty.shape(axis) == reflectance.shape(axis);
    for (std::size_t axis = 0; axis < 3; ++axis) {
        fits &= clear.shape(axis) == reflectance.shape(axis == 0 ? 0 : axis + 1);
        fits &= spectrum.shape(axis) == reflectance.shape(axis + 1) && spread.shape(axis) == spectrum.shape(axis);
    }
    for (std::size_t axis = 0; axis < 2; ++axis) {
        fits &= acquisition.shape(axis) == clear.shape(axis + 1) && clear_count.shape(axis) == clear.shape(axis + 1);
    }
    if (!fits) throw nb::value_error("shapes do not fit");
    check_places(good, bands, network, dates);
    const Composites work{reflectance.data(), uncertainty.data(),
                          reinterpret_cast<const std::uint8_t*>(clear.data()), good.data(), network.data(),
                          dates, bands, good.shape(0), height * width, network.shape(0),
                          spectrum.data(), spread.data(), acquisition.data(), clear_count.data()};
    const Kernel kernel = kernel_of(way, variant);
    nb::gil_scoped_release release;
    std::vector<std::vector<float>> held(std::max<std::size_t>(1, threads));
    share((work.cells + COMPOSITE_BLOCK - 1) / COMPOSITE_BLOCK, threads, [&](std::size_t thread, std::size_t i) {
        held[thread].resize(composite_scratch(dates));
        kernel(work, i * COMPOSITE_BLOCK, std::min(work.cells, (i + 1) * COMPOSITE_BLOCK), held[thread].data());
    });
}

}  // namespace

void bind_composites(nb::module_& module) {
    module.def("composite", &composite, nb::arg("way"), nb::arg("reflectance").noconvert(),
               nb::arg("uncertainty").noconvert(), nb::arg("clear").noconvert(), nb::arg("good").noconvert(),
               nb::arg("network").noconvert(), nb::arg("spectrum").noconvert(), nb::arg("spread").noconvert(),
               nb::arg("acquisition").noconvert(), nb::arg("clear_count").noconvert(), nb::arg("threads"),
               nb::arg("variant"), "Write a composite (best, median or mean) into the four arrays before the threads.");
}

}  // namespace cropcube
