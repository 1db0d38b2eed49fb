// Spectral indices: (sum of a_b * band b + a) / (sum of c_b * band b + c) of reflectances, float32, terms in their order.
// Bands finer than the index are averaged over the pixels that have a value.
#pragma once

#include "floats.hpp"

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

// Sums of what is seen of some pixels of a fine row, `FACTOR` (0: known at run time only) for each of the `count` wanted.
template <std::size_t FACTOR, bool MASKED>
CROPCUBE_INLINE void add_row(const std::uint16_t* values, const std::uint8_t* valid, std::size_t factor,
                             std::size_t count, Floats& total, Floats& seen) {
    const auto add = [&](Floats value, Floats mark) {
        const Where none = nothing(mark);
        total += pick(none, every(0.0f), value);
        seen += pick(none, every(0.0f), every(1.0f));
    };
    if (FACTOR == 1) {
        const Floats value = numbers(values, count);
        add(value, MASKED ? numbers(valid, count) : value);
    } else if (FACTOR == 2) {
        const std::size_t left = 2 * count > FLOATS ? 2 * count - FLOATS : 0;
        const Floats a = numbers(values, 2 * count), b = numbers(values + FLOATS, left);
        const Floats c = MASKED ? numbers(valid, 2 * count) : a, d = MASKED ? numbers(valid + FLOATS, left) : b;
        add(even(a, b), even(c, d));
        add(odd(a, b), odd(c, d));
    } else {
        for (std::size_t dx = 0; dx < factor; ++dx) {
            Floats value = every(0.0f), mark = every(0.0f);
            for (std::size_t i = 0; i < count && i < FLOATS; ++i) {
                lane(value, i) = values[i * factor + dx];
                lane(mark, i) = MASKED ? valid[i * factor + dx] : values[i * factor + dx];
            }
            add(value, mark);
        }
    }
}

// A row of one band of an index, in one step.
struct BandRow {
    const std::uint16_t* values;
    const std::uint8_t* valid;
    std::size_t factor, pitch;  // of the fine pixels' rows
    float above, below;
};

constexpr int MOST_TERMS_OF_INDEX = 8;

// One index in one row of one step.
struct IndexRow {
    BandRow bands[MOST_TERMS_OF_INDEX];
    int count;
    float above, below;

    CROPCUBE_METHOD IndexRow(const SpectralIndices& work, std::size_t index, std::size_t step, std::size_t y)
        : count(work.offsets[index + 1] - work.offsets[index]), above(work.constants[2 * index]),
          below(work.constants[2 * index + 1]) {
        for (int t = 0; t < count; ++t) {
            const IndexTerm& term = work.terms[work.offsets[index] + t];
            const IndexSource& source = work.sources[term.source];
            const std::size_t factor = source.factor, pitch = work.width * factor, plane = work.height * factor * pitch;
            const std::size_t first = y * factor * pitch;
            bands[t] = {source.values + (step * source.bands + term.band) * plane + first,
                        source.valid ? source.valid + step * plane + first : nullptr, factor, pitch, term.above,
                        term.below};
        }
    }
};

// Mean reflectance of what is seen of `count` pixels (at most FLOATS) of a row, NaN where nothing is.
template <std::size_t FACTOR, bool MASKED>
CROPCUBE_INLINE Floats mean_seen(const BandRow& row, std::size_t x, std::size_t count) {
    const std::size_t factor = FACTOR ? FACTOR : row.factor;
    Floats total = every(0.0f), seen = every(0.0f);
    for (std::size_t dy = 0; dy < factor; ++dy) {
        const std::size_t at = dy * row.pitch + x * factor;
        add_row<FACTOR, MASKED>(row.values + at, MASKED ? row.valid + at : nullptr, factor, count, total, seen);
    }
    const Where none = nothing(seen);
    const Floats mean = total * every(REFLECTANCE_SCALE) / pick(none, every(1.0f), seen);
    return pick(none, every(static_cast<float>(NAN)), mean);
}

template <bool MASKED>
CROPCUBE_INLINE Floats mean_of_band(const BandRow& row, std::size_t x, std::size_t count) {
    if (row.factor == 1) return mean_seen<1, MASKED>(row, x, count);
    return row.factor == 2 ? mean_seen<2, MASKED>(row, x, count) : mean_seen<0, MASKED>(row, x, count);
}

// An index of `count` pixels (at most FLOATS); NaN where a band has nothing or the denominator is 0.
CROPCUBE_INLINE Floats index_at(const IndexRow& row, std::size_t x, std::size_t count) {
    Floats above = every(row.above), under = every(row.below);
    for (int t = 0; t < row.count; ++t) {
        const BandRow& band = row.bands[t];
        const Floats value = band.valid ? mean_of_band<true>(band, x, count) : mean_of_band<false>(band, x, count);
        above += every(band.above) * value;
        under += every(band.below) * value;
    }
    const Where none = nothing(under);
    const Floats value = above / pick(none, every(1.0f), under);
    // One NaN for all: what arithmetic makes of one has other bits on a device.
    return pick(nothing(value - value) & ~none, value, every(static_cast<float>(NAN)));
}

// What is gathered of an index, date after date: count, mean and squared deviations (Welford 1962, Technometrics 4(3)),
// least, largest and the day of the largest.
struct IndexSums {
    Floats number, mean, squares, least, most, day;
};

CROPCUBE_INLINE IndexSums no_sums() {
    const Floats zero = every(0.0f);
    return {zero, zero, zero, every(static_cast<float>(INFINITY)), every(-static_cast<float>(INFINITY)), zero};
}

// Takes in the values of a date; NaN and infinity are none.
CROPCUBE_INLINE void gather(IndexSums& to, Floats value, float day) {
    const Where there = nothing(value - value);
    const Floats number = to.number + every(1.0f), apart = value - to.mean;
    const Floats mean = to.mean + apart / number;
    to.squares = pick(there, to.squares + apart * (value - mean), to.squares);
    to.mean = pick(there, mean, to.mean);
    to.number = pick(there, number, to.number);
    to.least = pick(there & below(value, to.least), value, to.least);
    const Where larger = there & below(to.most, value);
    to.most = pick(larger, value, to.most);
    to.day = pick(larger, every(day), to.day);
}

constexpr std::size_t STATISTICS = 6;

// Mean, standard deviation (of the population), least, largest, amplitude, day of the largest; NaN where nothing is.
CROPCUBE_INLINE void statistics(const IndexSums& of, Floats* found) {
    const Where none = nothing(of.number);
    found[0] = of.mean;
    found[1] = root(of.squares / pick(none, every(1.0f), of.number));
    found[2] = of.least;
    found[3] = of.most;
    found[4] = of.most - of.least;
    found[5] = of.day;
    for (std::size_t i = 0; i < STATISTICS; ++i) found[i] = pick(none, every(static_cast<float>(NAN)), found[i]);
}

}  // namespace
}  // namespace cropcube
