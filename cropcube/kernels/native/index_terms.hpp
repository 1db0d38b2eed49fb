// Spectral indices: (sum of a_b * band b + a) / (sum of c_b * band b + c) of reflectances, float32, terms in their order.
// Bands finer than the index are averaged over the pixels that have a value.
#pragma once

#include "dialect.hpp"

namespace cropcube {

constexpr float REFLECTANCE_SCALE = 1e-4f;

// Integers of one resolution, (steps, bands, height * factor, width * factor); 0 is none, or what `valid` says is not.
struct IndexSource {
    const std::uint16_t* values;
    const std::uint8_t* valid;  // (steps, height * factor, width * factor) or null
    std::size_t bands, factor;
};

// One band of an index.
struct IndexTerm {
    std::int32_t source, band;
    float above, below;
};

struct SpectralIndices {
    const IndexSource* sources;
    const IndexTerm* terms;
    const std::int32_t* offsets;  // (indices + 1): those of index i are terms[offsets[i]] ... terms[offsets[i + 1] - 1]
    const float* constants;       // (indices, 2): above, below
    std::size_t indices, height, width;
};

namespace {

// Mean reflectance of the seen pixels of a square, NaN where there are none. `FACTOR` 0: known at run time only.
template <std::size_t FACTOR, bool MASKED>
CROPCUBE_INLINE float mean_seen(const IndexSource& source, const std::uint16_t* values, const std::uint8_t* valid,
                                std::size_t y, std::size_t x, std::size_t width) {
    const std::size_t factor = FACTOR ? FACTOR : source.factor;
    float total = 0, seen = 0;
    for (std::size_t dy = 0; dy < factor; ++dy) {
        for (std::size_t dx = 0; dx < factor; ++dx) {
            const std::size_t at = (y * factor + dy) * width * factor + x * factor + dx;
            const bool there = MASKED ? valid[at] != 0 : values[at] != 0;
            total += there ? static_cast<float>(values[at]) : 0.0f;
            seen += there ? 1.0f : 0.0f;
        }
    }
    const float mean = total * REFLECTANCE_SCALE / (seen > 0 ? seen : 1.0f);
    return seen > 0 ? mean : static_cast<float>(NAN);
}

CROPCUBE_INLINE float ratio(float above, float below) {
    const float value = above / (below != 0 ? below : 1.0f);
    return below != 0 ? value : static_cast<float>(NAN);
}

// What is gathered of one index of a pixel.
struct IndexSums {
    double sum = 0, squares = 0;
    float least = static_cast<float>(INFINITY), most = -static_cast<float>(INFINITY), day = 0, number = 0;
};

// Takes in the value of a date; NaN and infinity are none. No branches, so that rows are done by vectors.
CROPCUBE_INLINE void gather(float value, float day, double& sum, double& squares, float& least, float& most,
                            float& day_of_most, float& number) {
    const bool there = value - value == 0;
    const float seen = there ? value : 0.0f, compared = there ? value : static_cast<float>(NAN);
    const double precise = seen;
    sum += precise;
    squares += precise * precise;
    least = compared < least ? compared : least;
    const bool larger = compared > most;
    most = larger ? compared : most;
    day_of_most = larger ? day : day_of_most;
    number += there ? 1.0f : 0.0f;
}

constexpr std::size_t STATISTICS = 6;

// Mean, standard deviation (of the population), least, largest, amplitude, day of the largest; NaN where nothing is.
CROPCUBE_INLINE void statistics(const IndexSums& of, float* found, std::size_t apart) {
    if (of.number == 0) {
        for (std::size_t i = 0; i < STATISTICS; ++i) found[i * apart] = static_cast<float>(NAN);
        return;
    }
    const double mean = of.sum / of.number, spread = of.squares / of.number - mean * mean;
    found[0] = static_cast<float>(mean);
    found[apart] = static_cast<float>(std::sqrt(spread > 0 ? spread : 0.0));
    found[2 * apart] = of.least;
    found[3 * apart] = of.most;
    found[4 * apart] = of.most - of.least;
    found[5 * apart] = of.day;
}

}  // namespace
}  // namespace cropcube
