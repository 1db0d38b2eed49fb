// Percentiles of a pixel's clear observations over all dates: its series is sorted by a network whatever its length, the
// unclear observations last, and each percentile read between two of the sorted values.
#pragma once

#include "between.hpp"
#include "window_median.hpp"

namespace cropcube {

struct Percentiles {
    WindowMedian series;              // one window of all dates; its medians are not made
    const std::int32_t* thousandths;  // (wanted): of the way from the least value to the largest
    const std::int32_t* network;      // (exchanges, 2)
    std::size_t wanted, exchanges;
    std::uint16_t* percentile;        // (wanted, bands, pixels)
};

namespace {

CROPCUBE_INLINE void sort_group(const Percentiles& work, std::int16_t* values) {
    for (std::size_t i = 0; i < work.exchanges; ++i) {
        std::int16_t* low = values + work.network[2 * i] * LANES;
        std::int16_t* high = values + work.network[2 * i + 1] * LANES;
        const Lanes a = load(low), b = load(high);
        store(low, smaller(a, b));
        store(high, larger(a, b));
    }
}

// Reduces the pixels [first, stop). `scratch` has room for scratch_size(dates).
CROPCUBE_INLINE void percentile_pixels(const Percentiles& work, std::size_t first, std::size_t stop,
                                       std::int16_t* scratch) {
    const WindowMedian& series = work.series;
    const std::size_t dates = series.offsets[1];
    for (const std::size_t size = block_size(dates); first < stop; first += size) {
        const Block block(series, 0, first, stop, size, scratch);
        read_mask(block);
        for (std::size_t band = 0; band < series.bands; ++band) {
            lay_out(block, band);
            for (std::size_t at = 0; at < block.count; at += LANES) {
                std::int16_t* values = block.values + at * dates;
                sort_group(work, values);
                for (std::size_t i = 0; i < LANES && at + i < block.count; ++i) {
                    const auto sorted = [&](std::uint32_t rank) -> std::uint32_t {
                        return static_cast<std::uint16_t>(values[rank * LANES + i]) ^ SIGN;
                    };
                    const auto clear = static_cast<std::uint16_t>(block.clear[at + i]);
                    for (std::size_t p = 0; p < work.wanted; ++p) {
                        work.percentile[(p * series.bands + band) * series.pixels + first + at + i] =
                            between(sorted, clear, static_cast<std::uint32_t>(work.thousandths[p]));
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace cropcube
