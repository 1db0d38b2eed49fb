// One spectrum of several acquisitions of a season: the best of them, the median or the weighted mean, a block of cells
// at a time. Sums are float64 and run over acquisitions or bands, a cell a lane, so every instruction set gives the same
// bits. What is not finite is missing; an uncertainty is stated where it is finite and above 0.
#pragma once

#include "wide_floats.hpp"

namespace cropcube {

struct Composites {
    const float* reflectance;   // (dates, bands, cells)
    const float* uncertainty;   // likewise
    const std::uint8_t* clear;  // (dates, cells)
    const std::int32_t* good;   // (wanted): the bands that count
    const std::int32_t* network;  // (exchanges, 2): sorts a series; of the median alone
    std::size_t dates, bands, wanted, cells, exchanges;
    float* spectrum;            // (bands, cells); only good bands are written
    float* spread;              // likewise, its uncertainty
    std::int16_t* acquisition;  // (cells)
    std::uint16_t* clear_count;
};

constexpr std::size_t COMPOSITE_BLOCK = 64;  // cells

// Floats of scratch: what hides unclear cells, which acquisitions have a value, and a series of values and spreads.
inline std::size_t composite_scratch(std::size_t dates) { return dates * (2 * COMPOSITE_BLOCK + 16); }

namespace {

constexpr float NONE = NAN;

CROPCUBE_INLINE bool is_value(float a) { return a - a == 0.0f; }
CROPCUBE_INLINE bool is_stated(float a) { return is_value(a) && a > 0.0f; }

// Cells [first, first + count) and what is known of each of their acquisitions.
struct CompositeBlock {
    const Composites& work;
    std::size_t first, count;
    float* hide;  // (dates, COMPOSITE_BLOCK): 0 where clear, else NaN, to be added to a value
    float* has;   // likewise: 1 where some good band has a value
    float* series;

    CompositeBlock(const Composites& of, std::size_t begin, std::size_t stop, float* scratch)
        : work(of), first(begin), count(stop - begin), hide(scratch) {
        const std::size_t size = of.dates * COMPOSITE_BLOCK;
        has = hide + size;
        series = has + size;
        for (std::size_t t = 0; t < of.dates; ++t) {
            for (std::size_t i = 0; i < COMPOSITE_BLOCK; ++i) {
                const bool clear = i < count && of.clear[t * of.cells + first + i];
                hide[t * COMPOSITE_BLOCK + i] = clear ? 0.0f : NONE;
                has[t * COMPOSITE_BLOCK + i] = 0.0f;
            }
        }
    }

    std::size_t place(std::size_t date, std::size_t band) const {
        return (date * work.bands + band) * work.cells + first;
    }

