// Percentiles (CUDA). Where CROPCUBE_HELD a thread sorts the series of two pixels in shared memory, 4 bytes a date, by the
// network in `network`; elsewhere it finds each value bit by bit, by counting those below a candidate, and reads the
// series anew each time. Blocks: x over pixels (pairs of them where held), y over groups of bands.
#define CROPCUBE_CUDA
#include "between.hpp"
#include "lanes.hpp"

namespace cropcube {
namespace {

struct Season {
    const std::uint16_t* reflectance;  // (dates, bands, pixels)
    const std::uint8_t* valid;         // (dates, pixels)
    int dates;
    std::size_t bands, pixels;

    CROPCUBE_METHOD std::uint32_t value(int date, std::size_t band, std::size_t at) const {
        return reflectance[(date * bands + band) * pixels + at];
    }
    CROPCUBE_METHOD bool clear(int date, std::size_t at) const { return valid[date * pixels + at] != 0; }
    CROPCUBE_METHOD std::uint32_t count(std::size_t at) const {
        std::uint32_t seen = 0;
        for (int k = 0; k < dates; ++k) seen += clear(k, at);
        return seen;
    }
};

struct Counted {
    const Season& season;
    std::size_t band, at;

    CROPCUBE_METHOD std::uint32_t operator()(std::uint32_t rank) const {
        std::uint32_t found = 0;
        for (int bit = 15; bit >= 0; --bit) {
            const std::uint32_t candidate = found | 1u << bit;
            std::uint32_t less = 0;
            for (int k = 0; k < season.dates; ++k) less += season.clear(k, at) && season.value(k, band, at) < candidate;
            found = rank < less ? found : candidate;
        }
        return found;
    }
};

struct Half {
    const Lanes* sorted;
    unsigned apart, shift;
    CROPCUBE_METHOD std::uint32_t operator()(std::uint32_t rank) const {
        return (sorted[rank * apart] >> shift & 0xffff) ^ SIGN;
    }
};

}  // namespace
}  // namespace cropcube

extern "C" __global__ void __launch_bounds__(128)
percentiles(const std::uint16_t* reflectance, const std::uint8_t* valid, const std::int32_t* thousandths,
            const std::int32_t* network, int dates, std::size_t bands, std::size_t pixels, std::size_t wanted,
            std::size_t exchanges, std::uint16_t* percentile, std::uint16_t* clear_count, std::size_t each) {
    using namespace cropcube;
    CROPCUBE_SHARED(Lanes, held);
    constexpr std::size_t PIXELS = CROPCUBE_HELD ? 2 : 1;
    const std::size_t at = PIXELS * (static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x);
    if (at >= pixels) return;
    const Season season{reflectance, valid, dates, bands, pixels};
    const std::size_t begin = blockIdx.y * each, end = begin + each < bands ? begin + each : bands;
    const bool second = PIXELS == 2 && at + 1 < pixels;
    const std::uint32_t counts[2] = {season.count(at), second ? season.count(at + 1) : 0u};
    if (begin == 0) {
        clear_count[at] = static_cast<std::uint16_t>(counts[0]);
        if (second) clear_count[at + 1] = static_cast<std::uint16_t>(counts[1]);
    }
    const unsigned threads = blockDim.x;
    Lanes* sorted = held + threadIdx.x;
    for (std::size_t band = begin; band < end; ++band) {
        if (CROPCUBE_HELD) {
            for (int k = 0; k < dates; ++k) {
                const std::uint32_t low = season.clear(k, at) ? season.value(k, band, at) : 0xffffu;
                const std::uint32_t high = second && season.clear(k, at + 1) ? season.value(k, band, at + 1) : 0xffffu;
                sorted[k * threads] = (low | high << 16) ^ 0x80008000u;
            }
            for (std::size_t i = 0; i < exchanges; ++i) {
                Lanes &low = sorted[network[2 * i] * threads], &high = sorted[network[2 * i + 1] * threads];
                const Lanes least = smaller(low, high), most = larger(low, high);
                low = least;
                high = most;
            }
        }
        for (std::size_t p = 0; p < wanted; ++p) {
            const std::uint32_t part = static_cast<std::uint32_t>(thousandths[p]);
            std::uint16_t* to = percentile + (p * bands + band) * pixels + at;
            if (CROPCUBE_HELD) {
                to[0] = between(Half{sorted, threads, 0}, counts[0], part);
                if (second) to[1] = between(Half{sorted, threads, 16}, counts[1], part);
            } else {
                to[0] = between(Counted{season, band, at}, counts[0], part);
            }
        }
    }
}
CROPCUBE_KERNEL(percentiles)
