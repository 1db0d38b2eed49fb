#include <memory>

#include "binding.hpp"
#include "harmonic_fit.hpp"

namespace cropcube {

CROPCUBE_DECLARE(void harmonic_fit(const HarmonicFit<std::uint16_t>& work, std::size_t first, std::size_t stop, void* scratch);
                 void harmonic_fit(const HarmonicFit<float>& work, std::size_t first, std::size_t stop, void* scratch);
                 void harmonic_fit(const HarmonicFit<double>& work, std::size_t first, std::size_t stop, void* scratch);)

namespace {

template <typename T>
using Fitter = void (*)(const HarmonicFit<T>&, std::size_t, std::size_t, void*);

constexpr std::size_t ALIGNED = 64;

template <typename T>
void harmonic_fit(Input<T, 4> reflectance, Input<bool, 3> valid, Input<double, 2> design, double ridge, double limit,
                  Output<float, 4> coefficient, Output<float, 3> rmse, Output<std::uint16_t, 2> clear_count,
                  std::size_t threads, const std::string& variant) {
    const std::size_t dates = reflectance.shape(0), bands = reflectance.shape(1);
    const std::size_t height = reflectance.shape(2), width = reflectance.shape(3), terms = coefficient.shape(0);
    const bool fits = valid.shape(0) == dates && valid.shape(1) == height && valid.shape(2) == width &&
                      terms >= 3 && terms <= MOST_TERMS && design.shape(0) == dates &&
                      design.shape(1) == static_cast<std::size_t>(columns_of(static_cast<int>(terms))) &&
                      coefficient.shape(1) == bands && coefficient.shape(2) == height &&
                      coefficient.shape(3) == width && rmse.shape(0) == bands && rmse.shape(1) == height &&
                      rmse.shape(2) == width && clear_count.shape(0) == height && clear_count.shape(1) == width;
    if (!fits || dates > UINT16_MAX) throw nb::value_error("shapes do not fit");
    const Fitter<T> fitter = CROPCUBE_FUNCTION(Fitter<T>, harmonic_fit, variant);
    const HarmonicFit<T> work{reflectance.data(), reinterpret_cast<const std::uint8_t*>(valid.data()), design.data(),
                              dates, bands, height * width, static_cast<int>(terms), ridge, limit,
                              coefficient.data(), rmse.data(), clear_count.data()};
    const std::size_t scratch = fit_scratch<T>(dates, work.terms) + ALIGNED;
    nb::gil_scoped_release release;
    std::vector<std::vector<char>> held(std::max<std::size_t>(1, threads));
    share((work.pixels + FITTED_TOGETHER - 1) / FITTED_TOGETHER, threads, [&](std::size_t thread, std::size_t i) {
        held[thread].resize(scratch);
        void* room = held[thread].data();
        std::size_t left = scratch;
        std::align(ALIGNED, scratch - ALIGNED, room, left);
        fitter(work, i * FITTED_TOGETHER, std::min(work.pixels, (i + 1) * FITTED_TOGETHER), room);
    });
}

}  // namespace

void bind_harmonic_fit(nb::module_& module) {
    const auto bind = [&](auto function) {
        module.def("harmonic_fit", function, nb::arg("reflectance").noconvert(), nb::arg("valid").noconvert(),
                   nb::arg("design").noconvert(), nb::arg("ridge"), nb::arg("limit"),
                   nb::arg("coefficient").noconvert(), nb::arg("rmse").noconvert(), nb::arg("clear_count").noconvert(),
                   nb::arg("threads"), nb::arg("variant"),
                   "Write coefficients, root mean squared residuals and clear dates into the last three arrays.");
    };
    bind(&harmonic_fit<std::uint16_t>);
    bind(&harmonic_fit<float>);
    bind(&harmonic_fit<double>);
}

}  // namespace cropcube
