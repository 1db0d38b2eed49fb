// Spectral indices (CUDA): a thread has one pixel of one index. Where CROPCUBE_STATISTICS it goes through the steps in the
// order of `order` and gathers them; elsewhere it does one step. Blocks: x over pixels, y over indices, z over steps.
#define CROPCUBE_CUDA
#include "index_terms.hpp"

namespace cropcube {
namespace {

CROPCUBE_INLINE float value_at(const SpectralIndices& work, std::size_t index, std::size_t step, std::size_t y,
                               std::size_t x) {
    float above = work.constants[2 * index], below = work.constants[2 * index + 1];
    for (std::int32_t t = work.offsets[index]; t < work.offsets[index + 1]; ++t) {
        const IndexTerm term = work.terms[t];
        const IndexSource source = work.sources[term.source];
        const std::size_t plane = work.height * work.width * source.factor * source.factor;
        const std::uint16_t* values = source.values + (step * source.bands + term.band) * plane;
        const float value = source.valid
            ? mean_seen<0, true>(source, values, source.valid + step * plane, y, x, work.width)
            : mean_seen<0, false>(source, values, nullptr, y, x, work.width);
        above += term.above * value;
        below += term.below * value;
    }
    return ratio(above, below);
}

}  // namespace
}  // namespace cropcube

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
        IndexSums sums;
        for (std::size_t k = 0; k < steps; ++k) {
            gather(value_at(work, index, order[k], y, x), days[order[k]], sums.sum, sums.squares, sums.least, sums.most,
                   sums.day, sums.number);
        }
        statistics(sums, found + index * height * width + at, indices * height * width);
    } else {
        const std::size_t step = first_step + blockIdx.z;
        found[(step * indices + index) * height * width + at] = value_at(work, index, step, y, x);
    }
}
CROPCUBE_KERNEL(spectral_index)
