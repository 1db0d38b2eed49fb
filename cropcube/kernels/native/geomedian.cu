// Geometric medians (CUDA): a thread finds that of one pixel and window, in steps that read its values again. Where
// CROPCUBE_HELD they lie in shared memory, elsewhere they are read from the device's. Blocks: x over pixels, y over
// windows. Shared memory of a thread: `longest` x bands uint16, then `longest` bytes.
#define CROPCUBE_CUDA
#include "geomedian_steps.hpp"

namespace cropcube {
namespace {

struct HeldValues {
    const std::uint16_t* values;  // (dates, bands), a block's threads apart
    const std::uint8_t* seen;
    int bands;
    unsigned apart;

    CROPCUBE_METHOD Floats operator()(int date, int band) const { return values[(date * bands + band) * apart]; }
    CROPCUBE_METHOD Floats clear(int date) const { return seen[date * apart] ? 1.0f : 0.0f; }
};

struct FarValues {
    const std::uint16_t* reflectance;
    const std::uint8_t* valid;
    const std::int32_t* dates;
    std::size_t bands, pixels, at;

    CROPCUBE_METHOD Floats operator()(int date, int band) const {
        return reflectance[(dates[date] * bands + band) * pixels + at];
    }
    CROPCUBE_METHOD Floats clear(int date) const { return valid[dates[date] * pixels + at] ? 1.0f : 0.0f; }
};

}  // namespace
}  // namespace cropcube

extern "C" __global__ void __launch_bounds__(128)
geomedian(const std::uint16_t* reflectance, const std::uint8_t* valid, const std::int32_t* dates,
          const std::int32_t* offsets, int longest, std::size_t bands, std::size_t pixels, std::uint16_t* found,
          std::uint16_t* clear_count, std::size_t first_window) {
    using namespace cropcube;
    CROPCUBE_SHARED(std::uint16_t, held);
    const std::size_t at = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    const std::size_t window = first_window + blockIdx.y;
    if (at >= pixels) return;
    const int begin = offsets[window], number = offsets[window + 1] - begin;
    const FarValues far{reflectance, valid, dates + begin, bands, pixels, at};
    int count = 0;
    for (int k = 0; k < number; ++k) count += valid[dates[begin + k] * pixels + at] ? 1 : 0;
    clear_count[window * pixels + at] = static_cast<std::uint16_t>(count);
    using Search = Geomedian<CROPCUBE_BANDS>;
    Floats centre[Search::HELD];
    const Search search{number, CROPCUBE_BANDS > 0 ? CROPCUBE_BANDS : static_cast<int>(bands)};
    if (CROPCUBE_HELD) {
        const unsigned threads = blockDim.x;
        std::uint16_t* values = held + threadIdx.x;
        std::uint8_t* seen = reinterpret_cast<std::uint8_t*>(held + longest * bands * threads) + threadIdx.x;
        for (int k = 0; k < number; ++k) {
            const std::size_t date = dates[begin + k];
            seen[k * threads] = valid[date * pixels + at];
            for (std::size_t b = 0; b < bands; ++b) {
                values[(k * bands + b) * threads] = reflectance[(date * bands + b) * pixels + at];
            }
        }
        search.find(HeldValues{values, seen, search.width, threads}, centre);
    } else {
        search.find(far, centre);
    }
    CROPCUBE_UNROLL
    for (int b = 0; b < search.width; ++b) {
        found[(window * bands + b) * pixels + at] = static_cast<std::uint16_t>(centre[b] + 0.5f);
    }
}
CROPCUBE_KERNEL(geomedian)
