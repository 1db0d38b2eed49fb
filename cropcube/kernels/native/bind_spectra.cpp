#include "binding.hpp"
#include "continuum.hpp"
#include "resample_bands.hpp"

namespace cropcube {

CROPCUBE_DECLARE(void continuum(const Continuum& work, std::size_t first, std::size_t stop, float* scratch,
                                std::int32_t* hull);)
CROPCUBE_DECLARE(void resample_bands(const ResampleBands& work, std::size_t first, std::size_t stop, float* scratch);)

namespace {

using HullKernel = void (*)(const Continuum&, std::size_t, std::size_t, float*, std::int32_t*);
using ResampleKernel = void (*)(const ResampleBands&, std::size_t, std::size_t, float*);

void continuum(Input<float, 3> spectrum, Input<std::int32_t, 1> good, Input<double, 1> centre, bool divides,
               Output<float, 3> found, std::size_t threads, const std::string& variant) {
    const std::size_t bands = spectrum.shape(0), wanted = good.shape(0);
    bool fits = centre.shape(0) == wanted;
    for (std::size_t axis = 0; axis < 3; ++axis) fits &= found.shape(axis) == spectrum.shape(axis);
    if (!fits) throw nb::value_error("shapes do not fit");
    for (std::size_t g = 0; g < wanted; ++g) {
        const std::int64_t band = good.data()[g];
        if (band < 0 || band >= static_cast<std::int64_t>(bands)) throw nb::value_error("no such band");
        if (g > 0 && !(centre.data()[g] > centre.data()[g - 1])) throw nb::value_error("wavelengths do not ascend");
    }
    const Continuum work{spectrum.data(), good.data(), centre.data(), wanted, spectrum.shape(1) * spectrum.shape(2),
                         divides, found.data()};
    const HullKernel kernel = CROPCUBE_FUNCTION(HullKernel, continuum, variant);
    nb::gil_scoped_release release;
    std::vector<std::vector<float>> held(std::max<std::size_t>(1, threads));
    std::vector<std::vector<std::int32_t>> hulls(held.size());
    share((work.cells + HULL_BLOCK - 1) / HULL_BLOCK, threads, [&](std::size_t thread, std::size_t i) {
        held[thread].resize(HULL_BLOCK * wanted);
        hulls[thread].resize(wanted);
        kernel(work, i * HULL_BLOCK, std::min(work.cells, (i + 1) * HULL_BLOCK), held[thread].data(),
               hulls[thread].data());
    });
}

void resample_bands(Input<float, 3> spectrum, Input<float, 3> uncertainty, Input<double, 2> weight,
                    Input<std::int32_t, 2> span, double least, Output<float, 3> found, Output<float, 3> spread,
                    std::size_t threads, const std::string& variant) {
    const std::size_t bands = spectrum.shape(0), targets = weight.shape(0);
    bool fits = weight.shape(1) == bands && span.shape(0) == targets && span.shape(1) == 2 &&
                found.shape(0) == targets && spread.shape(0) == targets && uncertainty.shape(0) == bands;
    for (std::size_t axis = 1; axis < 3; ++axis) {
        const std::size_t size = spectrum.shape(axis);
        fits &= uncertainty.shape(axis) == size && found.shape(axis) == size && spread.shape(axis) == size;
    }
    if (!fits) throw nb::value_error("shapes do not fit");
    for (std::size_t i = 0; i < span.size(); ++i) {
        const std::int64_t band = span.data()[i];
        if (band < 0 || band > static_cast<std::int64_t>(bands)) throw nb::value_error("no such band");
    }
    const ResampleBands work{spectrum.data(), uncertainty.data(), weight.data(), span.data(), bands, targets,
                             spectrum.shape(1) * spectrum.shape(2), least, found.data(), spread.data()};
    const ResampleKernel kernel = CROPCUBE_FUNCTION(ResampleKernel, resample_bands, variant);
    nb::gil_scoped_release release;
    std::vector<std::vector<float>> held(std::max<std::size_t>(1, threads));
    share((work.cells + RESAMPLE_BLOCK - 1) / RESAMPLE_BLOCK, threads, [&](std::size_t thread, std::size_t i) {
        held[thread].resize(resample_scratch(bands));
        kernel(work, i * RESAMPLE_BLOCK, std::min(work.cells, (i + 1) * RESAMPLE_BLOCK), held[thread].data());
    });
}

}  // namespace

void bind_spectra(nb::module_& module) {
    module.def("continuum", &continuum, nb::arg("spectrum").noconvert(), nb::arg("good").noconvert(),
               nb::arg("centre").noconvert(), nb::arg("divides"), nb::arg("found").noconvert(), nb::arg("threads"),
               nb::arg("variant"), "Write the hull of good bands, or the spectrum divided by it, into `found`.");
    module.def("resample_bands", &resample_bands, nb::arg("spectrum").noconvert(), nb::arg("uncertainty").noconvert(),
               nb::arg("weight").noconvert(), nb::arg("span").noconvert(), nb::arg("least"),
               nb::arg("found").noconvert(), nb::arg("spread").noconvert(), nb::arg("threads"), nb::arg("variant"),
               "Write weighted means of bands and their uncertainty into `found` and `spread`.");
}

}  // namespace cropcube