    // What an acquisition says of a band in the cells from `at` on, and where it has a value; notes that it has one.
    CROPCUBE_METHOD Where look(std::size_t date, std::size_t band, std::size_t at, Floats& value, Floats& spread) const {
        const std::size_t from = place(date, band) + at, held = date * COMPOSITE_BLOCK + at;
        value = load_floats(work.reflectance + from, count - at);
        spread = load_floats(work.uncertainty + from, count - at);
        const Where known = are_values(value + load_floats(hide + held));
        put(has + held, pick(known, every(1.0f), load_floats(has + held)));
        return known;
    }
};

// Writes how many acquisitions had a value, and the one in the middle of these.
CROPCUBE_INLINE void count_acquisitions(const CompositeBlock& block) {
    for (std::size_t i = 0; i < block.count; ++i) {
        std::size_t seen = 0;
        for (std::size_t t = 0; t < block.work.dates; ++t) seen += block.has[t * COMPOSITE_BLOCK + i] > 0.0f;
        block.work.clear_count[block.first + i] = static_cast<std::uint16_t>(seen);
        std::int16_t middle = -1;
        std::size_t left = (seen + 1) / 2;
        for (std::size_t t = 0; left > 0; ++t) {
            left -= block.has[t * COMPOSITE_BLOCK + i] > 0.0f;
            middle = static_cast<std::int16_t>(t);
        }
        block.work.acquisition[block.first + i] = middle;
    }
}

// The mean uncertainty that an acquisition states over its good bands; endless where it states none.
CROPCUBE_INLINE void mean_uncertainty(const CompositeBlock& block, std::size_t date, double* mean) {
    Doubles sums[COMPOSITE_BLOCK / DOUBLES] = {};
    Floats stated[COMPOSITE_BLOCK / FLOATS] = {};
    for (std::size_t g = 0; g < block.work.wanted; ++g) {
        for (std::size_t at = 0; at < block.count; at += FLOATS) {
            Floats value, spread;
            const Where known = block.look(date, block.work.good[g], at, value, spread);
            const Where counts = known & are_stated(spread);
            const Floats held = pick(counts, spread, Floats{});
            for (std::size_t p = 0; p < PARTS; ++p) sums[at / DOUBLES + p] += part_of(held, p);
            stated[at / FLOATS] += pick(counts, every(1.0f), Floats{});
        }
    }
    for (std::size_t i = 0; i < block.count; ++i) {
        const double number = lane(stated[i / FLOATS], i % FLOATS);
        mean[i] = number > 0.0 ? lane(sums[i / DOUBLES], i % DOUBLES) / number : static_cast<double>(INFINITY);
    }
}

// Writes the acquisition with the least mean uncertainty of each cell; -1 where there is none.
CROPCUBE_INLINE void choose_acquisitions(const CompositeBlock& block, std::int16_t* best) {
    double least[COMPOSITE_BLOCK] = {}, mean[COMPOSITE_BLOCK] = {};
    for (std::size_t i = 0; i < block.count; ++i) best[i] = -1;
    for (std::size_t t = 0; t < block.work.dates; ++t) {
        mean_uncertainty(block, t, mean);
        for (std::size_t i = 0; i < block.count; ++i) {
            if (block.has[t * COMPOSITE_BLOCK + i] > 0.0f && (best[i] < 0 || mean[i] < least[i])) {
                best[i] = static_cast<std::int16_t>(t);
                least[i] = mean[i];
            }
        }
    }
}

// Reduces the cells [first, stop), at most a block, to the acquisition of the least mean uncertainty.
CROPCUBE_INLINE void best_cells(const Composites& work, std::size_t first, std::size_t stop, float* scratch) {
    const CompositeBlock block(work, first, stop, scratch);
    std::int16_t best[COMPOSITE_BLOCK];
    choose_acquisitions(block, best);
    count_acquisitions(block);
    std::memcpy(work.acquisition + first, best, block.count * sizeof *best);
    for (std::size_t g = 0; g < work.wanted; ++g) {
        const std::size_t band = work.good[g], to = band * work.cells + first;
        for (std::size_t i = 0; i < block.count; ++i) {
            const std::size_t from = block.place(best[i] < 0 ? 0 : best[i], band) + i;
            const bool known = best[i] >= 0 && is_value(work.reflectance[from]);
            work.spectrum[to + i] = known ? work.reflectance[from] : NONE;
            work.spread[to + i] = known && is_stated(work.uncertainty[from]) ? work.uncertainty[from] : NONE;
        }
    }
}

// Sums of a mean, of the cells of a register.
struct Means {
    Doubles weights[PARTS] = {}, weighted[PARTS] = {}, plain[PARTS] = {};
    Floats counts{};

    CROPCUBE_METHOD void add(Where known, Floats value, Floats spread) {
        const Floats here = pick(known, value, Floats{});
        const Floats deviation = pick(known & are_stated(spread), spread, every(INFINITY));
        for (std::size_t p = 0; p < PARTS; ++p) {
            const Doubles r = part_of(here, p), s = part_of(deviation, p), weight = all_of(1.0) / (s * s);
            weights[p] += weight;
            weighted[p] += weight * r;
            plain[p] += r;
        }
        counts += pick(known, every(1.0f), Floats{});
    }

