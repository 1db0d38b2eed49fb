// Harmonic fits (CUDA): a thread fits one pixel. It sums its normal matrix from the mask, whose bits it keeps in shared
// memory, inverts it there, and then sums CROPCUBE_TOGETHER bands at a time in registers.
// Sums run over dates in their order and nothing is contracted: the bits are those of the CPU.
//
// With up to three harmonics everything is known to the compiler and stays in registers. With more (CROPCUBE_TERMS =
// MOST_TERMS), matrices of 21 x 21 doubles a thread lie in its local memory.
// Blocks: x over pixels. Shared memory of a thread, in one block after another: `words` uint32, then for up to three
// harmonics terms + terms * terms doubles (the doubles first).
#define CROPCUBE_CUDA
#include "harmonic_terms.hpp"

namespace cropcube {
namespace {

constexpr int TERMS = CROPCUBE_TERMS, TOGETHER = CROPCUBE_TOGETHER;
constexpr int AHEAD = CROPCUBE_AHEAD;
constexpr bool SMALL = TERMS < MOST_TERMS;
constexpr int MATRIX = TERMS * TERMS, SUMS = TERMS + TERMS * (TERMS - 1) / 2;
using Value = CROPCUBE_VALUE;

CROPCUBE_INLINE double number(std::uint16_t value) { return static_cast<double>(value); }
CROPCUBE_INLINE double number(float value) { return static_cast<double>(value); }
CROPCUBE_INLINE double number(double value) { return value; }

// One thread's numbers among those of its block: neighbours in a warp lie side by side. Volatile, or the compiler would
// keep in registers what it has just written.
template <typename T>
struct Shared {
    volatile T* first;
    unsigned apart;
    CROPCUBE_METHOD volatile T& operator[](int k) const { return first[k * apart]; }
};

// One thread's matrix.
struct SharedMatrix {
    volatile double* first;
    unsigned apart;
    CROPCUBE_METHOD Shared<double> operator[](int row) const { return {first + row * TERMS * apart, apart}; }
};

struct Work {
    const Value* reflectance;   // (dates, bands, pixels)
    const std::uint8_t* valid;  // (dates, pixels)
    const double* design;       // (dates, columns_of(terms)): terms but the constant, then their products
    int dates, terms;
    std::size_t bands, pixels;
    double ridge, limit;
    float* coefficient;         // (terms, bands, pixels)
    float* rmse;                // (bands, pixels)
    std::uint16_t* clear_count;  // (pixels)

    CROPCUBE_METHOD int width() const { return SMALL ? TERMS : terms; }
};

// Sums the columns of the design over the clear dates; keeps which they are.
CROPCUBE_INLINE void sum_mask(const Work& work, std::size_t at, Shared<std::uint32_t> clear, double* sums) {
    const int columns = columns_of(work.width());
    CROPCUBE_UNROLL
    for (int j = 0; j <= columns; ++j) sums[j] = 0;
    std::uint32_t word = 0;
    for (int first = 0; first < work.dates; first += AHEAD) {
        std::uint32_t seen = 0;
        CROPCUBE_UNROLL
        for (int k = 0; k < AHEAD; ++k) {
            const bool there = first + k < work.dates;
            seen |= (there && work.valid[(first + k) * work.pixels + at] ? 1u : 0u) << k;
        }
        CROPCUBE_LOOP
        for (int k = 0; k < AHEAD; ++k) {
            if (!(seen >> k & 1)) continue;
            const double* row = work.design + static_cast<std::size_t>(first + k) * columns;
            sums[0] += 1.0;
            CROPCUBE_UNROLL
            for (int j = 0; j < columns; ++j) sums[j + 1] += row[j];
        }
        word |= seen << (first & 31);
        if (((first + AHEAD) & 31) == 0 || first + AHEAD >= work.dates) {
            clear[first >> 5] = word;
            word = 0;
        }
    }
}

// Reads the values of some dates while those before them are used.
template <int SOME>
struct Reader {
    const Work& work;
    const Value* from;
    int next;
    Value coming[AHEAD][SOME];

    CROPCUBE_METHOD Reader(const Work& all, const Value* first) : work(all), from(first), next(0) { read(); }

    CROPCUBE_METHOD void read() {
        CROPCUBE_UNROLL
        for (int k = 0; k < AHEAD; ++k) {
            CROPCUBE_UNROLL
            for (int s = 0; s < SOME; ++s) coming[k][s] = next < work.dates ? from[s * work.pixels] : Value{};
            from += work.bands * work.pixels;
            ++next;
        }
    }

