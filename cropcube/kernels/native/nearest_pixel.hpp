// Which pixel of a swath lies nearest to each cell of a grid, and the polynomial that takes its places to the grid.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace cropcube {

constexpr std::size_t MOST_POWERS = 16, POINTS_TOGETHER = 64;

struct Polynomial {
    const double* coefficient;  // (2, powers, powers): of u^i v^j for either result; only i + j < powers counts
    std::size_t powers;
    double centre[2], scale[2];  // u = (first - centre[0]) / scale[0], v likewise
};

// Evaluates both results at points [begin, end), POINTS_TOGETHER at a time so that the compiler has loops to vectorise.
inline void evaluate(const Polynomial& work, const double* first, const double* second, double* results,
                     std::size_t points, std::size_t begin, std::size_t end) {
    double u[POINTS_TOGETHER], v[POINTS_TOGETHER], inner[POINTS_TOGETHER], sum[POINTS_TOGETHER];
    for (std::size_t at = begin; at < end; at += POINTS_TOGETHER) {
        const std::size_t count = std::min(POINTS_TOGETHER, end - at);
        for (std::size_t n = 0; n < count; ++n) {
            u[n] = (first[at + n] - work.centre[0]) / work.scale[0];
            v[n] = (second[at + n] - work.centre[1]) / work.scale[1];
        }
        for (std::size_t result = 0; result < 2; ++result) {
            const double* table = work.coefficient + result * work.powers * work.powers;
            for (std::size_t n = 0; n < count; ++n) sum[n] = 0;
            for (std::size_t i = work.powers; i-- > 0;) {
                const double* row = table + i * work.powers;
                for (std::size_t n = 0; n < count; ++n) inner[n] = row[work.powers - 1 - i];
                for (std::size_t j = work.powers - 1 - i; j-- > 0;) {
                    for (std::size_t n = 0; n < count; ++n) inner[n] = inner[n] * v[n] + row[j];
                }
                for (std::size_t n = 0; n < count; ++n) sum[n] = sum[n] * u[n] + inner[n];
            }
            for (std::size_t n = 0; n < count; ++n) results[result * points + at + n] = sum[n];
        }
    }
}

struct NearestPixel {
    const double* x;  // (pixels) NaN = nowhere
    const double* y;
    std::size_t pixels;
    double left, top, size;  // of the grid: upper left corner, side of a cell
    double reach;            // below one side
    std::size_t rows, cols;
    std::int32_t* pixel;     // (rows, cols), -1 = none within reach
    double* squared;         // (rows, cols) squared distance to it
};

// Of a pixel's point of view: only the four cell centres around it can be nearer than one side. On a tie the pixel that
// comes first stays. Centres are computed from whole numbers, so that any part of a grid gets what the whole gets; so do
// rows [begin, end), which are all that is written.
inline void find_nearest(const NearestPixel& work, std::size_t begin, std::size_t end) {
    const double most = work.reach * work.reach;
    const std::int64_t top_row = static_cast<std::int64_t>(begin), end_row = static_cast<std::int64_t>(end);
    std::fill(work.pixel + begin * work.cols, work.pixel + end * work.cols, -1);
    std::fill(work.squared + begin * work.cols, work.squared + end * work.cols,
              std::numeric_limits<double>::infinity());
    for (std::size_t n = 0; n < work.pixels; ++n) {
        const double down = std::floor((work.top - work.y[n]) / work.size - 0.5);
        if (!(down >= static_cast<double>(top_row - 1) && down < static_cast<double>(end_row))) continue;  // NaN too
        const double across = std::floor((work.x[n] - work.left) / work.size - 0.5);
        if (!(across >= -1 && across < static_cast<double>(work.cols))) continue;
        const std::int64_t first_col = static_cast<std::int64_t>(across), first_row = static_cast<std::int64_t>(down);
        for (std::int64_t row = first_row; row < first_row + 2; ++row) {
            if (row < top_row || row >= end_row) continue;
            const double dy = work.top - (static_cast<double>(row) + 0.5) * work.size - work.y[n];
            for (std::int64_t col = first_col; col < first_col + 2; ++col) {
                if (col < 0 || col >= static_cast<std::int64_t>(work.cols)) continue;
                const double dx = work.left + (static_cast<double>(col) + 0.5) * work.size - work.x[n];
                const double squared = dx * dx + dy * dy;
                const std::size_t cell = static_cast<std::size_t>(row) * work.cols + static_cast<std::size_t>(col);
                if (squared <= most && squared < work.squared[cell]) {
                    work.squared[cell] = squared;
                    work.pixel[cell] = static_cast<std::int32_t>(n);
                }
            }
        }
    }
}

struct TableMarks {
    Polynomial degrees;          // from x and y of the grid to the table's two axes
    double left, top, size;      // of the grid
    std::size_t rows, cols;
    const std::int32_t* pixel;   // (rows, cols) cells with none are not looked up
    const std::uint8_t* table;   // (table_rows, table_cols)
    std::size_t table_rows, table_cols;
    double table_left, table_width, table_top, table_height;
    std::uint8_t* marks;         // (rows, cols)
};

// Looks the centres of a row of cells up. y is the same along it, so that powers of u are all that is left.
inline void mark_row(const TableMarks& work, std::size_t row) {
    const Polynomial& degrees = work.degrees;
    double power[2][MOST_POWERS];
    const double y = work.top - (static_cast<double>(row) + 0.5) * work.size;
    const double v = (y - degrees.centre[1]) / degrees.scale[1];
    for (std::size_t axis = 0; axis < 2; ++axis) {
        for (std::size_t i = 0; i < degrees.powers; ++i) {
            const double* table = degrees.coefficient + (axis * degrees.powers + i) * degrees.powers;
            double sum = 0;
            for (std::size_t j = degrees.powers - i; j-- > 0;) sum = sum * v + table[j];
            power[axis][i] = sum;
        }
    }
    for (std::size_t col = 0; col < work.cols; ++col) {
        const std::size_t cell = row * work.cols + col;
        work.marks[cell] = 0;
        if (work.pixel[cell] < 0) continue;
        const double x = work.left + (static_cast<double>(col) + 0.5) * work.size;
        const double u = (x - degrees.centre[0]) / degrees.scale[0];
        double place[2] = {0, 0};
        for (std::size_t i = degrees.powers; i-- > 0;) {
            place[0] = place[0] * u + power[0][i];
            place[1] = place[1] * u + power[1][i];
        }
        double east = place[0] - work.table_left;
        if (east < -180) east += 360;  // across the antimeridian
        const double down = (place[1] - work.table_top) / work.table_height, across = east / work.table_width;
        if (!(down >= 0 && across >= 0 && down < static_cast<double>(work.table_rows) &&
              across < static_cast<double>(work.table_cols))) {
            continue;
        }
        work.marks[cell] = work.table[static_cast<std::size_t>(down) * work.table_cols + static_cast<std::size_t>(across)];
    }
}

}  // namespace cropcube