    CROPCUBE_METHOD void write(float* mean, float* spread) const {
        const Doubles none = all_of(NAN);
        for (std::size_t p = 0; p < PARTS; ++p) {
            const Doubles number = part_of(counts, p), whole = weights[p];
            const Doubles unweighted = where_positive(number, plain[p] / number, none);
            narrow(mean + p * DOUBLES, where_positive(whole, weighted[p] / whole, unweighted));
            Doubles root = whole;
            for (std::size_t i = 0; i < DOUBLES; ++i) lane(root, i) = std::sqrt(lane(root, i));
            narrow(spread + p * DOUBLES, where_positive(whole, all_of(1.0) / root, none));
        }
    }
};

// Likewise to the mean weighted by the inverse variance; plain, without uncertainty, where none is stated.
CROPCUBE_INLINE void mean_cells(const Composites& work, std::size_t first, std::size_t stop, float* scratch) {
    const CompositeBlock block(work, first, stop, scratch);
    for (std::size_t g = 0; g < work.wanted; ++g) {
        const std::size_t band = work.good[g], to = band * work.cells + first;
        for (std::size_t at = 0; at < block.count; at += FLOATS) {
            Means means;
            for (std::size_t t = 0; t < work.dates; ++t) {
                Floats value, spread;
                const Where known = block.look(t, band, at, value, spread);
                means.add(known, value, spread);
            }
            float mean[FLOATS], spread[FLOATS];
            means.write(mean, spread);
            put(work.spectrum + to + at, load_floats(mean), block.count - at);
            put(work.spread + to + at, load_floats(spread), block.count - at);
        }
    }
    count_acquisitions(block);
}

// Sorts a series by value, by spread where values are the same, so that the order of acquisitions changes nothing.
CROPCUBE_INLINE void sort_series(const Composites& work, float* values, float* spreads) {
    for (std::size_t e = 0; e < work.exchanges; ++e) {
        const std::size_t low = work.network[2 * e] * FLOATS, high = work.network[2 * e + 1] * FLOATS;
        const Floats a = load_floats(values + low), b = load_floats(values + high);
        const Floats s = load_floats(spreads + low), r = load_floats(spreads + high);
        const Where swap = below(b, a) | (~below(a, b) & below(r, s));
        put(values + low, pick(swap, b, a));
        put(values + high, pick(swap, a, b));
        put(spreads + low, pick(swap, r, s));
        put(spreads + high, pick(swap, s, r));
    }
}

// The middle of a sorted series of which `known` values count, and its uncertainty: of the middle value, or of the mean
// of two. Ranks are exact as floats.
CROPCUBE_INLINE void middle_of(const Composites& work, const float* values, const float* spreads, Floats known,
                               Floats& median, Floats& spread) {
    Floats low{}, high{}, low_spread{}, high_spread{};
    Where single{};
    const Floats one = every(1.0f), two = every(2.0f), half = every(0.5f);
    for (std::size_t k = 0; k < work.dates; ++k) {
        // Rank k of n is the lower middle where 2k is n - 2 or n - 1, the upper where it is n - 1 or n.
        const Floats twice = every(2.0f * static_cast<float>(k));
        const Where lower = below(twice, known) & ~below(twice + two, known);
        const Where upper = ~below(twice, known - one) & ~below(known, twice);
        const Floats value = load_floats(values + k * FLOATS), s = load_floats(spreads + k * FLOATS);
        low = pick(lower, value, low);
        low_spread = pick(lower, s, low_spread);
        high = pick(upper, value, high);
        high_spread = pick(upper, s, high_spread);
        single |= lower & upper;
    }
    median = half * (low + high);
    spread = pick(single, low_spread, half * root(low_spread * low_spread + high_spread * high_spread));
}

// Likewise to the median of each band.
CROPCUBE_INLINE void median_cells(const Composites& work, std::size_t first, std::size_t stop, float* scratch) {
    const CompositeBlock block(work, first, stop, scratch);
    float *values = block.series, *spreads = values + work.dates * FLOATS;
    const Floats endless = every(INFINITY), one = every(1.0f), none = every(NONE);
    for (std::size_t g = 0; g < work.wanted; ++g) {
        const std::size_t band = work.good[g], to = band * work.cells + first;
        for (std::size_t at = 0; at < block.count; at += FLOATS) {
            const std::size_t left = block.count - at;
            Floats known{};
            for (std::size_t t = 0; t < work.dates; ++t) {
                Floats value, s;
                const Where has = block.look(t, band, at, value, s);
                put(values + t * FLOATS, pick(has, value, endless));
                put(spreads + t * FLOATS, pick(has & are_stated(s), s, endless));
                known += pick(has, one, Floats{});
            }
            sort_series(work, values, spreads);
            Floats median, spread;
            middle_of(work, values, spreads, known, median, spread);
            const Where some = below(Floats{}, known);
            put(work.spectrum + to + at, pick(some, median, none), left);
            put(work.spread + to + at, pick(some & are_values(spread), spread, none), left);
        }
    }
    count_acquisitions(block);
}

}  // namespace
}  // namespace cropcube
