// One spectrum of several acquisitions of a season: the best of them, the median or the weighted mean, a block of cells
// at a time. Sums are float64 and run over acquisitions or bands, a cell a lane, so every instruction set gives the same
// bits. What is not finite is missing; an uncertainty is stated where it is finite and above 0.
#pragma once

#include "floats.hpp"

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
inline std::size_t composite_scratch(std::size_t dates) { return dates * (4 * COMPOSITE_BLOCK + 16); }

namespace {

constexpr float NONE = NAN;

CROPCUBE_INLINE bool is_value(float a) { return a - a == 0.0f; }
CROPCUBE_INLINE bool is_stated(float a) { return is_value(a) && a > 0.0f; }

// Cells [first, first + count) and what is known of each of their acquisitions.
struct CompositeBlock {
    const Composites& work;
    std::size_t first, count;
    float* hide;   // (dates, COMPOSITE_BLOCK): 0 where clear, else NaN, to be added to a value
    float* has;    // likewise: 1 where some good band has a value
    double* sums;  // likewise
    float* series;

    CompositeBlock(const Composites& of, std::size_t begin, std::size_t stop, float* scratch)
        : work(of), first(begin), count(stop - begin) {
        const std::size_t size = of.dates * COMPOSITE_BLOCK;
        sums = reinterpret_cast<double*>(scratch);
        hide = scratch + 2 * size;
        has = hide + size;
        series = has + size;
        for (std::size_t t = 0; t < of.dates; ++t) {
            for (std::size_t i = 0; i < COMPOSITE_BLOCK; ++i) {
                const bool clear = i < count && of.clear[t * of.cells + first + i];
                hide[t * COMPOSITE_BLOCK + i] = clear ? 0.0f : NONE;
                has[t * COMPOSITE_BLOCK + i] = 0.0f;
                sums[t * COMPOSITE_BLOCK + i] = 0.0;
            }
        }
    }

