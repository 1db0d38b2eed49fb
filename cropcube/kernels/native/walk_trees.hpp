// Sums of regression trees: every sample walks every tree and adds what its leaf holds to the tree's column.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cropcube {

struct Trees {
    const std::int64_t* first;    // (trees) node that each begins with
    const std::int32_t* column;   // (trees) which sum it adds to
    std::size_t trees;
    const std::int32_t* left;     // (nodes) children, counted over all nodes; -1 in a leaf
    const std::int32_t* right;
    const std::int32_t* feature;
    const double* threshold;      // left where the feature is not above it
    const double* value;          // of a leaf
};

// Adds to sums (samples, columns) of samples [begin, end). The order of the trees is the order of the additions.
inline void walk_trees(const Trees& work, const float* inputs, std::size_t features, double* sums, std::size_t columns,
                       std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n) {
        const float* sample = inputs + n * features;
        for (std::size_t t = 0; t < work.trees; ++t) {
            std::int64_t node = work.first[t];
            while (work.left[node] >= 0) {
                const bool goes_left = static_cast<double>(sample[work.feature[node]]) <= work.threshold[node];
                node = goes_left ? work.left[node] : work.right[node];
            }
            sums[n * columns + work.column[t]] += work.value[node];
        }
    }
}

}  // namespace cropcube
