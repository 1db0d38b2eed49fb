// Samples packed for a classifier: features (steps, bands, pixels) of one resolution, gathered at chosen pixels, their
// gaps filled linearly in time, into rows (samples, bands, steps) of the same type or of float.
//
// A gather of one pixel would touch a cache line in each of steps x bands planes for two bytes of it. So a block of
// samples is taken through all planes at once: labelled pixels come sorted by place, and neighbours share those lines.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SSE2__) && !defined(CROPCUBE_ONE_LANE)
#include <emmintrin.h>
#endif

namespace cropcube {

constexpr std::size_t PACKED_TOGETHER = 32;  // pixels in a block
constexpr std::size_t FETCHED_AHEAD = 2;     // rows
constexpr std::size_t MOST_STEPS = 4096;     // so that a filled value is exact, see divided

template <typename T, typename R>
struct PackSamples {
    const T* source;              // (steps, bands, pixels)
    const std::int64_t* pixel;    // (samples) offset into a plane
    const std::int64_t* row;      // (samples) where each goes
    const std::int32_t* band;     // (bands) which band of the rows each is
    std::size_t steps, bands, pixels;
    std::size_t first, stop;      // steps that are written
    std::size_t row_bands;        // bands of a row
    R* rows;                      // (samples, row_bands, stop - first)
    const std::uint64_t* inverses;  // (MOST_STEPS) of the spans of gaps, see divided
};

// Rows that are taken and scaled: (rows[which] - mean) / deviation.
template <typename R>
struct TakeScaled {
    const R* rows;              // (any, length)
    const std::int64_t* which;  // (count)
    const float* mean;          // (length)
    const float* deviation;
    std::size_t length;
    float* taken;               // (count, length)
};

namespace {

// (2 a + span) / (2 span), rounded down: a / span rounded half up, for a <= 65535 * span, exactly.
// floor(v * (floor(2^44 / d) + 1) / 2^44) is floor(v / d) while v d < 2^44; here v < 2^17 span and d < 2^13.
inline std::uint64_t divided(std::uint64_t a, std::uint64_t span, std::uint64_t inverse) {
    return ((2 * a + span) * inverse) >> 44;
}

// Writes the steps [first, stop) of one band of one sample.
template <typename T, typename R>
inline void copy_steps(const T* series, std::size_t first, std::size_t stop, R* row) {
    for (std::size_t s = first; s < stop; ++s) row[s - first] = static_cast<R>(series[s]);
}

// Whether two series have values at the same steps.
inline bool alike(const std::uint16_t* one, const std::uint16_t* other, std::size_t steps) {
    unsigned differs = 0;
    for (std::size_t s = 0; s < steps; ++s) differs |= static_cast<unsigned>((one[s] != 0) != (other[s] != 0));
    return differs == 0;
}

// Fills the gaps of `count` series in place, `stride` apart: a step has a value in all of them or in none.
inline void fill_gaps(std::uint16_t* series, std::size_t stride, std::size_t count, std::size_t steps,
                      const std::uint64_t* inverses) {
    std::size_t before = steps;  // none yet
    for (std::size_t s = 0; s < steps; ++s) {
        if (series[s] == 0) continue;
        if (before == steps) {
            for (std::size_t n = 0; n < count; ++n) {
                std::uint16_t* of = series + n * stride;
                for (std::size_t t = 0; t < s; ++t) of[t] = of[s];
            }
        } else if (s - before > 1) {
            const std::uint64_t span = s - before;
            const std::uint64_t inverse = inverses[span];
            for (std::size_t n = 0; n < count; ++n) {
                std::uint16_t* of = series + n * stride + before;
                std::uint64_t weighted = std::uint64_t{of[0]} * span;  // of the two ends, by their distance
                for (std::size_t t = 1; t < span; ++t) {
                    weighted += of[span];
                    weighted -= of[0];
                    of[t] = static_cast<std::uint16_t>(divided(weighted, span, inverse));
                }
            }
        }
        before = s;
    }
    for (std::size_t n = 0; n < count; ++n) {
        std::uint16_t* of = series + n * stride;
        const std::uint16_t held = before == steps ? 0 : of[before];
        for (std::size_t t = before == steps ? 0 : before + 1; t < steps; ++t) of[t] = held;
    }
}

// Fills the gaps of pixels (bands, steps) in place: where the first band of one has a value, all have. Clouds are larger
// than pixels: neighbours that miss the same steps are filled together, so that their gaps are looked for once.
inline void fill_pixels(std::uint16_t* pixels, std::size_t count, std::size_t bands, std::size_t steps,
                        const std::uint64_t* inverses) {
    for (std::size_t n = 0, stop = 0; n < count; n = stop) {
        std::uint16_t* first = pixels + n * bands * steps;
        for (stop = n + 1; stop < count && alike(first, pixels + stop * bands * steps, steps);) ++stop;
        fill_gaps(first, steps, (stop - n) * bands, steps, inverses);
    }
}

inline void fill_pixels(float*, std::size_t, std::size_t, std::size_t, const std::uint64_t*) {}  // terms of a fit: none

// Writes planes first .. first + 7 of one band, eight pixels from `plane` on, as eight series at `to`, `sample` apart.
template <typename T>
inline void turn_eight(const T* plane, std::size_t step, T* to, std::size_t sample) {
    for (std::size_t s = 0; s < 8; ++s) {
        for (std::size_t n = 0; n < 8; ++n) to[n * sample + s] = plane[s * step + n];
    }
}

#if defined(__SSE2__) && !defined(CROPCUBE_ONE_LANE)
inline void turn_eight(const std::uint16_t* plane, std::size_t step, std::uint16_t* to, std::size_t sample) {
    __m128i rows[8], pairs[8], fours[8];
    for (int s = 0; s < 8; ++s) rows[s] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(plane + s * step));
    for (int s = 0; s < 4; ++s) {
        pairs[2 * s] = _mm_unpacklo_epi16(rows[2 * s], rows[2 * s + 1]);  // pixels 0 .. 3 of two steps
        pairs[2 * s + 1] = _mm_unpackhi_epi16(rows[2 * s], rows[2 * s + 1]);
    }
    for (int half = 0; half < 2; ++half) {
        for (int s = 0; s < 2; ++s) {  // pixels 0, 1 (and then 2, 3) of four steps
            fours[4 * half + 2 * s] = _mm_unpacklo_epi32(pairs[4 * s + half], pairs[4 * s + 2 + half]);
            fours[4 * half + 2 * s + 1] = _mm_unpackhi_epi32(pairs[4 * s + half], pairs[4 * s + 2 + half]);
        }
    }
    for (int half = 0; half < 2; ++half) {
        for (int two = 0; two < 2; ++two) {
            const __m128i early = fours[4 * half + two], late = fours[4 * half + 2 + two];
            std::uint16_t* at = to + (4 * half + 2 * two) * sample;
            _mm_storeu_si128(reinterpret_cast<__m128i*>(at), _mm_unpacklo_epi64(early, late));
            _mm_storeu_si128(reinterpret_cast<__m128i*>(at + sample), _mm_unpackhi_epi64(early, late));
        }
    }
}
#endif

// Gathers the series of `count` pixels into scratch (pixels, bands, steps); runs of eight neighbours eight at a time.
// All runs take their part of eight planes before the next eight: planes lie a power of two apart, so that the lines of
// many of them push one another out of the cache.
template <typename T, typename R>
void gather(const PackSamples<T, R>& work, const std::int64_t* pixel, std::size_t count, T* scratch) {
    const std::size_t steps = work.steps, sample = work.bands * steps, step = work.bands * work.pixels;
    std::size_t run[PACKED_TOGETHER], runs = 0, lone[PACKED_TOGETHER], lones = 0;
    for (std::size_t n = 0; n < count;) {
        bool neighbours = n + 8 <= count;
        for (std::int64_t i = 1; neighbours && i < 8; ++i) neighbours = pixel[n + i] == pixel[n] + i;
        if (neighbours) {
            run[runs++] = n;
            n += 8;
        } else {
            lone[lones++] = n++;
        }
    }
    for (std::size_t b = 0; b < work.bands; ++b) {
        const T* band = work.source + b * work.pixels;
        T* to = scratch + b * steps;
        for (std::size_t s = 0; s < steps; s += 8) {
            const std::size_t stop = s + 8 < steps ? s + 8 : steps;
            const std::size_t eights = stop - s == 8 ? runs : 0;  // fewer steps are left: pixel by pixel
            for (std::size_t i = 0; i < eights; ++i) {
                turn_eight(band + s * step + pixel[run[i]], step, to + run[i] * sample + s, sample);
            }
            for (std::size_t t = s; t < stop; ++t) {
                const T* plane = band + t * step;
                for (std::size_t i = eights; i < runs; ++i) {
                    for (std::size_t n = run[i]; n < run[i] + 8; ++n) to[n * sample + t] = plane[pixel[n]];
                }
                for (std::size_t i = 0; i < lones; ++i) to[lone[i] * sample + t] = plane[pixel[lone[i]]];
            }
        }
    }
}

// Packs samples [begin, end), PACKED_TOGETHER pixels at a time. A pixel that several in a row ask for (four of 10 m lie
// in one of 20 m) is gathered and filled once.
template <typename T, typename R>
void pack_block(const PackSamples<T, R>& work, std::size_t begin, std::size_t end, T* scratch) {
    const std::size_t sample = work.bands * work.steps, length = work.stop - work.first;
    std::int64_t pixel[PACKED_TOGETHER];
    for (std::size_t stop = begin; begin < end; begin = stop) {
        std::size_t count = 0;
        for (; stop < end; ++stop) {
            if (count > 0 && pixel[count - 1] == work.pixel[stop]) continue;
            if (count == PACKED_TOGETHER) break;
            pixel[count++] = work.pixel[stop];
        }
        gather(work, pixel, count, scratch);
        fill_pixels(scratch, count, work.bands, work.steps, work.inverses);
        for (std::size_t n = begin, place = 0; n < stop; ++n) {
            if (work.pixel[n] != pixel[place]) ++place;
            const T* series = scratch + place * sample;
            R* row = work.rows + work.row[n] * work.row_bands * length;
            for (std::size_t b = 0; b < work.bands; ++b) {
                copy_steps(series + b * work.steps, work.first, work.stop, row + work.band[b] * length);
            }
        }
    }
}

// Asks for the memory of a row ahead of its use: in a random order no processor guesses what comes next.
template <typename R>
inline void fetch_ahead(const R* row, std::size_t length) {
#if defined(__GNUC__)
    const char* at = reinterpret_cast<const char*>(row);
    for (std::size_t i = 0; i < length * sizeof(R); i += 64) __builtin_prefetch(at + i, 0, 2);
#endif
}

template <typename R>
void take_rows(const TakeScaled<R>& work, std::size_t count) {
    for (std::size_t n = 0; n < count; ++n) {
        const R* from = work.rows + work.which[n] * work.length;
        if (n + FETCHED_AHEAD < count) fetch_ahead(work.rows + work.which[n + FETCHED_AHEAD] * work.length, work.length);
        float* to = work.taken + n * work.length;
        for (std::size_t i = 0; i < work.length; ++i) {
            to[i] = (static_cast<float>(from[i]) - work.mean[i]) / work.deviation[i];
        }
    }
}

}  // namespace
}  // namespace cropcube
