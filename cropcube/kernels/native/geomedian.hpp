// Geometric medians of the clear observations of each window (see geomedian_steps.hpp): of LINE pixels at a time, whose
// values are laid out as float32 first.
#pragma once

#include "geomedian_steps.hpp"
#include "window_median.hpp"

namespace cropcube {

// float32 values of scratch that one thread needs for windows of up to `longest` dates.
constexpr std::size_t geomedian_scratch(std::size_t longest, std::size_t bands) { return LINE * longest * (bands + 1); }

namespace {

// FLOATS pixels of a line.
struct LinePart {
    const float* values;  // (dates, bands, LINE)
    const float* seen;    // (dates, LINE)
    std::size_t bands;

    Floats at(const float* from) const {
        Floats some;
        std::memcpy(&some, from, sizeof some);
        return some;
    }
    Floats operator()(int date, int band) const { return at(values + (date * bands + band) * LINE); }
    Floats clear(int date) const { return at(seen + date * LINE); }
};

template <int BANDS>
CROPCUBE_INLINE void reduce_line(const WindowMedian& work, std::size_t window, std::size_t first, std::size_t count,
                                 float* scratch) {
    const std::int32_t* date = work.dates + work.offsets[window];
    const std::size_t dates = work.offsets[window + 1] - work.offsets[window];
    float *values = scratch, *seen = scratch + LINE * dates * work.bands;
    std::uint16_t* counted = work.clear_count + window * work.pixels + first;
    for (std::size_t i = 0; i < count; ++i) counted[i] = 0;
    for (std::size_t k = 0; k < dates; ++k) {
        const std::uint8_t* valid = work.valid + date[k] * work.pixels + first;
        for (std::size_t i = 0; i < LINE; ++i) seen[k * LINE + i] = i < count && valid[i] ? 1.0f : 0.0f;
        for (std::size_t i = 0; i < count; ++i) counted[i] = static_cast<std::uint16_t>(counted[i] + (valid[i] != 0));
        for (std::size_t band = 0; band < work.bands; ++band) {
            const std::uint16_t* from = work.reflectance + (date[k] * work.bands + band) * work.pixels + first;
            float* to = values + (k * work.bands + band) * LINE;
            for (std::size_t i = 0; i < LINE; ++i) to[i] = i < count ? static_cast<float>(from[i]) : 0.0f;
        }
    }
    for (std::size_t at = 0; at < count; at += FLOATS) {
        using Search = Geomedian<BANDS>;
        Floats centre[Search::HELD];
        const Search search{static_cast<int>(dates), BANDS > 0 ? BANDS : static_cast<int>(work.bands)};
        search.find(LinePart{values + at, seen + at, work.bands}, centre);
        for (std::size_t band = 0; band < work.bands; ++band) {
            float found[FLOATS];
            std::memcpy(found, &centre[band], sizeof found);
            std::uint16_t* to = work.median + (window * work.bands + band) * work.pixels + first + at;
            for (std::size_t i = 0; i < FLOATS && at + i < count; ++i) to[i] = static_cast<std::uint16_t>(found[i] + 0.5f);
        }
    }
}

// Reduces the pixels [first, stop), at most MOST_BANDS bands. `scratch` has room for geomedian_scratch(longest window).
CROPCUBE_INLINE void geomedian_pixels(const WindowMedian& work, std::size_t first, std::size_t stop, float* scratch) {
    for (; first < stop; first += LINE) {
        const std::size_t count = stop - first < LINE ? stop - first : LINE;
        for (std::size_t window = 0; window < work.windows; ++window) {
            switch (work.bands) {
                case 4: reduce_line<4>(work, window, first, count, scratch); break;
                case 6: reduce_line<6>(work, window, first, count, scratch); break;
                case 10: reduce_line<10>(work, window, first, count, scratch); break;
                default: reduce_line<0>(work, window, first, count, scratch);
            }
        }
    }
}

}  // namespace
}  // namespace cropcube