    CROPCUBE_METHOD void take(Value (&values)[AHEAD][SOME]) {
        CROPCUBE_UNROLL
        for (int k = 0; k < AHEAD; ++k) {
            CROPCUBE_UNROLL
            for (int s = 0; s < SOME; ++s) values[k][s] = coming[k][s];
        }
        read();
    }
};

// Fits `SOME` bands from `band` on.
template <int SOME, typename Sums, typename Matrix>
CROPCUBE_INLINE void fit_bands(const Work& work, std::size_t at, std::size_t band, Shared<std::uint32_t> clear,
                               const Sums& clear_sums, Matrix inverse) {
    const int terms = work.width(), columns = columns_of(terms);
    double sums[SOME][TERMS], squared[SOME];
    CROPCUBE_UNROLL
    for (int s = 0; s < SOME; ++s) {
        squared[s] = 0;
        CROPCUBE_UNROLL
        for (int j = 0; j < terms; ++j) sums[s][j] = 0;
    }
    Reader<SOME> reader(work, work.reflectance + band * work.pixels + at);
    std::uint32_t word = 0;
    for (int first = 0; first < work.dates; first += AHEAD) {
        if ((first & 31) == 0) word = clear[first >> 5];
        Value raw[AHEAD][SOME];
        reader.take(raw);
        CROPCUBE_UNROLL
        for (int k = 0; k < AHEAD; ++k) {
            if (first + k >= work.dates) break;
            const bool seen = word >> k & 1;
            const double* row = work.design + static_cast<std::size_t>(first + k) * columns;
            double value[SOME];
            CROPCUBE_UNROLL
            for (int s = 0; s < SOME; ++s) {
                value[s] = seen ? number(raw[k][s]) : 0.0;
                sums[s][0] += value[s];
                squared[s] += value[s] * value[s];
            }
            CROPCUBE_UNROLL
            for (int j = 1; j < terms; ++j) {
                const double term = row[j - 1];
                CROPCUBE_UNROLL
                for (int s = 0; s < SOME; ++s) sums[s][j] += value[s] * term;
            }
        }
        word >>= AHEAD;
    }
    CROPCUBE_UNROLL
    for (int s = 0; s < SOME; ++s) {
        const double error = solve<TERMS>(terms, work.ridge, clear_sums, inverse, squared[s], sums[s]);
        work.rmse[(band + s) * work.pixels + at] = static_cast<float>(std::sqrt(error));
        CROPCUBE_UNROLL
        for (int j = 0; j < terms; ++j) {
            work.coefficient[(j * work.bands + band + s) * work.pixels + at] = static_cast<float>(sums[s][j]);
        }
    }
}

template <typename Sums, typename Matrix>
CROPCUBE_INLINE void fit_all(const Work& work, std::size_t at, Shared<std::uint32_t> clear, const Sums& clear_sums,
                             Matrix inverse) {
    std::size_t band = 0;
    for (; band + TOGETHER <= work.bands; band += TOGETHER) {
        fit_bands<TOGETHER>(work, at, band, clear, clear_sums, inverse);
    }
    for (; band < work.bands; ++band) fit_bands<1>(work, at, band, clear, clear_sums, inverse);
}

}  // namespace
}  // namespace cropcube

extern "C" __global__ void __launch_bounds__(128, CROPCUBE_BLOCKS)
harmonic_fit(const CROPCUBE_VALUE* reflectance, const std::uint8_t* valid, const double* design, int dates, int terms,
             std::size_t bands, std::size_t pixels, double ridge, double limit, float* coefficient, float* rmse,
             std::uint16_t* clear_count) {
    using namespace cropcube;
    CROPCUBE_SHARED(double, held);
    const std::size_t at = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= pixels) return;
    const Work work{reflectance, valid, design, dates, terms, bands, pixels, ridge, limit, coefficient, rmse, clear_count};
    const unsigned threads = blockDim.x;
    double* after = held + (SMALL ? (TERMS + MATRIX) * threads : 0);
    const Shared<std::uint32_t> clear{reinterpret_cast<std::uint32_t*>(after) + threadIdx.x, threads};
    double sums[SUMS];
    sum_mask(work, at, clear, sums);
    clear_count[at] = static_cast<std::uint16_t>(sums[0]);
    if (SMALL) {
        const Shared<double> kept{held + threadIdx.x, threads};
        const SharedMatrix inverse{held + TERMS * threads + threadIdx.x, threads};
        CROPCUBE_UNROLL
        for (int j = 0; j < TERMS; ++j) kept[j] = sums[j];
        invert_normal<TERMS>(TERMS, ridge, limit, sums, inverse);
        fit_all(work, at, clear, kept, inverse);
    } else {
        double inverse[TERMS][TERMS];
        invert_normal<TERMS>(terms, ridge, limit, sums, &inverse[0]);
        fit_all(work, at, clear, sums, &inverse[0]);
    }
}
CROPCUBE_KERNEL(harmonic_fit)
