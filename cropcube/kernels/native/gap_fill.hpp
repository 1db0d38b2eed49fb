// Gaps of one series, filled linearly between the values around them; the first and the last value are held beyond.
#pragma once

#include "dialect.hpp"

namespace cropcube {

template <typename T>
struct GapFill {
    const T* values;            // (steps, bands, pixels)
    const std::uint8_t* valid;  // (steps, pixels): shared by the bands
    const double* positions;    // (steps)
    std::size_t steps, bands, pixels;
    T* filled;                  // (steps, bands, pixels)
};

namespace {

CROPCUBE_INLINE std::uint16_t rounded(double value, std::uint16_t) {
    return static_cast<std::uint16_t>(value + 0.5);  // not negative, so cut off is rounded down
}
CROPCUBE_INLINE float rounded(double value, float) { return static_cast<float>(value); }
CROPCUBE_INLINE double rounded(double value, double) { return value; }

template <typename T>
CROPCUBE_INLINE void fill_series(const GapFill<T>& work, std::size_t band, std::size_t pixel) {
    const std::size_t apart = work.bands * work.pixels, first = band * work.pixels + pixel;
    const std::uint8_t* valid = work.valid + pixel;
    const T* values = work.values + first;
    T* filled = work.filled + first;
    std::size_t next = 0;  // step that is not filled yet
    bool seen = false;
    for (std::size_t step = 0; step < work.steps; ++step) {
        if (!valid[step * work.pixels]) continue;
        const T value = values[step * apart];
        const std::size_t before = next - 1;  // of the last value, where there was one
        for (; next < step; ++next) {
            if (!seen) {
                filled[next * apart] = value;
                continue;
            }
            // The product first: a quotient that is a half comes out as exactly a half.
            const double start = static_cast<double>(values[before * apart]), stop = static_cast<double>(value);
            const double since = work.positions[next] - work.positions[before];
            const double span = work.positions[step] - work.positions[before];
            filled[next * apart] = rounded(start + (stop - start) * since / span, T{});
        }
        filled[step * apart] = value;
        next = step + 1;
        seen = true;
    }
    const T last = seen ? values[(next - 1) * apart] : T{};
    for (; next < work.steps; ++next) filled[next * apart] = last;
}

}  // namespace
}  // namespace cropcube
