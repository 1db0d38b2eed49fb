// Medians of windows too long for registers (CUDA): the lower middle value bit by bit, by counting values below a
// candidate, the upper one in one more pass; values and masks are read anew in each. Blocks: x over pixels, y over the
// windows in `which`, z over groups of bands.
#define CROPCUBE_CUDA
#include "series_of_thread.hpp"

namespace cropcube {
namespace {

using Long = Series<1, false, false>;

CROPCUBE_INLINE std::uint16_t middle(const Long& series, const std::uint16_t* band, int count) {
    const int rank = (count - 1) >> 1;
    std::uint32_t low = 0, next = 0xffff;
    for (int bit = 15; bit >= 0; --bit) {
        const std::uint32_t candidate = low | 1u << bit;
        int below = 0;
        for (int k = 0; k < series.number; ++k) below += series.clear(k) && series.values(k, band) < candidate;
        low = rank < below ? low : candidate;
    }
    int up_to = 0;
    for (int k = 0; k < series.number; ++k) {
        if (!series.clear(k)) continue;
        const std::uint32_t value = series.values(k, band);
        up_to += value <= low;
        next = value > low && value < next ? value : next;
    }
    const std::uint32_t high = count / 2 < up_to ? low : next;
    return static_cast<std::uint16_t>((low + high + 1) >> 1);
}

}  // namespace
}  // namespace cropcube

extern "C" __global__ void __launch_bounds__(128)
median_counts(const std::uint16_t* reflectance, const std::uint8_t* valid, const std::int32_t* dates, const std::int32_t* offsets,
              std::size_t bands, std::size_t pixels, std::uint16_t* median, std::uint16_t* clear_count,
              const std::int32_t* which, std::size_t each) {
    const cropcube::Windows work{reflectance, valid, dates, offsets, bands, pixels, median, clear_count};
    const std::size_t at = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= work.pixels) return;
    const cropcube::Long series(work, at, which[blockIdx.y]);
    const cropcube::Bands some(work.bands, each);
    int count = 0;
    for (int k = 0; k < series.number; ++k) count += series.clear(k);
    if (some.first == 0) series.write_clear(count, 0);
    for (std::size_t band = some.first; band < some.stop; ++band) {
        series.write(band, count > 0 ? cropcube::middle(series, series.band(band), count) : 0);
    }
}
CROPCUBE_KERNEL(median_counts)
