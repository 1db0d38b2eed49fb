// Gap filling (CUDA): a thread fills one series. Blocks: x over pixels, y over bands.
#define CROPCUBE_CUDA
#include "gap_fill.hpp"

extern "C" __global__ void __launch_bounds__(128)
gap_fill(const CROPCUBE_VALUE* values, const std::uint8_t* valid, const double* positions, std::size_t steps,
         std::size_t bands, std::size_t pixels, CROPCUBE_VALUE* filled, std::size_t first_band) {
    const std::size_t pixel = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    const cropcube::GapFill<CROPCUBE_VALUE> work{values, valid, positions, steps, bands, pixels, filled};
    cropcube::fill_series(work, first_band + blockIdx.y, pixel);
}
CROPCUBE_KERNEL(gap_fill)
