// Masks (CUDA): a thread looks at one quality pixel, at those that a disc around it holds until one spreads, and at the
// reflectance of the pixels that it covers. Blocks: x over columns, y over rows, z over dates of quality pixels.
#define CROPCUBE_CUDA
#include "clear_mask.hpp"

namespace cropcube {
namespace {

CROPCUBE_INLINE bool spread_to(const ClearMask& work, const std::uint8_t* quality, std::size_t y, std::size_t x) {
    for (std::size_t away = 0; away <= work.radius; ++away) {
        const std::size_t reach = reach_of(work.radius, away);
        const std::size_t first = x > reach ? x - reach : 0, last = x + reach < work.width ? x + reach : work.width - 1;
        for (std::size_t at = first; at <= last; ++at) {
            if (y + away < work.height && work.kind[quality[(y + away) * work.width + at]] == SPREADS) return true;
            if (y >= away && work.kind[quality[(y - away) * work.width + at]] == SPREADS) return true;
        }
    }
    return false;
}

CROPCUBE_INLINE void mask_pixel(const ClearMask& work, std::size_t date, std::size_t y, std::size_t x) {
    const std::uint8_t* quality = work.quality + date * work.height * work.width;
    const std::size_t there = (work.row + y) * work.width + work.col + x;
    const bool kept = work.kind[quality[there]] == KEPT &&
                      !(work.radius > 0 && spread_to(work, quality, work.row + y, work.col + x));
    const std::size_t width = work.cols * work.repeats, pixels = work.rows * work.repeats * width;
    for (std::size_t m = 0; m < work.repeats; ++m) {
        for (std::size_t n = 0; n < work.repeats; ++n) {
            const std::size_t at = (y * work.repeats + m) * width + x * work.repeats + n;
            bool clear = kept;
            for (std::size_t band = 0; clear && band < work.bands; ++band) {
                clear = work.reflectance[(date * work.bands + band) * pixels + at] != 0;
            }
            work.clear[date * pixels + at] = clear;
        }
    }
}

}  // namespace
}  // namespace cropcube

extern "C" __global__ void __launch_bounds__(128)
clear_mask(const std::uint8_t* quality, std::size_t height, std::size_t width, const std::uint8_t* kind,
           std::size_t radius, std::size_t row, std::size_t col, std::size_t rows, std::size_t cols, std::size_t repeats,
           const std::uint16_t* reflectance, std::size_t bands, std::uint8_t* clear, std::size_t first_date) {
    const std::size_t x = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (x >= cols) return;
    const cropcube::ClearMask work{quality, height, width, kind, radius, row, col, rows, cols, repeats,
                                   reflectance, bands, clear};
    cropcube::mask_pixel(work, first_date + blockIdx.z, blockIdx.y, x);
}
CROPCUBE_KERNEL(clear_mask)
