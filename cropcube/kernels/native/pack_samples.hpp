// Samples packed for a classifier: features (steps, bands, pixels) of one resolution, gathered at chosen pixels, their
// gaps filled linearly in time, into rows (samples, bands, steps) of float.
//
// A gather of one pixel would touch a cache line in each of steps x bands planes for two bytes of it. So a block of
// samples is taken through all planes at once: labelled pixels come sorted by place, and neighbours share those lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cropcube {

constexpr std::size_t PACKED_TOGETHER = 32;  // samples in a block
constexpr std::size_t MOST_STEPS = 4096;     // so that a filled value is exact, see Divider

template <typename T>
struct PackSamples {
    const T* source;              // (steps, bands, pixels)
    const std::int64_t* pixel;    // (samples) offset into a plane
    const std::int32_t* band;     // (bands) which band of the rows each is
    std::size_t steps, bands, pixels;
    std::size_t first, stop;      // steps that are written
    std::size_t row_bands;        // bands of a row
    float* rows;                  // (samples, row_bands, stop - first)
};

namespace {

// (2 a + span) / (2 span), rounded down: a / span rounded half up, for a <= 65535 * span, exactly.
// floor(v * (floor(2^44 / d) + 1) / 2^44) is floor(v / d) while v d < 2^44; here v < 2^17 span and d < 2^13.
class Divider {
public:
    explicit Divider(std::uint64_t span) : span_(span), inverse_((std::uint64_t{1} << 44) / (2 * span) + 1) {}
    std::uint64_t operator()(std::uint64_t a) const { return ((2 * a + span_) * inverse_) >> 44; }

private:
    std::uint64_t span_, inverse_;
};

// Writes the steps [first, stop) of one band of one sample.
template <typename T>
inline void copy_steps(const T* series, std::size_t first, std::size_t stop, float* row) {
    for (std::size_t s = first; s < stop; ++s) row[s - first] = static_cast<float>(series[s]);
}

// Fills the gaps of one sample's series in place: bands are `stride` apart, and a step has a value where the first has.
inline void fill_gaps(std::uint16_t* series, std::size_t stride, std::size_t bands, std::size_t steps) {
    std::size_t before = steps;  // none yet
    for (std::size_t s = 0; s < steps; ++s) {
        if (series[s] == 0) continue;
        if (before == steps) {
            for (std::size_t b = 0; b < bands; ++b) {
                std::uint16_t* of = series + b * stride;
                for (std::size_t t = 0; t < s; ++t) of[t] = of[s];
            }
        } else if (s - before > 1) {
            const std::uint64_t span = s - before;
            const Divider divided(span);
            for (std::size_t b = 0; b < bands; ++b) {
                std::uint16_t* of = series + b * stride + before;
                std::uint64_t weighted = std::uint64_t{of[0]} * span;  // of the two ends, by their distance
                for (std::size_t t = 1; t < span; ++t) {
                    weighted += of[span];
                    weighted -= of[0];
                    of[t] = static_cast<std::uint16_t>(divided(weighted));
                }
            }
        }
        before = s;
    }
    for (std::size_t b = 0; b < bands; ++b) {
        std::uint16_t* of = series + b * stride;
        const std::uint16_t held = before == steps ? 0 : of[before];
        for (std::size_t t = before == steps ? 0 : before + 1; t < steps; ++t) of[t] = held;
    }
}

inline void fill_gaps(float*, std::size_t, std::size_t, std::size_t) {}  // terms of a fit have none

// Packs samples [begin, end); at most PACKED_TOGETHER of them.
template <typename T>
void pack_block(const PackSamples<T>& work, std::size_t begin, std::size_t end, std::vector<T>& scratch) {
    const std::size_t stride = work.steps, sample = work.bands * stride, count = end - begin;
    scratch.resize(PACKED_TOGETHER * sample);
    for (std::size_t s = 0; s < work.steps; ++s) {
        for (std::size_t b = 0; b < work.bands; ++b) {
            const T* plane = work.source + (s * work.bands + b) * work.pixels;
            T* to = scratch.data() + b * stride + s;
            for (std::size_t n = 0; n < count; ++n) to[n * sample] = plane[work.pixel[begin + n]];
        }
    }
    const std::size_t length = work.stop - work.first;
    for (std::size_t n = 0; n < count; ++n) {
        T* series = scratch.data() + n * sample;
        fill_gaps(series, stride, work.bands, work.steps);
        float* row = work.rows + (begin + n) * work.row_bands * length;
        for (std::size_t b = 0; b < work.bands; ++b) {
            copy_steps(series + b * stride, work.first, work.stop, row + work.band[b] * length);
        }
    }
}

}  // namespace
}  // namespace cropcube
