// The kernels for one instruction set. CMake compiles this file once per set, with CROPCUBE_VARIANT its name; it uses
// no library function that could be shared with (and then leak into) a file compiled for a smaller set.
#include "clear_mask.hpp"
#include "gather_spectra.hpp"
#include "composites.hpp"
#include "continuum.hpp"
#include "geomedian.hpp"
#include "harmonic_fit.hpp"
#include "pack_samples.hpp"
#include "percentiles.hpp"
#include "resample_bands.hpp"
#include "spectral_index.hpp"
#include "window_median.hpp"

namespace cropcube::CROPCUBE_VARIANT {

void window_median(const WindowMedian& work, std::size_t first, std::size_t stop, std::int16_t* scratch) {
    reduce_pixels(work, first, stop, scratch);
}

void geomedian(const WindowMedian& work, std::size_t first, std::size_t stop, float* scratch) {
    geomedian_pixels(work, first, stop, scratch);
}

void percentiles(const Percentiles& work, std::size_t first, std::size_t stop, std::int16_t* scratch) {
    percentile_pixels(work, first, stop, scratch);
}

void spectral_index(const SpectralIndices& work, std::size_t step, std::size_t y, float* found) {
    index_rows(work, step, y, found);
}

void index_statistics(const SpectralIndices& work, const std::int32_t* order, const float* days, std::size_t steps,
                      std::size_t y, float* found) {
    statistics_row(work, order, days, steps, y, found);
}

void gather_spectra(const GatherSpectra& work, std::size_t begin, std::size_t end) { gather_cells(work, begin, end); }
void best_view(const Composites& work, std::size_t first, std::size_t stop, float* scratch) {
    best_cells(work, first, stop, scratch);
}

void median_view(const Composites& work, std::size_t first, std::size_t stop, float* scratch) {
    median_cells(work, first, stop, scratch);
}

void weighted_mean(const Composites& work, std::size_t first, std::size_t stop, float* scratch) {
    mean_cells(work, first, stop, scratch);
}

void continuum(const Continuum& work, std::size_t first, std::size_t stop, float* scratch, std::int32_t* hull) {
    hull_cells(work, first, stop, scratch, hull);
}

void resample_bands(const ResampleBands& work, std::size_t first, std::size_t stop, float* scratch) {
    resample_cells(work, first, stop, scratch);
}

void clear_mask(const ClearMask& work, std::size_t date, std::uint8_t* scratch) { mask_date(work, date, scratch); }

void harmonic_fit(const HarmonicFit<std::uint16_t>& work, std::size_t first, std::size_t stop, void* scratch) {
    fit_pixels(work, first, stop, scratch);
}

void harmonic_fit(const HarmonicFit<float>& work, std::size_t first, std::size_t stop, void* scratch) {
    fit_pixels(work, first, stop, scratch);
}

void harmonic_fit(const HarmonicFit<double>& work, std::size_t first, std::size_t stop, void* scratch) {
    fit_pixels(work, first, stop, scratch);
}

void pack_samples(const PackSamples<std::uint16_t, std::uint16_t>& work, std::size_t begin, std::size_t end,
                  std::uint16_t* scratch) {
    pack_block(work, begin, end, scratch);
}

void pack_samples(const PackSamples<std::uint16_t, float>& work, std::size_t begin, std::size_t end,
                  std::uint16_t* scratch) {
    pack_block(work, begin, end, scratch);
}

void pack_samples(const PackSamples<float, float>& work, std::size_t begin, std::size_t end, float* scratch) {
    pack_block(work, begin, end, scratch);
}

void take_scaled(const TakeScaled<std::uint16_t>& work, std::size_t count) { take_rows(work, count); }
void take_scaled(const TakeScaled<float>& work, std::size_t count) { take_rows(work, count); }

}  // namespace cropcube::CROPCUBE_VARIANT
