// Spectral indices of whole rows (see index_terms.hpp), and what is gathered of them over the dates.
#pragma once

#include "index_terms.hpp"

namespace cropcube {

constexpr std::size_t INDEX_ROOM = 512;  // pixels of a row that dates are gathered of at once

namespace {

// All indices of one row of one step into (steps, indices, height, width).
CROPCUBE_INLINE void index_rows(const SpectralIndices& work, std::size_t step, std::size_t y, float* found) {
    for (std::size_t index = 0; index < work.indices; ++index) {
        float* row = found + ((step * work.indices + index) * work.height + y) * work.width;
        const IndexRow bands(work, index, step, y);
        for (std::size_t x = 0; x < work.width; x += FLOATS) {
            store(row + x, index_at(bands, x, work.width - x), work.width - x);
        }
    }
}

// Statistics of all indices of one row over the steps in the order of `order`, into (STATISTICS, indices, height, width).
CROPCUBE_INLINE void statistics_row(const SpectralIndices& work, const std::int32_t* order, const float* days,
                                    std::size_t steps, std::size_t y, float* found) {
    const std::size_t plane = work.indices * work.height * work.width;
    IndexSums sums[INDEX_ROOM / FLOATS];
    for (std::size_t index = 0; index < work.indices; ++index) {
        float* row = found + (index * work.height + y) * work.width;
        for (std::size_t first = 0; first < work.width; first += INDEX_ROOM) {
            const std::size_t left = work.width - first, count = left < INDEX_ROOM ? left : INDEX_ROOM;
            for (std::size_t i = 0; i < count; i += FLOATS) sums[i / FLOATS] = no_sums();
            for (std::size_t k = 0; k < steps; ++k) {
                const IndexRow bands(work, index, order[k], y);
                for (std::size_t i = 0; i < count; i += FLOATS) {
                    gather(sums[i / FLOATS], index_at(bands, first + i, count - i), days[order[k]]);
                }
            }
            for (std::size_t i = 0; i < count; i += FLOATS) {
                Floats made[STATISTICS];
                statistics(sums[i / FLOATS], made);
                for (std::size_t s = 0; s < STATISTICS; ++s) store(row + s * plane + first + i, made[s], count - i);
            }
        }
    }
}

}  // namespace
}  // namespace cropcube
