// Median of the clear observations of each window, fused over the uint16 input and the mask.
//
// A pixel's clear observations are counted from the mask, which all bands share; an unclear observation is replaced by
// the largest value, so that the clear ones are the first `count` of the sorted series whatever they are (65535 too).
// Short windows: a sorting network in registers.
// Long ones: the value of a given rank found bit by bit, by counting; each group of lanes is laid out date after date,
// so that its sixteen passes read the innermost cache in order (at a stride of a block they miss it: the lines of all
// dates fall into a few of its sets).
#pragma once

#include "networks.hpp"

namespace cropcube {

// What to reduce. Dates are grouped by window: those of window w are dates[offsets[w]] ... dates[offsets[w + 1] - 1].
struct WindowMedian {
    const std::uint16_t* reflectance;  // (dates, bands, pixels)
    const std::uint8_t* valid;         // (dates, pixels)
    const std::int32_t* dates;
    const std::int32_t* offsets;       // (windows + 1)
    std::size_t bands, pixels, windows;
    std::uint16_t* median;             // (windows, bands, pixels)
    std::uint16_t* clear_count;        // (windows, pixels)
};

constexpr std::size_t BLOCK = 512;           // pixels whose masks and values are held at once
constexpr std::size_t WIDE_BLOCK = 4096;     // where no window is long: fewer changes from one page to another
constexpr std::size_t LINE = 32;             // values in a line of the cache
constexpr std::size_t ROWS_AHEAD = 3;        // that a long window asks for

// Pixels of a block for windows of up to `longest` dates, and the int16 values of scratch that one thread needs.
constexpr std::size_t block_size(std::size_t longest) { return longest > LONGEST_NETWORK ? BLOCK : WIDE_BLOCK; }
constexpr std::size_t scratch_size(std::size_t longest) { return block_size(longest) * (2 * longest + 1); }

namespace {

// Asks for a line that is soon needed. Rows lie planes apart, which the processor does not foresee.
CROPCUBE_INLINE void fetch(const std::uint16_t* at) {
#ifdef __GNUC__
    __builtin_prefetch(at);
#else
    (void)at;
#endif
}

// The block of one window: where its rows start and what its masks say.
struct Block {
    const WindowMedian& work;
    std::size_t window, first, count;  // first pixel and number of pixels
    std::size_t size;                  // pixels that there is room for
    std::int16_t* mask;                // (dates, size): all ones where clear
    std::int16_t* clear;               // (size): number of clear dates
    std::int16_t* values;              // (size / LANES, dates, LANES): room for a long window's values

    Block(const WindowMedian& all, std::size_t which, std::size_t from, std::size_t stop, std::size_t room,
          std::int16_t* scratch)
        : work(all), window(which), first(from), count(stop - from < room ? stop - from : room), size(room),
          mask(scratch + room), clear(scratch), values(scratch + room * (1 + dates())) {}

