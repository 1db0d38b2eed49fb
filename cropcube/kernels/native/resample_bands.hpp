// Broader bands of narrow ones: weighted means, a block of cells at a time. Sums are float64 and run over bands, a cell a
// lane, so every instruction set gives the same bits.
#pragma once

#include "wide_floats.hpp"

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

constexpr std::size_t RESAMPLE_BLOCK = 32;  // cells

// Floats of scratch: of each band where it has a value, the value and its variance.
inline std::size_t resample_scratch(std::size_t bands) { return 3 * bands * RESAMPLE_BLOCK; }

namespace {

// Lays the bands of a block out side by side: planes lie apart by a power of two, and would push each other out of the
// cache where several targets need the same.
CROPCUBE_INLINE void lay_out_bands(const ResampleBands& work, std::size_t first, std::size_t count, float* scratch) {
    for (std::size_t band = 0; band < work.bands; ++band) {
        float* known = scratch + 3 * band * RESAMPLE_BLOCK;
        for (std::size_t at = 0; at < RESAMPLE_BLOCK; at += FLOATS) {
            const std::size_t left = at < count ? count - at : 0;
            const std::size_t from = band * work.cells + first + (left > 0 ? at : 0);
            const Floats value = load_floats(work.spectrum + from, left), s = load_floats(work.uncertainty + from, left);
            const Where has = are_values(value);
            put(known + at, pick(has, every(1.0f), Floats{}));
            put(known + RESAMPLE_BLOCK + at, pick(has, value, Floats{}));
            put(known + 2 * RESAMPLE_BLOCK + at, pick(has, pick(are_stated(s), s * s, every(NAN)), Floats{}));
        }
    }
}

// Reduces the cells [first, stop), at most a block.
CROPCUBE_INLINE void resample_cells(const ResampleBands& work, std::size_t first, std::size_t stop, float* scratch) {
    constexpr std::size_t WIDE = RESAMPLE_BLOCK / DOUBLES;
    const std::size_t count = stop - first;
    lay_out_bands(work, first, count, scratch);
    for (std::size_t n = 0; n < work.targets; ++n) {
        Doubles there[WIDE] = {}, sum[WIDE] = {}, variance[WIDE] = {};
        for (std::int32_t band = work.span[2 * n]; band < work.span[2 * n + 1]; ++band) {
            const double single = work.weight[n * work.bands + band];
            if (single == 0.0) continue;  // a bad band may hold anything
            const Doubles weight = all_of(single), square = all_of(single * single);
            const float* known = scratch + 3 * band * RESAMPLE_BLOCK;
            for (std::size_t i = 0; i < WIDE; ++i) {
                there[i] += weight * widen(known + i * DOUBLES);
                sum[i] += weight * widen(known + RESAMPLE_BLOCK + i * DOUBLES);
                variance[i] += square * widen(known + 2 * RESAMPLE_BLOCK + i * DOUBLES);
            }
        }
        for (std::size_t i = 0; i < count; ++i) {
            const double whole = lane(there[i / DOUBLES], i % DOUBLES);
            const double mean = lane(sum[i / DOUBLES], i % DOUBLES) / whole;
            const double s = std::sqrt(lane(variance[i / DOUBLES], i % DOUBLES)) / whole;
            const bool enough = whole >= work.least;
            work.found[n * work.cells + first + i] = enough ? static_cast<float>(mean) : NAN;
            work.spread[n * work.cells + first + i] = enough && s - s == 0.0 ? static_cast<float>(s) : NAN;
        }
    }
}

}  // namespace
}  // namespace cropcube
