// Python module `cropcube.kernels._native`: each bind_*.cpp checks sizes, picks the instruction set and shares the work
// of one kernel among threads.
#include "binding.hpp"

namespace cropcube {

void bind_clear_mask(nb::module_& module);
void bind_composites(nb::module_& module);
void bind_gap_fill(nb::module_& module);
void bind_gather_spectra(nb::module_& module);
void bind_geomedian(nb::module_& module);
void bind_nearest_pixel(nb::module_& module);
void bind_percentiles(nb::module_& module);
void bind_spectra(nb::module_& module);
void bind_spectral_index(nb::module_& module);
void bind_window_median(nb::module_& module);
void bind_harmonic_fit(nb::module_& module);
void bind_pack_samples(nb::module_& module);
void bind_walk_trees(nb::module_& module);

}  // namespace cropcube

NB_MODULE(_native, module) {
    module.doc() = "Compiled kernels; use cropcube.kernels, which checks what it hands down here.";
    module.def("variants", &cropcube::variants, "Instruction sets that run here, fastest first.");
    cropcube::bind_clear_mask(module);
    cropcube::bind_composites(module);
    cropcube::bind_gap_fill(module);
    cropcube::bind_gather_spectra(module);
    cropcube::bind_geomedian(module);
    cropcube::bind_nearest_pixel(module);
    cropcube::bind_percentiles(module);
    cropcube::bind_spectra(module);
    cropcube::bind_spectral_index(module);
    cropcube::bind_window_median(module);
    cropcube::bind_harmonic_fit(module);
    cropcube::bind_pack_samples(module);
    cropcube::bind_walk_trees(module);
}
