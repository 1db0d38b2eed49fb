// Medians of short windows (CUDA): a thread sorts the values of two pixels in registers, band after band, and keeps
// their masks in one register. Blocks: x over pairs of pixels, y over the windows in `which`, z over groups of bands.
#define CROPCUBE_CUDA
#include "networks.hpp"
#include "series_of_thread.hpp"

namespace cropcube {
namespace {

template <int N>
CROPCUBE_INLINE void reduce(const Series<2, CROPCUBE_PAIRED, CROPCUBE_STEADY>& series, const Bands& bands) {
    std::uint32_t clear = 0;  // of the first pixel in the low half, of the second in the high one
    CROPCUBE_UNROLL
    for (int k = 0; k < N; ++k) {
        const std::uint32_t both = series.clear(k);
        clear |= ((both & 1) | (both >> 1) << 16) << k;
    }
    const int first = __popc(clear & 0xffff), second = __popc(clear >> 16);
    if (bands.first == 0) series.write_clear(first, second);
    // Ranks of the middle values as single bits, so that looking for them is a shift and a mask.
    const std::uint32_t low_rank = (first ? 1u << ((first - 1) >> 1) : 0u) | (second ? 0x10000u << ((second - 1) >> 1) : 0u);
    const std::uint32_t high_rank = 1u << (first >> 1) | 0x10000u << (second >> 1);
    const std::uint32_t seen = (first ? 0xffffu : 0u) | (second ? 0xffff0000u : 0u);
    for (std::size_t band = bands.first; band < bands.stop; ++band) {
        const std::uint16_t* values = series.band(band);
        Lanes sorted[N];
        CROPCUBE_UNROLL
        for (int k = 0; k < N; ++k) {
            const std::uint32_t mask = ((clear >> k) & 0x00010001u) * 0xffffu;
            sorted[k] = choose(mask, series.values(k, values) ^ 0x80008000u, 0x7fff7fffu);
        }
        Sorter<N>::sort(sorted, std::make_index_sequence<Sorter<N>::network.count>{});
        Lanes low = 0, high = 0;
        CROPCUBE_UNROLL
        for (int k = 0; k <= N / 2 && k < N; ++k) {
            low |= ((low_rank >> k) & 0x00010001u) * 0xffffu & sorted[k];
            high |= ((high_rank >> k) & 0x00010001u) * 0xffffu & sorted[k];
        }
        series.write(band, mean_half_up(low, high) & seen);
    }
}

template <std::size_t... I>
CROPCUBE_INLINE void reduce_any(const Series<2, CROPCUBE_PAIRED, CROPCUBE_STEADY>& series, const Bands& bands, std::index_sequence<I...>) {
    const bool done = ((series.number == I + 1 && (reduce<static_cast<int>(I + 1)>(series, bands), true)) || ...);
    if (done) return;
    if (bands.first == 0) series.write_clear(0, 0);
    for (std::size_t band = bands.first; band < bands.stop; ++band) series.write(band, 0);
}

}  // namespace
}  // namespace cropcube

extern "C" __global__ void __launch_bounds__(128)
median_network(const std::uint16_t* reflectance, const std::uint8_t* valid, const std::int32_t* dates, const std::int32_t* offsets,
               std::size_t bands, std::size_t pixels, std::uint16_t* median, std::uint16_t* clear_count,
               const std::int32_t* which, std::size_t each) {
    const cropcube::Windows work{reflectance, valid, dates, offsets, bands, pixels, median, clear_count};
    const std::size_t at = 2 * (static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x);
    if (at >= work.pixels) return;
    const cropcube::Series<2, CROPCUBE_PAIRED, CROPCUBE_STEADY> series(work, at, which[blockIdx.y]);
    cropcube::reduce_any(series, cropcube::Bands(work.bands, each), std::make_index_sequence<cropcube::LONGEST_NETWORK>{});
}
CROPCUBE_KERNEL(median_network)
