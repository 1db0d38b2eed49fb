// Harmonic fits of blocks of pixels: the sums over the clear dates of the mask and of each band, then the pixels' solutions.
//
// A block's band is first laid out group by group, date after date (planes lie a power of two apart, so that in place
// the lines of all dates would fall into a few sets of the cache), masked and turned into float, which holds 16 bits
// exactly. The sums of a group then stay in registers over all dates. Sums run over dates in their order, one pixel a
// lane: every instruction set gives the same bits.
#pragma once

#include "harmonic_terms.hpp"

namespace cropcube {

template <typename T>
struct HarmonicFit {
    const T* reflectance;       // (dates, bands, pixels)
    const std::uint8_t* valid;  // (dates, pixels)
    const double* design;       // (dates, columns): terms but the constant, then their products
    std::size_t dates, bands, pixels;
    int terms;
    double ridge, limit;        // of the normal matrix's condition number
    float* coefficient;         // (terms, bands, pixels)
    float* rmse;                // (bands, pixels)
    std::uint16_t* clear_count;  // (pixels)
};

constexpr std::size_t FITTED_TOGETHER = 256;  // pixels of a block
constexpr int COLUMNS_TOGETHER = 5;           // sums that fit into registers beside the values

// What a block's values are held in: float holds uint16 exactly.
template <typename T>
struct HeldAs { using Type = float; };
template <>
struct HeldAs<double> { using Type = double; };

// Bytes of scratch that one thread needs.
template <typename T>
constexpr std::size_t fit_scratch(std::size_t dates, int terms) {
    return FITTED_TOGETHER * ((dates | 1) * sizeof(typename HeldAs<T>::Type) +
                              sizeof(double) * (static_cast<std::size_t>(columns_of(terms)) + 2 + terms * terms));
}

namespace {

constexpr std::size_t HALVES = DOUBLES > 1 ? 2 : 1;  // registers side by side: enough sums in flight to hide latency
constexpr std::size_t GROUP = HALVES * DOUBLES;

CROPCUBE_INLINE float kept(std::uint16_t value, std::uint8_t clear) {
    return static_cast<float>(static_cast<std::uint16_t>(value & static_cast<std::uint16_t>(-(clear != 0))));
}
CROPCUBE_INLINE float kept(float value, std::uint8_t clear) { return clear ? value : 0.0f; }
CROPCUBE_INLINE double kept(double value, std::uint8_t clear) { return clear ? value : 0.0; }

template <typename S>
CROPCUBE_INLINE Doubles load_doubles(const S* from) {
    Doubles lanes{};
    for (std::size_t n = 0; n < DOUBLES; ++n) lane(lanes, n) = from[n];
    return lanes;
}

// A matrix of pixels side by side.
struct Square {
    Doubles* first;
    int terms;
    Doubles* operator[](int row) const { return first + row * terms; }
};

// A block of pixels and the room for what is known of it.
template <typename T>
struct Fit {
    using S = typename HeldAs<T>::Type;
    const HarmonicFit<T>& work;
    std::size_t first, count;  // first pixel and number of pixels
    Doubles* sums;             // (groups, HALVES, columns + 2): of the mask
    Doubles* inverses;         // (groups, HALVES, terms, terms)
    S* values;                 // (groups, dates | 1, GROUP)

