// Broader bands of narrow ones: weighted means, a block of cells at a time. Sums are float64 and run over bands, a cell a
// lane, so every instruction set gives the same bits.
#pragma once

#include "dialect.hpp"

namespace cropcube {

struct ResampleBands {
    const float* spectrum;      // (bands, cells)
    const float* uncertainty;   // likewise
    const double* weight;       // (targets, bands): a whole response sums to 1
    const std::int32_t* span;   // (targets, 2): the bands from and to which a target has weight
    std::size_t bands, targets, cells;
    double least;               // weight that must be there
    float* found;               // (targets, cells)
    float* spread;              // likewise, its uncertainty
};

constexpr std::size_t RESAMPLE_BLOCK = 64;  // cells

namespace {

// Reduces the cells [first, stop), at most a block.
CROPCUBE_INLINE void resample_cells(const ResampleBands& work, std::size_t first, std::size_t stop) {
    const std::size_t count = stop - first;
    for (std::size_t n = 0; n < work.targets; ++n) {
        double there[RESAMPLE_BLOCK] = {}, sum[RESAMPLE_BLOCK] = {}, variance[RESAMPLE_BLOCK] = {};
        for (std::int32_t band = work.span[2 * n]; band < work.span[2 * n + 1]; ++band) {
            const double weight = work.weight[n * work.bands + band], square = weight * weight;
            if (weight == 0.0) continue;  // a bad band may hold anything
            const float* value = work.spectrum + band * work.cells + first;
            const float* s = work.uncertainty + band * work.cells + first;
            for (std::size_t i = 0; i < count; ++i) {
                const bool known = value[i] - value[i] == 0.0f;
                const double here = value[i], deviation = s[i] > 0.0f ? s[i] : NAN;
                there[i] += known ? weight : 0.0;
                sum[i] += known ? weight * here : 0.0;
                variance[i] += known ? square * (deviation * deviation) : 0.0;
            }
        }
        for (std::size_t i = 0; i < count; ++i) {
            const bool enough = there[i] >= work.least;
            const double s = std::sqrt(variance[i]) / there[i];
            work.found[n * work.cells + first + i] = enough ? static_cast<float>(sum[i] / there[i]) : NAN;
            work.spread[n * work.cells + first + i] = enough && s - s == 0.0 ? static_cast<float>(s) : NAN;
        }
    }
}

}  // namespace
}  // namespace cropcube
