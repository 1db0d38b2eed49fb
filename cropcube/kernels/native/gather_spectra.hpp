// Spectra of chosen pixels, turned from (pixels, bands) into planes of bands: what orthorectification moves.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace cropcube {

struct GatherSpectra {
    const float* source;         // (pixels, bands), of a mapped file perhaps: then on no whole number of floats
    std::size_t bands;
    const std::int32_t* pixel;   // (cells) of the source; negative = none
    std::size_t cells;
    float fill;                  // value of the source that becomes NaN
    const std::uint8_t* marked;  // (cells, marked_bytes) or null: bits, the highest first, of bands that become NaN
    std::size_t marked_bytes;
    const float* nothing;        // (bands) of NaN
    float* planes;               // (bands, cells)
};

namespace {

constexpr std::size_t TURNED = 16;  // cells turned together: a line of the cache in every plane

// Which of eight bands from `band` on are marked, the first one in the highest bit. `band` need not be a multiple of 8.
inline std::uint32_t marks_from(const GatherSpectra& work, std::size_t cell, std::size_t band) {
    if (work.marked == nullptr) return 0;
    const std::uint8_t* bytes = work.marked + cell * work.marked_bytes;
    const std::size_t at = band / 8, shift = band % 8;
    const std::uint32_t next = at + 1 < work.marked_bytes ? bytes[at + 1] : 0;
    return (((static_cast<std::uint32_t>(bytes[at]) << 8 | next) << shift) >> 8) & 0xff;
}

inline const float* spectrum_of(const GatherSpectra& work, std::int32_t pixel) {
    return pixel < 0 ? work.nothing : work.source + static_cast<std::size_t>(pixel) * work.bands;
}

inline void turn_one(const GatherSpectra& work, std::size_t cell, std::size_t band, std::size_t stop) {
    const float* from = spectrum_of(work, work.pixel[cell]);
    for (std::size_t b = band; b < stop; ++b) {
        float value;
        std::memcpy(&value, from + b, sizeof value);
        const bool marked = (marks_from(work, cell, b) & 0x80) != 0;
        work.planes[b * work.cells + cell] = marked || value == work.fill ? NAN : value;
    }
}

#if defined(__AVX2__)

// Eight bands of one pixel, NaN where they are the fill value or marked.
inline __m256 eight_bands(const GatherSpectra& work, std::size_t cell, const float* from, std::size_t band) {
    const __m256 value = _mm256_loadu_ps(from + band);
    __m256 none = _mm256_cmp_ps(value, _mm256_set1_ps(work.fill), _CMP_EQ_OQ);
    if (work.marked != nullptr) {
        const __m256i bit = _mm256_set_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        const __m256i all = _mm256_set1_epi32(static_cast<int>(marks_from(work, cell, band)));
        none = _mm256_or_ps(none, _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(all, bit), bit)));
    }
    return _mm256_blendv_ps(value, _mm256_set1_ps(NAN), none);
}

// Eight registers of eight bands of a pixel become eight registers of eight pixels of a band.
inline void turn_eight(__m256* row) {
    __m256 pair[8], four[8];
    for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
        pair[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        for (int half = 0; half < 2; ++half) {
            four[i + 2 * half] = _mm256_shuffle_ps(pair[i + half], pair[i + half + 2], 0x44);
            four[i + 2 * half + 1] = _mm256_shuffle_ps(pair[i + half], pair[i + half + 2], 0xee);
        }
    }
    for (int i = 0; i < 4; ++i) {
        row[i] = _mm256_permute2f128_ps(four[i], four[i + 4], 0x20);
        row[i + 4] = _mm256_permute2f128_ps(four[i], four[i + 4], 0x31);
    }
}

// The planes are written around the cache: no line of them is read first, and none pushes the source out.
template <bool Around>
inline void turn_group(const GatherSpectra& work, std::size_t cell) {
    const float* from[TURNED];
    for (std::size_t n = 0; n < TURNED; ++n) from[n] = spectrum_of(work, work.pixel[cell + n]);
    for (std::size_t b = 0; b < work.bands; b += 8) {
        const std::size_t band = b + 8 <= work.bands ? b : work.bands - 8;  // the last eight overlap those before
        __m256 left[8], right[8];
        for (std::size_t n = 0; n < 8; ++n) left[n] = eight_bands(work, cell + n, from[n], band);
        for (std::size_t n = 0; n < 8; ++n) right[n] = eight_bands(work, cell + n + 8, from[n + 8], band);
        turn_eight(left);
        turn_eight(right);
        for (std::size_t i = 0; i < 8; ++i) {
            float* to = work.planes + (band + i) * work.cells + cell;
            if (Around) {
                _mm256_stream_ps(to, left[i]);
                _mm256_stream_ps(to + 8, right[i]);
            } else {
                _mm256_storeu_ps(to, left[i]);
                _mm256_storeu_ps(to + 8, right[i]);
            }
        }
    }
}

inline void fetch_group(const GatherSpectra& work, std::size_t cell) {
    for (std::size_t n = cell; n < cell + TURNED; ++n) {
        if (work.pixel[n] < 0) continue;
        const char* at = reinterpret_cast<const char*>(spectrum_of(work, work.pixel[n]));
        for (std::size_t i = 0; i < work.bands * sizeof(float); i += 64) _mm_prefetch(at + i, _MM_HINT_T1);
    }
}

template <bool Around>
void turn_groups(const GatherSpectra& work, std::size_t begin, std::size_t end) {
    for (std::size_t cell = begin; cell < end; cell += TURNED) {
        if (cell + 2 * TURNED <= work.cells) fetch_group(work, cell + TURNED);
        turn_group<Around>(work, cell);
    }
    _mm_sfence();
}

#endif

// Writes cells [begin, end) of every plane; begin is a multiple of TURNED.
inline void gather_cells(const GatherSpectra& work, std::size_t begin, std::size_t end) {
    std::size_t groups = begin;
#if defined(__AVX2__)
    if (work.bands >= 8) {
        groups = begin + (end - begin) / TURNED * TURNED;
        const bool whole_lines = reinterpret_cast<std::uintptr_t>(work.planes) % 64 == 0 && work.cells % TURNED == 0;
        whole_lines ? turn_groups<true>(work, begin, groups) : turn_groups<false>(work, begin, groups);
    }
#endif
    for (std::size_t b = 0; b < work.bands; b += 8) {  // few bands at a time: their lines of the planes stay in the cache
        const std::size_t stop = b + 8 < work.bands ? b + 8 : work.bands;
        for (std::size_t cell = groups; cell < end; ++cell) turn_one(work, cell, b, stop);
    }
}

}  // namespace
}  // namespace cropcube