    std::size_t place(std::size_t date, std::size_t band) const {
        return (date * work.bands + band) * work.cells + first;
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

// The acquisition with the least mean uncertainty of each cell, into `acquisition`; those that state none come last.
CROPCUBE_INLINE void choose_acquisitions(const CompositeBlock& block, double* stated) {
    const Composites& work = block.work;
    double least[COMPOSITE_BLOCK] = {};
    for (std::size_t i = 0; i < block.count; ++i) work.acquisition[block.first + i] = -1;
    for (std::size_t t = 0; t < work.dates; ++t) {
        double* sum = block.sums + t * COMPOSITE_BLOCK;
        float* has = block.has + t * COMPOSITE_BLOCK;
        for (std::size_t i = 0; i < COMPOSITE_BLOCK; ++i) stated[i] = 0.0;
        for (std::size_t g = 0; g < work.wanted; ++g) {
            const float* value = work.reflectance + block.place(t, work.good[g]);
            const float* spread = work.uncertainty + block.place(t, work.good[g]);
            for (std::size_t i = 0; i < block.count; ++i) {
                const bool known = is_value(value[i] + block.hide[t * COMPOSITE_BLOCK + i]);
                const bool counts = known & is_stated(spread[i]);
                has[i] = known ? 1.0f : has[i];
                sum[i] += counts ? static_cast<double>(spread[i]) : 0.0;
                stated[i] += counts ? 1.0 : 0.0;
            }
        }
        for (std::size_t i = 0; i < block.count; ++i) {
            const double mean = stated[i] > 0.0 ? sum[i] / stated[i] : static_cast<double>(INFINITY);
            std::int16_t& best = work.acquisition[block.first + i];
            if (has[i] > 0.0f && (best < 0 || mean < least[i])) {
                best = static_cast<std::int16_t>(t);
                least[i] = mean;
            }
        }
    }
}

// Reduces the cells [first, stop), at most a block, to the acquisition of the least mean uncertainty.
CROPCUBE_INLINE void best_cells(const Composites& work, std::size_t first, std::size_t stop, float* scratch) {
    const CompositeBlock block(work, first, stop, scratch);
    std::int16_t best[COMPOSITE_BLOCK];
    double stated[COMPOSITE_BLOCK];
    choose_acquisitions(block, stated);
    std::memcpy(best, work.acquisition + first, block.count * sizeof *best);
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

// Likewise to the mean weighted by the inverse variance; plain, without uncertainty, where none is stated.
CROPCUBE_INLINE void mean_cells(const Composites& work, std::size_t first, std::size_t stop, float* scratch) {
    const CompositeBlock block(work, first, stop, scratch);
    for (std::size_t g = 0; g < work.wanted; ++g) {
        const std::size_t band = work.good[g], to = band * work.cells + first;
        double weights[COMPOSITE_BLOCK] = {}, weighted[COMPOSITE_BLOCK] = {}, plain[COMPOSITE_BLOCK] = {};
        double counts[COMPOSITE_BLOCK] = {};
        for (std::size_t t = 0; t < work.dates; ++t) {
            const float* value = work.reflectance + block.place(t, band);
            const float* spread = work.uncertainty + block.place(t, band);
            const float* hide = block.hide + t * COMPOSITE_BLOCK;
            float* has = block.has + t * COMPOSITE_BLOCK;
            for (std::size_t i = 0; i < block.count; ++i) {
                const bool known = is_value(value[i] + hide[i]);
                const double here = known ? static_cast<double>(value[i]) : 0.0;
                const double deviation = known & is_stated(spread[i]) ? static_cast<double>(spread[i]) : INFINITY;
                const double weight = 1.0 / (deviation * deviation);
                weights[i] += weight;
                weighted[i] += weight * here;
                plain[i] += here;
                counts[i] += known ? 1.0 : 0.0;
                has[i] = known ? 1.0f : has[i];
            }
        }
        for (std::size_t i = 0; i < block.count; ++i) {
            const bool stated = weights[i] > 0.0;
            const double mean = stated ? weighted[i] / weights[i] : plain[i] / counts[i];
            work.spectrum[to + i] = counts[i] > 0.0 ? static_cast<float>(mean) : NONE;
            work.spread[to + i] = stated ? static_cast<float>(1.0 / std::sqrt(weights[i])) : NONE;
        }
    }
    count_acquisitions(block);
}

// Some values from `from` on; zeros after the first `count`.
CROPCUBE_INLINE Floats load_floats(const float* from, std::size_t count) {
    Floats some{};
    std::memcpy(&some, from, (count < FLOATS ? count : FLOATS) * sizeof(float));
    return some;
}
CROPCUBE_INLINE void put(float* to, Floats some) { std::memcpy(to, &some, sizeof some); }

// Sorts a series by value, by spread where values are the same, so that the order of acquisitions changes nothing.
CROPCUBE_INLINE void sort_series(const Composites& work, float* values, float* spreads) {
    for (std::size_t e = 0; e < work.exchanges; ++e) {
        const std::size_t low = work.network[2 * e] * FLOATS, high = work.network[2 * e + 1] * FLOATS;
        const Floats a = load_floats(values + low, FLOATS), b = load_floats(values + high, FLOATS);
        const Floats s = load_floats(spreads + low, FLOATS), r = load_floats(spreads + high, FLOATS);
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
        const Floats value = load_floats(values + k * FLOATS, FLOATS), s = load_floats(spreads + k * FLOATS, FLOATS);
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
                const Floats value = load_floats(work.reflectance + block.place(t, band) + at, left);
                const Floats s = load_floats(work.uncertainty + block.place(t, band) + at, left);
                const Floats shown = value + load_floats(block.hide + t * COMPOSITE_BLOCK + at, FLOATS);
                const Where has = nothing(shown - shown), stated = has & nothing(s - s) & below(Floats{}, s);
                put(values + t * FLOATS, pick(has, value, endless));
                put(spreads + t * FLOATS, pick(stated, s, endless));
                known += pick(has, one, Floats{});
                float* seen = block.has + t * COMPOSITE_BLOCK + at;
                put(seen, pick(has, one, load_floats(seen, FLOATS)));
            }
            sort_series(work, values, spreads);
            Floats median, spread;
            middle_of(work, values, spreads, known, median, spread);
            const Where some = below(Floats{}, known);
            store(work.spectrum + to + at, pick(some, median, none), left);
            store(work.spread + to + at, pick(some & nothing(spread - spread), spread, none), left);
        }
    }
    count_acquisitions(block);
}

}  // namespace
}  // namespace cropcube
