// The continuum of a spectrum: its upper convex hull over the bands that count, by a monotone chain (Andrew 1979), cell
// by cell. A few cells are laid out side by side first, since bands lie planes apart.
#pragma once

#include "dialect.hpp"

namespace cropcube {

struct Continuum {
    const float* spectrum;     // (bands, cells)
    const std::int32_t* good;  // (wanted): the bands that count
    const double* centre;      // (wanted): their wavelengths, ascending
    std::size_t wanted, cells;
    bool divides;              // the spectrum by its hull; else the hull itself is found
    float* found;              // (bands, cells); only good bands are written
};

constexpr std::size_t HULL_BLOCK = 64;  // cells

namespace {

// Places of the hull's points among `count`, into `hull`; returns how many. Points on a straight line are all kept.
CROPCUBE_INLINE std::size_t upper_hull(const double* x, const float* y, std::size_t count, std::int32_t* hull) {
    std::size_t size = 0;
    for (std::size_t n = 0; n < count; ++n) {
        while (size >= 2) {
            const std::size_t a = hull[size - 2], b = hull[size - 1];
            const double rise = static_cast<double>(y[n]) - y[a], middle = static_cast<double>(y[b]) - y[a];
            if (rise * (x[b] - x[a]) <= middle * (x[n] - x[a])) break;  // b is on or above the line from a to n
            --size;
        }
        hull[size++] = static_cast<std::int32_t>(n);
    }
    return size;
}

// Replaces one spectrum by its hull. A hull is concave: it is positive where its ends are.
CROPCUBE_INLINE void raise_to_hull(const Continuum& work, float* y, std::int32_t* hull) {
    const std::size_t count = work.wanted;
    bool sound = count > 0 && y[0] > 0.0f && y[count - 1] > 0.0f;
    for (std::size_t n = 0; n < count; ++n) sound &= y[n] - y[n] == 0.0f;
    if (!sound) {
        for (std::size_t n = 0; n < count; ++n) y[n] = NAN;
        return;
    }
    const double* x = work.centre;
    const std::size_t size = upper_hull(x, y, count, hull);
    for (std::size_t p = 0; p + 1 < size; ++p) {
        const std::size_t a = hull[p], b = hull[p + 1];
        const double begin = y[a], slope = (static_cast<double>(y[b]) - begin) / (x[b] - x[a]);
        for (std::size_t n = a + 1; n < b; ++n) {
            const float line = static_cast<float>(begin + slope * (x[n] - x[a]));
            y[n] = line > y[n] ? line : y[n];  // never below, so that no quotient is above 1
        }
    }
}

// Reduces the cells [first, stop), at most a block.
CROPCUBE_INLINE void hull_cells(const Continuum& work, std::size_t first, std::size_t stop, float* scratch,
                                std::int32_t* hull) {
    const std::size_t count = stop - first, wanted = work.wanted;
    for (std::size_t g = 0; g < wanted; ++g) {
        const float* from = work.spectrum + work.good[g] * work.cells + first;
        for (std::size_t i = 0; i < count; ++i) scratch[i * wanted + g] = from[i];
    }
    for (std::size_t i = 0; i < count; ++i) raise_to_hull(work, scratch + i * wanted, hull);
    for (std::size_t g = 0; g < wanted; ++g) {
        const std::size_t place = work.good[g] * work.cells + first;
        for (std::size_t i = 0; i < count; ++i) {
            const float above = scratch[i * wanted + g];
            const float quotient = work.spectrum[place + i] / above;
            work.found[place + i] = work.divides && above > 0.0f ? quotient : above;
        }
    }
}

}  // namespace
}  // namespace cropcube