    std::size_t dates() const { return work.offsets[window + 1] - work.offsets[window]; }
    std::size_t date(std::size_t k) const { return work.dates[work.offsets[window] + k]; }
    const std::uint16_t* row(std::size_t k, std::size_t band) const {
        return work.reflectance + (date(k) * work.bands + band) * work.pixels + first;
    }
    std::uint16_t* median(std::size_t band) const {
        return work.median + (window * work.bands + band) * work.pixels + first;
    }
};

CROPCUBE_INLINE void read_mask(const Block& block) {
    for (std::size_t i = 0; i < block.size; ++i) block.clear[i] = 0;
    for (std::size_t k = 0; k < block.dates(); ++k) {
        const std::uint8_t* valid = block.work.valid + block.date(k) * block.work.pixels + block.first;
        std::int16_t* mask = block.mask + k * block.size;
        for (std::size_t i = 0; i < block.count; ++i) mask[i] = static_cast<std::int16_t>(-(valid[i] != 0));
        for (std::size_t i = block.count; i < block.size; ++i) mask[i] = 0;
        for (std::size_t i = 0; i < block.size; ++i) block.clear[i] = static_cast<std::int16_t>(block.clear[i] - mask[i]);
    }
    std::uint16_t* clear_count = block.work.clear_count + block.window * block.work.pixels + block.first;
    for (std::size_t i = 0; i < block.count; ++i) clear_count[i] = static_cast<std::uint16_t>(block.clear[i]);
}

CROPCUBE_INLINE Lanes masked(const Block& block, std::size_t band, std::size_t k, std::size_t at) {
    const Lanes raw = load_raw(block.row(k, band) + at, block.count - at);
    return choose(load(block.mask + k * block.size + at), raw, same(INT16_MAX));
}

CROPCUBE_INLINE void write_median(const Block& block, std::size_t band, std::size_t at, Lanes low, Lanes high) {
    const Lanes seen = less(same(0), load(block.clear + at));
    RawLanes keep;
    std::memcpy(&keep, &seen, sizeof keep);
    const RawLanes mean = static_cast<RawLanes>(mean_half_up(low, high) & keep);
    store_raw(block.median(band) + at, mean, block.count - at);
}

// Ranks of the two middle values among `clear` sorted ones: (clear - 1) / 2 and clear / 2.
CROPCUBE_INLINE Lanes low_rank(Lanes clear) { return static_cast<Lanes>((clear - same(1)) >> 1); }
CROPCUBE_INLINE Lanes high_rank(Lanes clear) { return static_cast<Lanes>(clear >> 1); }

template <int N>
void by_network(const Block& block) {
    for (std::size_t band = 0; band < block.work.bands; ++band) {
        for (std::size_t at = 0; at < block.count; at += LANES) {
            Lanes series[N];
            for (int k = 0; k < N; ++k) series[k] = masked(block, band, k, at);
            Sorter<N>::sort(series, std::make_index_sequence<Sorter<N>::network.count>{});
            const Lanes clear = load(block.clear + at);
            Lanes low = series[0], high = series[0];
            for (int k = 1; k <= N / 2; ++k) {
                low = choose(equal(low_rank(clear), same(static_cast<std::int16_t>(k))), series[k], low);
                high = choose(equal(high_rank(clear), same(static_cast<std::int16_t>(k))), series[k], high);
            }
            write_median(block, band, at, low, high);
        }
    }
}

// The value of rank (clear - 1) / 2, from the highest bit down: a bit is set where enough values lie below.
CROPCUBE_INLINE Lanes lower_middle(const std::int16_t* values, std::size_t dates, Lanes rank) {
    Lanes found = same(INT16_MIN);
    for (int bit = 15; bit >= 0; --bit) {
        const Lanes candidate = static_cast<Lanes>(found ^ same(static_cast<std::int16_t>(1u << bit)));
        Lanes below = same(0);
        for (std::size_t k = 0; k < dates; ++k) {
            below = static_cast<Lanes>(below - less(load(values + k * LANES), candidate));
        }
        found = choose(less(rank, below), found, candidate);
    }
    return found;
}

// The value of rank clear / 2: the lower middle again where it repeats, else the next larger value.
CROPCUBE_INLINE Lanes upper_middle(const std::int16_t* values, std::size_t dates, Lanes low, Lanes rank) {
    Lanes up_to = same(0), next = same(INT16_MAX);
    for (std::size_t k = 0; k < dates; ++k) {
        const Lanes value = load(values + k * LANES);
        const Lanes above = less(low, value);
        up_to = static_cast<Lanes>(up_to + same(1) + above);
        next = smaller(next, choose(above, value, same(INT16_MAX)));
    }
    return choose(less(rank, up_to), low, next);
}

// Lays out a band's values: each group of lanes date after date.
CROPCUBE_INLINE void lay_out(const Block& block, std::size_t band) {
    const std::size_t dates = block.dates();
    for (std::size_t k = 0; k < dates; ++k) {
        if (k + ROWS_AHEAD < dates) {
            for (std::size_t at = 0; at < block.count; at += LINE) fetch(block.row(k + ROWS_AHEAD, band) + at);
        }
        for (std::size_t at = 0; at < block.count; at += LANES) {
            store(block.values + at * dates + k * LANES, masked(block, band, k, at));
        }
    }
}

CROPCUBE_INLINE void by_bits(const Block& block) {
    const std::size_t dates = block.dates();
    for (std::size_t band = 0; band < block.work.bands; ++band) {
        lay_out(block, band);
        for (std::size_t at = 0; at < block.count; at += LANES) {
            const Lanes clear = load(block.clear + at);
            const std::int16_t* values = block.values + at * dates;
            const Lanes low = lower_middle(values, dates, low_rank(clear));
            write_median(block, band, at, low, upper_middle(values, dates, low, high_rank(clear)));
        }
    }
}

template <std::size_t... I>
CROPCUBE_INLINE void sort_or_search(const Block& block, std::index_sequence<I...>) {
    const std::size_t dates = block.dates();
    if (dates > LONGEST_NETWORK) {
        by_bits(block);
        return;
    }
    const bool done = ((dates == I + 1 && (by_network<static_cast<int>(I + 1)>(block), true)) || ...);
    for (std::size_t band = 0; !done && band < block.work.bands; ++band) {
        std::memset(block.median(band), 0, block.count * sizeof(std::uint16_t));
    }
}

// Reduces the pixels [first, stop). `scratch` has room for scratch_size(longest window).
CROPCUBE_INLINE void reduce_pixels(const WindowMedian& work, std::size_t first, std::size_t stop, std::int16_t* scratch) {
    std::size_t longest = 0;
    for (std::size_t window = 0; window < work.windows; ++window) {
        const std::size_t dates = work.offsets[window + 1] - work.offsets[window];
        longest = dates > longest ? dates : longest;
    }
    for (const std::size_t size = block_size(longest); first < stop; first += size) {
        for (std::size_t window = 0; window < work.windows; ++window) {
            const Block block(work, window, first, stop, size, scratch);
            read_mask(block);
            sort_or_search(block, std::make_index_sequence<LONGEST_NETWORK>{});
        }
    }
}

}  // namespace
}  // namespace cropcube
