// What one CUDA thread reads: neighbouring pixels of a row, which a warp reads whole lines of.
#pragma once

#include "lanes.hpp"

namespace cropcube {
namespace {

// The arguments of the median kernels. Dates are grouped by window, as in window_median.hpp; `pixels` lie in one row;
// bands * pixels fits into 32 bits.
struct Windows {
    const std::uint16_t* reflectance;  // (dates, bands, pixels)
    const std::uint8_t* valid;         // (dates, pixels)
    const std::int32_t* dates;
    const std::int32_t* offsets;       // (windows + 1)
    std::size_t bands, pixels;
    std::uint16_t* median;             // (windows, bands, pixels)
    std::uint16_t* clear_count;        // (windows, pixels)
};

// `PIXELS` (1 or 2) neighbours of one window; `at` is the first. Two are read at once where `PAIRED`: all rows begin at
// a multiple of four bytes. Where `STEADY`, each window's dates follow one another, and no index is read for a date.
template <int PIXELS, bool PAIRED, bool STEADY>
struct Series {
    const Windows& of;
    std::size_t at;
    int window, number;
    const std::int32_t* dates;
    std::uint32_t values_apart, masks_apart;  // dates: 32 bits, so that an address is one multiplication

    CROPCUBE_METHOD Series(const Windows& work, std::size_t first, int which)
        : of(work), at(first), window(which), number(work.offsets[which + 1] - work.offsets[which]),
          dates(work.dates + work.offsets[which]), values_apart(static_cast<std::uint32_t>(work.bands * work.pixels)),
          masks_apart(static_cast<std::uint32_t>(work.pixels)) {}

    CROPCUBE_METHOD bool second() const { return PIXELS == 2 && (PAIRED || at + 1 < of.pixels); }

    CROPCUBE_METHOD std::size_t first_date() const { return STEADY && number > 0 ? dates[0] : 0; }
    CROPCUBE_METHOD std::uint32_t date(int k) const { return static_cast<std::uint32_t>(STEADY ? k : dates[k]); }

    // Where a band's values begin, for values().
    CROPCUBE_METHOD const std::uint16_t* band(std::size_t number) const {
        return of.reflectance + (first_date() * of.bands + number) * of.pixels + at;
    }

    // Values of one date: the first pixel's in the low half, the second's in the high one.
    CROPCUBE_METHOD std::uint32_t values(int k, const std::uint16_t* band) const {
        const std::uint16_t* from = band + static_cast<std::size_t>(date(k)) * values_apart;
        if (PIXELS == 2 && PAIRED) return *reinterpret_cast<const std::uint32_t*>(from);
        return from[0] | (second() ? static_cast<std::uint32_t>(from[1]) << 16 : 0u);
    }

    // Bit 0 where the first pixel is clear on a date, bit 1 where the second is.
    CROPCUBE_METHOD std::uint32_t clear(int k) const {
        const std::uint8_t* from = of.valid + first_date() * of.pixels + at + static_cast<std::size_t>(date(k)) * masks_apart;
        if (PIXELS == 2 && PAIRED) {
            const std::uint32_t both = *reinterpret_cast<const std::uint16_t*>(from);
            return (both & 0xff ? 1u : 0u) | (both >> 8 ? 2u : 0u);
        }
        return (from[0] ? 1u : 0u) | (second() && from[1] ? 2u : 0u);
    }

    CROPCUBE_METHOD void write_clear(int first, int next) const {
        std::uint16_t* to = of.clear_count + window * of.pixels + at;
        to[0] = static_cast<std::uint16_t>(first);
        if (second()) to[1] = static_cast<std::uint16_t>(next);
    }

    CROPCUBE_METHOD void write(std::size_t band, std::uint32_t pair) const {
        std::uint16_t* to = of.median + (window * of.bands + band) * of.pixels + at;
        if (PIXELS == 2 && PAIRED) {
            *reinterpret_cast<std::uint32_t*>(to) = pair;
            return;
        }
        to[0] = static_cast<std::uint16_t>(pair);
        if (second()) to[1] = static_cast<std::uint16_t>(pair >> 16);
    }
};

// The bands that a thread does, of `each` a thread.
struct Bands {
    std::size_t first, stop;
    CROPCUBE_METHOD Bands(std::size_t number, std::size_t each) : first(blockIdx.z * each), stop(first + each) {
        stop = stop < number ? stop : number;
    }
};

}  // namespace
}  // namespace cropcube
