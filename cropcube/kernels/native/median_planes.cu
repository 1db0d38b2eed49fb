// Medians of long windows (CUDA): a thread turns the values of its pixels into bit planes, which stay in registers, and
// selects in them: all 16 at once, or, of windows too long for that, in CROPCUBE_PHASES equal parts from the highest
// down, reading anew for each. Up to 32 * CROPCUBE_WORDS dates. Blocks: x over pixels, y over the windows in `which`, z over groups
// of bands.
#define CROPCUBE_CUDA
#include "bit_planes.hpp"
#include "series_of_thread.hpp"

namespace cropcube {
namespace {

constexpr int WORDS = CROPCUBE_WORDS, PIXELS = CROPCUBE_PIXELS, PHASES = CROPCUBE_PHASES;
static_assert(PHASES == 1 || PIXELS == 1, "several phases are for one pixel a thread");
using Long = Series<PIXELS, CROPCUBE_PAIRED, CROPCUBE_STEADY>;

// The planes [FIRST, STOP) of each pixel's values in one band.
template <int FIRST, int STOP, int OF>
CROPCUBE_INLINE void read_planes(const Long& series, std::size_t band, std::uint32_t (&planes)[OF][WORDS][STOP - FIRST]) {
    const std::uint16_t* values = series.band(band);
    CROPCUBE_UNROLL
    for (int w = 0; w < WORDS; ++w) {
        std::uint32_t words[OF][PLANES];
        CROPCUBE_UNROLL
        for (int t = 0; t < PLANES; ++t) {
            const int k = w * DATES_A_WORD + t;
            const std::uint32_t a = k < series.number ? series.values(k, values) : 0u;
            const std::uint32_t b = k + PLANES < series.number ? series.values(k + PLANES, values) : 0u;
            words[0][t] = __byte_perm(a, b, 0x5410);
            if (OF == 2) words[OF - 1][t] = __byte_perm(a, b, 0x7632);
        }
        CROPCUBE_UNROLL
        for (int p = 0; p < OF; ++p) {
            to_planes(words[p]);
            CROPCUBE_UNROLL
            for (int b = FIRST; b < STOP; ++b) planes[p][w][b - FIRST] = words[p][b];
        }
        CROPCUBE_FENCE;  // else the reads of all words are begun at once, which takes more registers than there are
    }
}

// Looks at the planes below `STOP`, some at a time.
template <int STOP>
CROPCUBE_INLINE void look_in_phases(const Long& series, std::size_t band, Middle<WORDS>& middle) {
    constexpr int FIRST = STOP - PLANES / PHASES;
    std::uint32_t planes[1][WORDS][STOP - FIRST];
    read_planes<FIRST, STOP>(series, band, planes);
    middle.template look_at<FIRST, STOP>(planes[0]);
    if constexpr (FIRST > 0) look_in_phases<FIRST>(series, band, middle);
}

CROPCUBE_INLINE void reduce(const Long& series, const Bands& bands) {
    std::uint32_t clear[PIXELS][WORDS];
    int count[PIXELS];
    CROPCUBE_UNROLL
    for (int w = 0; w < WORDS; ++w) {
        std::uint32_t first = 0, second = 0;
        CROPCUBE_UNROLL
        for (int t = 0; t < DATES_A_WORD; ++t) {
            const int k = w * DATES_A_WORD + t;
            const std::uint32_t both = k < series.number ? series.clear(k) : 0u;
            first |= (both & 1) << t;
            second |= (both >> 1) << t;
        }
        clear[0][w] = first;
        if (PIXELS == 2) clear[PIXELS - 1][w] = second;
    }
    CROPCUBE_UNROLL
    for (int p = 0; p < PIXELS; ++p) count[p] = count_bits<WORDS>(clear[p]);
    if (bands.first == 0) series.write_clear(count[0], count[PIXELS - 1]);
    for (std::size_t band = bands.first; band < bands.stop; ++band) {
        std::uint32_t found = 0;
        if (PHASES == 1) {
            std::uint32_t planes[PIXELS][WORDS][PLANES];
            read_planes<0, PLANES>(series, band, planes);
            CROPCUBE_UNROLL
            for (int p = 0; p < PIXELS; ++p) {
                Middle<WORDS> middle(clear[p], count[p]);
                middle.template look_at<0, PLANES>(planes[p]);
                found |= middle.mean(count[p]) << (16 * p);
            }
        } else {
            Middle<WORDS> middle(clear[0], count[0]);
            look_in_phases<PLANES>(series, band, middle);
            found = middle.mean(count[0]);
        }
        series.write(band, found);
    }
}

}  // namespace
}  // namespace cropcube

extern "C" __global__ void __launch_bounds__(128)
median_planes(const std::uint16_t* reflectance, const std::uint8_t* valid, const std::int32_t* dates, const std::int32_t* offsets,
              std::size_t bands, std::size_t pixels, std::uint16_t* median, std::uint16_t* clear_count,
              const std::int32_t* which, std::size_t each) {
    const cropcube::Windows work{reflectance, valid, dates, offsets, bands, pixels, median, clear_count};
    const std::size_t at = cropcube::PIXELS * (static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x);
    if (at >= work.pixels) return;
    cropcube::reduce(cropcube::Long(work, at, which[blockIdx.y]), cropcube::Bands(work.bands, each));
}
CROPCUBE_KERNEL(median_planes)
