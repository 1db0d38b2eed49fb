// Spectral indices (CUDA): a thread has one pixel of one index. Where CROPCUBE_STATISTICS it goes through the steps in the
// order of `order` and gathers them; elsewhere it does one step. Blocks: x over pixels, y over indices, z over steps.
#define CROPCUBE_CUDA
#include "index_terms.hpp"

extern "C" __global__ void __launch_bounds__(128)
spectral_index(const void* sources, const void* terms, const std::int32_t* offsets, const float* constants,
               std::size_t indices, std::size_t height, std::size_t width, const std::int32_t* order, const float* days,
               std::size_t steps, std::size_t first_step, float* found) {
    using namespace cropcube;
    const std::size_t at = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= height * width) return;
    const SpectralIndices work{static_cast<const IndexSource*>(sources), static_cast<const IndexTerm*>(terms), offsets,
                               constants, indices, height, width};
    const std::size_t index = blockIdx.y, y = at / width, x = at % width;
    if (CROPCUBE_STATISTICS) {
        IndexSums sums = no_sums();
        for (std::size_t k = 0; k < steps; ++k) {
            gather(sums, index_at(IndexRow(work, index, order[k], y), x, 1), days[order[k]]);
        }
        Floats made[STATISTICS];
        statistics(sums, made);
        for (std::size_t s = 0; s < STATISTICS; ++s) found[(s * indices + index) * height * width + at] = made[s];
    } else {
        const std::size_t step = first_step + blockIdx.z;
        found[(step * indices + index) * height * width + at] = index_at(IndexRow(work, index, step, y), x, 1);
    }
}
CROPCUBE_KERNEL(spectral_index)
