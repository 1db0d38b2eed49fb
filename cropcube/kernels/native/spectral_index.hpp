// Spectral indices of whole rows (see index_terms.hpp), and what is gathered of them over the dates.
#pragma once

#include "index_terms.hpp"

namespace cropcube {

constexpr std::size_t INDEX_ROOM = 512;  // pixels of a row that are done at once

// What one thread needs beside.
struct IndexScratch {
    float above[INDEX_ROOM], below[INDEX_ROOM], value[INDEX_ROOM];
    double sum[INDEX_ROOM], squares[INDEX_ROOM];  // of IndexSums, field by field
    float least[INDEX_ROOM], most[INDEX_ROOM], day[INDEX_ROOM], number[INDEX_ROOM];
};

namespace {

template <std::size_t FACTOR, bool MASKED>
CROPCUBE_INLINE void read_band(const SpectralIndices& work, const IndexSource& source, const IndexTerm& term,
                               std::size_t step, std::size_t y, std::size_t first, std::size_t count, float* value) {
    const std::size_t plane = work.height * work.width * source.factor * source.factor;
    const std::uint16_t* values = source.values + (step * source.bands + term.band) * plane;
    const std::uint8_t* valid = MASKED ? source.valid + step * plane : nullptr;
    for (std::size_t i = 0; i < count; ++i) {
        value[i] = mean_seen<FACTOR, MASKED>(source, values, valid, y, first + i, work.width);
    }
}

template <bool MASKED>
CROPCUBE_INLINE void read_any(const SpectralIndices& work, const IndexTerm& term, std::size_t step, std::size_t y,
                              std::size_t first, std::size_t count, float* value) {
    const IndexSource& source = work.sources[term.source];
    switch (source.factor) {
        case 1: return read_band<1, MASKED>(work, source, term, step, y, first, count, value);
        case 2: return read_band<2, MASKED>(work, source, term, step, y, first, count, value);
        default: return read_band<0, MASKED>(work, source, term, step, y, first, count, value);
    }
}

// One index of pixels [first, first + count) of a row, at most INDEX_ROOM.
CROPCUBE_INLINE void index_row(const SpectralIndices& work, std::size_t index, std::size_t step, std::size_t y,
                               std::size_t first, std::size_t count, IndexScratch& scratch, float* found) {
    for (std::size_t i = 0; i < count; ++i) scratch.above[i] = work.constants[2 * index];
    for (std::size_t i = 0; i < count; ++i) scratch.below[i] = work.constants[2 * index + 1];
    for (std::int32_t t = work.offsets[index]; t < work.offsets[index + 1]; ++t) {
        const IndexTerm term = work.terms[t];
        if (work.sources[term.source].valid) {
            read_any<true>(work, term, step, y, first, count, scratch.value);
        } else {
            read_any<false>(work, term, step, y, first, count, scratch.value);
        }
        for (std::size_t i = 0; i < count; ++i) {
            scratch.above[i] += term.above * scratch.value[i];
            scratch.below[i] += term.below * scratch.value[i];
        }
    }
    for (std::size_t i = 0; i < count; ++i) found[i] = ratio(scratch.above[i], scratch.below[i]);
}

// All indices of one row of one step into (steps, indices, height, width).
CROPCUBE_INLINE void index_rows(const SpectralIndices& work, std::size_t step, std::size_t y, float* found,
                                IndexScratch& scratch) {
    for (std::size_t index = 0; index < work.indices; ++index) {
        float* row = found + ((step * work.indices + index) * work.height + y) * work.width;
        for (std::size_t first = 0; first < work.width; first += INDEX_ROOM) {
            const std::size_t left = work.width - first, count = left < INDEX_ROOM ? left : INDEX_ROOM;
            index_row(work, index, step, y, first, count, scratch, row + first);
        }
    }
}

// Statistics of all indices of one row over the steps in the order of `order`, into (STATISTICS, indices, height, width).
CROPCUBE_INLINE void statistics_row(const SpectralIndices& work, const std::int32_t* order, const float* days,
                                    std::size_t steps, std::size_t y, float* found, IndexScratch& scratch) {
    const std::size_t plane = work.indices * work.height * work.width;
    for (std::size_t index = 0; index < work.indices; ++index) {
        float* row = found + (index * work.height + y) * work.width;
        for (std::size_t first = 0; first < work.width; first += INDEX_ROOM) {
            const std::size_t left = work.width - first, count = left < INDEX_ROOM ? left : INDEX_ROOM;
            constexpr IndexSums NONE{};
            for (std::size_t i = 0; i < count; ++i) {
                scratch.sum[i] = scratch.squares[i] = 0;
                scratch.least[i] = NONE.least;
                scratch.most[i] = NONE.most;
                scratch.day[i] = scratch.number[i] = 0;
            }
            for (std::size_t k = 0; k < steps; ++k) {
                index_row(work, index, order[k], y, first, count, scratch, scratch.value);
                const float day = days[order[k]];
                for (std::size_t i = 0; i < count; ++i) {
                    gather(scratch.value[i], day, scratch.sum[i], scratch.squares[i], scratch.least[i], scratch.most[i],
                           scratch.day[i], scratch.number[i]);
                }
            }
            for (std::size_t i = 0; i < count; ++i) {
                statistics({scratch.sum[i], scratch.squares[i], scratch.least[i], scratch.most[i], scratch.day[i],
                            scratch.number[i]}, row + first + i, plane);
            }
        }
    }
}

}  // namespace
}  // namespace cropcube
