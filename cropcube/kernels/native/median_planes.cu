// Medians of long windows (CUDA): a thread turns the values of its pixels into bit planes and selects in them. Planes
// stay in registers, or, of windows too long for that, in the block's shared memory (CROPCUBE_HELD = true; then 68 bytes a
// word and thread, of planes and mask). CROPCUBE_WORDS words of 32 dates, of which the last may be short. Blocks: x over pixels, y over the
// windows in `which`, z over groups of bands.
#define CROPCUBE_CUDA
// What is in registers must be indexed by constants; what is not stays a loop, or all reads would begin at once.
#if CROPCUBE_HELD
#define CROPCUBE_EACH_WORD CROPCUBE_LOOP
#define CROPCUBE_EACH_PLANE CROPCUBE_LOOP
#else
#define CROPCUBE_EACH_WORD CROPCUBE_UNROLL
#endif
#include "bit_planes.hpp"
#include "series_of_thread.hpp"

namespace cropcube {
namespace {

constexpr int WORDS = CROPCUBE_WORDS, PIXELS = CROPCUBE_PIXELS;
static_assert(PIXELS == 1 || !CROPCUBE_HELD, "planes of one pixel a thread in shared memory");
using Long = Series<PIXELS, CROPCUBE_PAIRED, CROPCUBE_STEADY>;

struct InRegisters {
    std::uint32_t words[PIXELS][WORDS][PLANES], mask[PIXELS][WORDS];
    CROPCUBE_METHOD std::uint32_t clear(int pixel, int w) const { return mask[pixel][w]; }
    CROPCUBE_METHOD void keep_clear(int pixel, int w, std::uint32_t bits) { mask[pixel][w] = bits; }
    CROPCUBE_METHOD auto& of(int pixel) { return words[pixel]; }
    CROPCUBE_METHOD void keep(int pixel, int w, const std::uint32_t (&planes)[PLANES]) {
        CROPCUBE_UNROLL
        for (int b = 0; b < PLANES; ++b) words[pixel][w][b] = planes[b];
    }
};

// Neighbours in a warp lie side by side. Volatile, or the compiler would keep in registers what it has just written.
struct InSharedMemory {
    volatile std::uint32_t* first;
    struct Word {
        const volatile std::uint32_t* first;
        CROPCUBE_METHOD std::uint32_t operator[](int b) const { return first[b * blockDim.x]; }
    };
    CROPCUBE_METHOD Word operator[](int w) const { return {first + w * PLANES * blockDim.x}; }
    CROPCUBE_METHOD std::uint32_t clear(int, int w) const { return first[(WORDS * PLANES + w) * blockDim.x]; }
    CROPCUBE_METHOD void keep_clear(int, int w, std::uint32_t bits) { first[(WORDS * PLANES + w) * blockDim.x] = bits; }
    CROPCUBE_METHOD auto& of(int) { return *this; }
    CROPCUBE_METHOD void keep(int, int w, const std::uint32_t (&planes)[PLANES]) {
        CROPCUBE_UNROLL
        for (int b = 0; b < PLANES; ++b) first[(w * PLANES + b) * blockDim.x] = planes[b];
    }
};

// Whether word w has a date k: only the last one is not full.
CROPCUBE_INLINE bool is_there(const Long& series, int w, int k) { return w + 1 < WORDS || k < series.number; }

template <typename Planes>
CROPCUBE_INLINE void read_planes(const Long& series, std::size_t band, Planes& planes) {
    const std::uint16_t* values = series.band(band);
    CROPCUBE_EACH_WORD
    for (int w = 0; w < WORDS; ++w) {
        std::uint32_t words[PIXELS][PLANES];
        CROPCUBE_UNROLL
        for (int t = 0; t < PLANES; ++t) {
            const int k = w * DATES_A_WORD + t;
            const std::uint32_t a = is_there(series, w, k) ? series.values(k, values) : 0u;
            const std::uint32_t b = is_there(series, w, k + PLANES) ? series.values(k + PLANES, values) : 0u;
            words[0][t] = __byte_perm(a, b, 0x5410);
            if (PIXELS == 2) words[PIXELS - 1][t] = __byte_perm(a, b, 0x7632);
        }
        CROPCUBE_UNROLL
        for (int p = 0; p < PIXELS; ++p) {
            to_planes(words[p]);
            planes.keep(p, w, words[p]);
        }
    }
}

template <typename Planes>
CROPCUBE_INLINE void reduce(const Long& series, const Bands& bands, Planes& planes) {
    CROPCUBE_EACH_WORD
    for (int w = 0; w < WORDS; ++w) {
        std::uint32_t first = 0, second = 0;
        CROPCUBE_UNROLL
        for (int t = 0; t < DATES_A_WORD; ++t) {
            const int k = w * DATES_A_WORD + t;
            const std::uint32_t both = is_there(series, w, k) ? series.clear(k) : 0u;
            first |= (both & 1) << t;
            second |= (both >> 1) << t;
        }
        planes.keep_clear(0, w, first);
        if (PIXELS == 2) planes.keep_clear(PIXELS - 1, w, second);
    }
    std::uint32_t clear[PIXELS][WORDS];
    int count[PIXELS];
    CROPCUBE_UNROLL
    for (int p = 0; p < PIXELS; ++p) {
        CROPCUBE_UNROLL
        for (int w = 0; w < WORDS; ++w) clear[p][w] = planes.clear(p, w);
        count[p] = count_bits<WORDS>(clear[p]);
    }
    if (bands.first == 0) series.write_clear(count[0], count[PIXELS - 1]);
    for (std::size_t band = bands.first; band < bands.stop; ++band) {
        read_planes(series, band, planes);
        std::uint32_t found = 0;
        CROPCUBE_UNROLL
        for (int p = 0; p < PIXELS; ++p) found |= middle<WORDS>(planes.of(p), clear[p], count[p]) << (16 * p);
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
    const cropcube::Long series(work, at, which[blockIdx.y]);
    const cropcube::Bands some(work.bands, each);
#if CROPCUBE_HELD
    CROPCUBE_SHARED(std::uint32_t, held);
    cropcube::InSharedMemory planes{held + threadIdx.x};
#else
    cropcube::InRegisters planes;
#endif
    cropcube::reduce(series, some, planes);
}
CROPCUBE_KERNEL(median_planes)
