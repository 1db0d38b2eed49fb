#include "binding.hpp"
#include "walk_trees.hpp"

namespace cropcube {
namespace {

// Checks that every walk ends in its own tree: children lie behind their parent and before the next tree.
void check_trees(const Trees& work, std::size_t nodes, std::size_t features, std::size_t columns) {
    for (std::size_t t = 0; t < work.trees; ++t) {
        const std::int64_t begin = work.first[t];
        const std::int64_t end = t + 1 < work.trees ? work.first[t + 1] : static_cast<std::int64_t>(nodes);
        if (begin < 0 || begin >= end || end > static_cast<std::int64_t>(nodes)) throw nb::value_error("no such tree");
        if (work.column[t] < 0 || static_cast<std::size_t>(work.column[t]) >= columns) {
            throw nb::value_error("no such column");
        }
        for (std::int64_t n = begin; n < end; ++n) {
            if (work.left[n] < 0 && work.right[n] < 0) continue;
            const bool inside = work.left[n] > n && work.left[n] < end && work.right[n] > n && work.right[n] < end;
            const bool known = work.feature[n] >= 0 && static_cast<std::size_t>(work.feature[n]) < features;
            if (!inside || !known) throw nb::value_error("a tree leads nowhere");
        }
    }
}

void sum_trees(Input<float, 2> inputs, Input<std::int64_t, 1> first, Input<std::int32_t, 1> column,
               Input<std::int32_t, 1> left, Input<std::int32_t, 1> right, Input<std::int32_t, 1> feature,
               Input<double, 1> threshold, Input<double, 1> value, Output<double, 2> sums, std::size_t threads) {
    const std::size_t nodes = left.shape(0), samples = inputs.shape(0);
    if (first.shape(0) != column.shape(0) || right.shape(0) != nodes || feature.shape(0) != nodes ||
        threshold.shape(0) != nodes || value.shape(0) != nodes || sums.shape(0) != samples) {
        throw nb::value_error("shapes do not fit");
    }
    const Trees work{first.data(), column.data(), first.shape(0), left.data(),
                     right.data(), feature.data(), threshold.data(), value.data()};
    check_trees(work, nodes, inputs.shape(1), sums.shape(1));
    constexpr std::size_t SHARED = 256;
    nb::gil_scoped_release release;
    share((samples + SHARED - 1) / SHARED, threads, [&](std::size_t, std::size_t i) {
        walk_trees(work, inputs.data(), inputs.shape(1), sums.data(), sums.shape(1), i * SHARED,
                   std::min(samples, (i + 1) * SHARED));
    });
}

}  // namespace

void bind_walk_trees(nb::module_& module) {
    module.def("sum_trees", &sum_trees, nb::arg("inputs").noconvert(), nb::arg("first").noconvert(),
               nb::arg("column").noconvert(), nb::arg("left").noconvert(), nb::arg("right").noconvert(),
               nb::arg("feature").noconvert(), nb::arg("threshold").noconvert(), nb::arg("value").noconvert(),
               nb::arg("sums").noconvert(), nb::arg("threads"),
               "Add what trees say of samples (samples, features) to sums (samples, columns).");
}

}  // namespace cropcube