    std::size_t columns() const { return static_cast<std::size_t>(columns_of(work.terms)); }
    const std::uint8_t* valid(std::size_t date) const { return work.valid + date * work.pixels + first; }
    Square inverse(std::size_t number) const { return {inverses + number * work.terms * work.terms, work.terms}; }
    S* group(std::size_t at) const { return values + at * (work.dates | 1); }
};

// Lays out what `value(date, pixel)` gives, zero where it is not clear.
template <typename T, typename Value>
CROPCUBE_INLINE void lay_out(const Fit<T>& fit, const Value& value) {
    for (std::size_t k = 0; k < fit.work.dates; ++k) {
        std::size_t at = 0;
        for (; at + GROUP <= fit.count; at += GROUP) {
            auto* to = fit.group(at) + k * GROUP;
            for (std::size_t n = 0; n < GROUP; ++n) to[n] = value(k, at + n);
        }
        if (at < fit.count) {
            auto* to = fit.group(at) + k * GROUP;
            for (std::size_t n = 0; n < GROUP; ++n) to[n] = at + n < fit.count ? value(k, at + n) : 0;
        }
    }
}

// Adds up a group's values times each of some columns; where they are the first, also the values and their squares.
template <int COLUMNS, bool FIRST, typename S>
void add_up(const S* values, const double* design, std::size_t stride, std::size_t dates, Doubles* sums, std::size_t apart) {
    Doubles added[COLUMNS + 1][HALVES] = {}, squared[HALVES] = {};
    for (std::size_t k = 0; k < dates; ++k) {
        Doubles value[HALVES];
        for (std::size_t h = 0; h < HALVES; ++h) {
            value[h] = load_doubles(values + k * GROUP + h * DOUBLES);
            if (FIRST) {
                added[COLUMNS][h] += value[h];
                squared[h] += value[h] * value[h];
            }
        }
        for (int j = 0; j < COLUMNS; ++j) {
            for (std::size_t h = 0; h < HALVES; ++h) added[j][h] += value[h] * design[k * stride + j];
        }
    }
    for (std::size_t h = 0; h < HALVES; ++h) {
        Doubles* to = sums + h * apart;
        if (FIRST) {
            to[-1] = squared[h];
            *to++ = added[COLUMNS][h];
        }
        for (int j = 0; j < COLUMNS; ++j) to[j] = added[j][h];
    }
}

template <bool FIRST, typename S>
void add_up_some(int some, const S* values, const double* design, std::size_t stride, std::size_t dates, Doubles* sums,
                 std::size_t apart) {
    switch (some) {
        case 1: return add_up<1, FIRST>(values, design, stride, dates, sums, apart);
        case 2: return add_up<2, FIRST>(values, design, stride, dates, sums, apart);
        case 3: return add_up<3, FIRST>(values, design, stride, dates, sums, apart);
        case 4: return add_up<4, FIRST>(values, design, stride, dates, sums, apart);
        default: return add_up<5, false>(values, design, stride, dates, sums, apart);
    }
}

// Sums of a group: squares, values, values times each of `columns` columns, (HALVES, columns + 2).
template <typename T>
CROPCUBE_INLINE void add_up_all(const Fit<T>& fit, std::size_t at, int columns, Doubles* sums) {
    const std::size_t stride = fit.columns(), dates = fit.work.dates, apart = static_cast<std::size_t>(columns) + 2;
    const auto* values = fit.group(at);
    int done = columns < COLUMNS_TOGETHER - 1 ? columns : COLUMNS_TOGETHER - 1;
    add_up_some<true>(done, values, fit.work.design, stride, dates, sums + 1, apart);
    while (done < columns) {
        const int some = columns - done < COLUMNS_TOGETHER ? columns - done : COLUMNS_TOGETHER;
        add_up_some<false>(some, values, fit.work.design + done, stride, dates, sums + 2 + done, apart);
        done += some;
    }
}

// Known to the compiler for the usual orders, so that it unrolls their matrices.
template <int TERMS, typename T>
CROPCUBE_INLINE int terms_of(const Fit<T>& fit) { return TERMS < MOST_TERMS ? TERMS : fit.work.terms; }

template <typename T, int TERMS>
void fit_mask(const Fit<T>& fit) {
    const int terms = terms_of<TERMS>(fit);
    const std::size_t apart = fit.columns() + 2;
    lay_out(fit, [&](std::size_t k, std::size_t i) -> typename HeldAs<T>::Type { return fit.valid(k)[i] != 0; });
    for (std::size_t at = 0; at < fit.count; at += GROUP) {
        Doubles* sums = fit.sums + at / DOUBLES * apart;
        add_up_all(fit, at, columns_of(terms), sums);
        for (std::size_t h = 0; h < HALVES; ++h) {
            Doubles* own = sums + h * apart + 1;
            Doubles matrix[TERMS][TERMS];
            invert_normal<TERMS>(terms, fit.work.ridge, fit.work.limit, own, &matrix[0]);
            const Square inverse = fit.inverse(at / DOUBLES + h);
            for (int k = 0; k < terms; ++k) {
                for (int l = 0; l < terms; ++l) inverse[k][l] = matrix[k][l];
            }
            for (std::size_t n = 0; n < DOUBLES && at + h * DOUBLES + n < fit.count; ++n) {
                fit.work.clear_count[fit.first + at + h * DOUBLES + n] = static_cast<std::uint16_t>(lane(own[0], n));
            }
        }
    }
}

template <typename T>
CROPCUBE_INLINE void write_pixels(const Fit<T>& fit, float* plane, std::size_t at, Doubles value) {
    for (std::size_t n = 0; n < DOUBLES && at + n < fit.count; ++n) {
        plane[fit.first + at + n] = static_cast<float>(lane(value, n));
    }
}

template <typename T, int TERMS>
void fit_band(const Fit<T>& fit, std::size_t band) {
    const int terms = terms_of<TERMS>(fit);
    const std::size_t apart = static_cast<std::size_t>(terms) + 1, pixels = fit.work.pixels;
    const T* source = fit.work.reflectance + band * pixels + fit.first;
    const std::size_t step = fit.work.bands * pixels;
    lay_out(fit, [&](std::size_t k, std::size_t i) { return kept(source[k * step + i], fit.valid(k)[i]); });
    for (std::size_t at = 0; at < fit.count; at += GROUP) {
        Doubles sums[HALVES * (TERMS + 1)];
        add_up_all(fit, at, terms - 1, sums);
        for (std::size_t h = 0; h < HALVES && at + h * DOUBLES < fit.count; ++h) {
            Doubles* own = sums + h * apart + 1;
            const std::size_t number = at / DOUBLES + h;
            Doubles error = solve<TERMS>(terms, fit.work.ridge, fit.sums + number * (fit.columns() + 2) + 1,
                                         fit.inverse(number), own[-1], own);
            for (std::size_t n = 0; n < DOUBLES; ++n) lane(error, n) = std::sqrt(lane(error, n));
            write_pixels(fit, fit.work.rmse + band * pixels, at + h * DOUBLES, error);
            for (int k = 0; k < terms; ++k) {
                float* plane = fit.work.coefficient + (k * fit.work.bands + band) * pixels;
                write_pixels(fit, plane, at + h * DOUBLES, own[k]);
            }
        }
    }
}

// Fits the pixels [first, stop), at most FITTED_TOGETHER. `scratch`, aligned to 32 bytes, has room for fit_scratch(...).
template <typename T, int TERMS>
void fit_block(const HarmonicFit<T>& work, std::size_t first, std::size_t stop, void* scratch) {
    const std::size_t registers = FITTED_TOGETHER / DOUBLES;
    Doubles* sums = static_cast<Doubles*>(scratch);
    Doubles* inverse = sums + registers * (static_cast<std::size_t>(columns_of(work.terms)) + 2);
    Doubles* values = inverse + registers * work.terms * work.terms;
    const Fit<T> fit{work, first, stop - first, sums, inverse, reinterpret_cast<typename HeldAs<T>::Type*>(values)};
    fit_mask<T, TERMS>(fit);
    for (std::size_t band = 0; band < work.bands; ++band) fit_band<T, TERMS>(fit, band);
}

template <typename T>
void fit_pixels(const HarmonicFit<T>& work, std::size_t first, std::size_t stop, void* scratch) {
    switch (work.terms) {
        case 3: return fit_block<T, 3>(work, first, stop, scratch);
        case 5: return fit_block<T, 5>(work, first, stop, scratch);
        case 7: return fit_block<T, 7>(work, first, stop, scratch);
        default: return fit_block<T, MOST_TERMS>(work, first, stop, scratch);
    }
}

}  // namespace
}  // namespace cropcube
