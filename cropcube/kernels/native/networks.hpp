// Sorting networks of short series, in registers: Batcher's odd-even merge (Knuth vol. 3, algorithm 5.2.2M).
#pragma once

#include "lanes.hpp"

namespace cropcube {

constexpr std::size_t LONGEST_NETWORK = 16;  // dates; longer windows go bit by bit

namespace {

template <int N>
struct Network {
    int count = 0;
    int low[N * N / 2 + 1] = {};
    int high[N * N / 2 + 1] = {};

    CROPCUBE_CONSTANT Network() {
        for (int p = 1; p < N; p *= 2) {
            for (int k = p; k >= 1; k /= 2) {
                for (int j = k % p; j + k < N; j += 2 * k) {
                    for (int i = 0; i < k && i + j + k < N; ++i) {
                        if ((i + j) / (2 * p) == (i + j + k) / (2 * p)) {
                            low[count] = i + j;
                            high[count] = i + j + k;
                            ++count;
                        }
                    }
                }
            }
        }
    }
};

template <int N>
struct Sorter {
    static constexpr Network<N> network{};
    // Constants, so that no compiler leaves an index to be computed: the series stays in registers.
    template <std::size_t I>
    struct Place {
        static constexpr int low = network.low[I], high = network.high[I];
    };

    template <std::size_t... I>
    CROPCUBE_INLINE void sort(Lanes (&series)[N], std::index_sequence<I...>) {
        (exchange(series[Place<I>::low], series[Place<I>::high]), ...);
    }

    CROPCUBE_INLINE void exchange(Lanes& a, Lanes& b) {
        const Lanes least = smaller(a, b);
        b = larger(a, b);
        a = least;
    }
};

}  // namespace
}  // namespace cropcube
