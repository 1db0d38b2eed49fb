// From quality classes to what is clear: the classes kept, away from those that spread, and no band without a value.
//
// A row that spreads is widened step by step, a byte a pixel, and each width is added to the rows that the disc reaches
// with it: 4 * radius operations on registers full of bytes for a pixel, whatever lies there.
#pragma once

#include "lanes.hpp"

namespace cropcube {

constexpr std::uint8_t KEPT = 1, SPREADS = 2;

// Dates of a frame of quality pixels, and the part of it, each pixel `repeats` x `repeats` times, that is asked for.
struct ClearMask {
    const std::uint8_t* quality;       // (dates, height, width)
    std::size_t height, width;
    const std::uint8_t* kind;          // (256): KEPT, SPREADS or 0 of each class
    std::size_t radius;                // in quality pixels, between centres
    std::size_t row, col, rows, cols;  // the part, in quality pixels
    std::size_t repeats;
    const std::uint16_t* reflectance;  // (dates, bands, rows * repeats, cols * repeats)
    std::size_t bands;
    std::uint8_t* clear;               // (dates, rows * repeats, cols * repeats)
};

// How far a disc reaches along a row that lies `away` rows from its centre.
CROPCUBE_INLINE std::size_t reach_of(std::size_t radius, std::size_t away) {
    std::size_t reach = 0;
    while ((reach + 1) * (reach + 1) + away * away <= radius * radius) ++reach;
    return reach;
}

#ifndef CROPCUBE_CUDA
// Bytes of scratch that one thread needs: what has spread over the part, and two rows with room beside them.
constexpr std::size_t mask_scratch(std::size_t width, std::size_t radius, std::size_t rows, std::size_t cols) {
    return rows * cols + 2 * width + 2 * radius;
}

namespace {

CROPCUBE_INLINE void add(std::uint8_t* to, const std::uint8_t* from, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<std::uint8_t>(to[i] | from[i]);
}

// Adds what one row of the frame spreads to the rows of the part.
CROPCUBE_INLINE void spread_row(const ClearMask& work, const std::uint8_t* quality, std::size_t y, std::uint8_t* grown,
                                std::uint8_t* padded, std::uint8_t* wide) {
    const std::size_t radius = work.radius, width = work.width;
    std::uint8_t any = 0;
    for (std::size_t x = 0; x < width; ++x) {
        const std::uint8_t spreads = static_cast<std::uint8_t>(work.kind[quality[x]] == SPREADS);
        padded[radius + x] = wide[x] = spreads;
        any = static_cast<std::uint8_t>(any | spreads);
    }
    if (!any) return;
    std::size_t reached = 0;
    for (std::size_t away = radius + 1; away-- > 0;) {
        for (const std::size_t reach = reach_of(radius, away); reached < reach;) {
            ++reached;
            add(wide, padded + radius - reached, width);
            add(wide, padded + radius + reached, width);
        }
        const std::size_t first = work.row, stop = work.row + work.rows;
        if (y + away >= first && y + away < stop) add(grown + (y + away - first) * work.cols, wide + work.col, work.cols);
        if (away > 0 && y >= first + away && y < stop + away) {
            add(grown + (y - away - first) * work.cols, wide + work.col, work.cols);
        }
    }
}

CROPCUBE_INLINE void refuse_zeros(std::uint8_t* clear, const std::uint16_t* values, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        clear[i] = static_cast<std::uint8_t>(clear[i] & static_cast<std::uint8_t>(values[i] != 0));
    }
}

// Makes the mask of one date.
CROPCUBE_INLINE void mask_date(const ClearMask& work, std::size_t date, std::uint8_t* scratch) {
    const std::size_t part = work.rows * work.cols, pixels = part * work.repeats * work.repeats;
    const std::size_t width = work.cols * work.repeats;
    const std::uint8_t* quality = work.quality + date * work.height * work.width;
    std::uint8_t *grown = scratch, *padded = grown + part, *wide = padded + work.width + 2 * work.radius;
    std::memset(scratch, 0, part + work.width + 2 * work.radius);
    const std::size_t top = work.row > work.radius ? work.row - work.radius : 0;
    for (std::size_t y = top; work.radius > 0 && y < work.height && y < work.row + work.rows + work.radius; ++y) {
        spread_row(work, quality + y * work.width, y, grown, padded, wide);
    }
    std::uint8_t* clear = work.clear + date * pixels;
    for (std::size_t y = 0; y < work.rows; ++y) {
        const std::uint8_t* from = quality + (work.row + y) * work.width + work.col;
        std::uint8_t* to = clear + y * work.repeats * width;
        for (std::size_t x = 0; x < work.cols; ++x) {
            const bool kept = work.kind[from[x]] == KEPT && !grown[y * work.cols + x];
            for (std::size_t n = 0; n < work.repeats; ++n) to[x * work.repeats + n] = kept;
        }
        for (std::size_t n = 1; n < work.repeats; ++n) std::memcpy(to + n * width, to, width);
    }
    for (std::size_t band = 0; band < work.bands; ++band) {
        refuse_zeros(clear, work.reflectance + (date * work.bands + band) * pixels, pixels);
    }
}

}  // namespace
#endif
}  // namespace cropcube
