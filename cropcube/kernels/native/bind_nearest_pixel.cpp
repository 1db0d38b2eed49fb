#include "binding.hpp"
#include "nearest_pixel.hpp"

namespace cropcube {
namespace {

void evaluate_polynomial(Input<double, 1> first, Input<double, 1> second, Input<double, 2> frame,
                         Input<double, 3> coefficient, Output<double, 2> results, std::size_t threads) {
    const std::size_t points = first.shape(0), powers = coefficient.shape(1);
    if (second.shape(0) != points || results.shape(0) != 2 || results.shape(1) != points || frame.shape(0) != 2 ||
        frame.shape(1) != 2 || coefficient.shape(0) != 2 || coefficient.shape(2) != powers || powers < 1) {
        throw nb::value_error("shapes do not fit");
    }
    const Polynomial work{coefficient.data(), powers, {frame(0, 0), frame(1, 0)}, {frame(0, 1), frame(1, 1)}};
    constexpr std::size_t SHARED = 256 * POINTS_TOGETHER;
    nb::gil_scoped_release release;
    share((points + SHARED - 1) / SHARED, threads, [&](std::size_t, std::size_t i) {
        evaluate(work, first.data(), second.data(), results.data(), points, i * SHARED,
                 std::min(points, (i + 1) * SHARED));
    });
}

void nearest_pixels(Input<double, 1> x, Input<double, 1> y, double left, double top, double size, double reach,
                    Output<std::int32_t, 2> pixel, Output<double, 2> squared, std::size_t threads) {
    const std::size_t rows = pixel.shape(0), cols = pixel.shape(1);
    if (y.shape(0) != x.shape(0) || squared.shape(0) != rows || squared.shape(1) != cols) {
        throw nb::value_error("shapes do not fit");
    }
    if (!(size > 0 && reach >= 0 && reach < size)) throw nb::value_error("reach is not below the side of a cell");
    const NearestPixel work{x.data(), y.data(), x.shape(0), left, top, size, reach, rows, cols,
                            pixel.data(), squared.data()};
    nb::gil_scoped_release release;
    const std::size_t parts = std::max<std::size_t>(1, std::min(threads, rows));  // each looks at all pixels
    share(parts, parts, [&](std::size_t, std::size_t i) {
        find_nearest(work, rows * i / parts, rows * (i + 1) / parts);
    });
}

void table_marks(Input<double, 2> frame, Input<double, 3> coefficient, Input<double, 1> grid,
                 Input<std::int32_t, 2> pixel, Input<std::uint8_t, 2> table, Input<double, 1> place,
                 Output<std::uint8_t, 2> marks, std::size_t threads) {
    const std::size_t powers = coefficient.shape(1), rows = pixel.shape(0), cols = pixel.shape(1);
    if (frame.shape(0) != 2 || frame.shape(1) != 2 || coefficient.shape(0) != 2 || coefficient.shape(2) != powers ||
        powers < 1 || powers > MOST_POWERS || grid.shape(0) != 3 || place.shape(0) != 4 || marks.shape(0) != rows ||
        marks.shape(1) != cols) {
        throw nb::value_error("shapes do not fit");
    }
    const Polynomial degrees{coefficient.data(), powers, {frame(0, 0), frame(1, 0)}, {frame(0, 1), frame(1, 1)}};
    const TableMarks work{degrees, grid(0), grid(1), grid(2), rows, cols, pixel.data(), table.data(),
                          table.shape(0), table.shape(1), place(0), place(1), place(2), place(3), marks.data()};
    nb::gil_scoped_release release;
    share(rows, threads, [&](std::size_t, std::size_t row) { mark_row(work, row); });
}

}  // namespace

void bind_nearest_pixel(nb::module_& module) {
    module.def("evaluate_polynomial", &evaluate_polynomial, nb::arg("first").noconvert(),
               nb::arg("second").noconvert(), nb::arg("frame").noconvert(), nb::arg("coefficient").noconvert(),
               nb::arg("results").noconvert(), nb::arg("threads"),
               "Write both results (2, points) of a polynomial in two unknowns.");
    module.def("nearest_pixels", &nearest_pixels, nb::arg("x").noconvert(), nb::arg("y").noconvert(), nb::arg("left"),
               nb::arg("top"), nb::arg("size"), nb::arg("reach"), nb::arg("pixel").noconvert(),
               nb::arg("squared").noconvert(), nb::arg("threads"),
               "Write which pixel lies nearest to each cell of a grid (rows, cols).");
    module.def("table_marks", &table_marks, nb::arg("frame").noconvert(), nb::arg("coefficient").noconvert(),
               nb::arg("grid").noconvert(), nb::arg("pixel").noconvert(), nb::arg("table").noconvert(),
               nb::arg("place").noconvert(), nb::arg("marks").noconvert(), nb::arg("threads"),
               "Write what a table in degrees has at the centres of a grid's cells.");
}

}  // namespace cropcube
