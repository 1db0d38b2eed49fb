// Pixels side by side, as many as a register holds, where the compiler has vector types; one pixel everywhere else.
//
// Everything above this header is written once on `Lanes`: the C++ compiler builds it per instruction set, a compiler
// without vector types (MSVC) with one pixel per lane, CUDA with the two pixels that a thread has in one register. Values
// are uint16 shifted by 0x8000 into int16, because signed minimum, maximum and comparison exist in every instruction set
// since SSE2 and the unsigned ones do not.
#pragma once

#include "dialect.hpp"

namespace cropcube {
namespace {

constexpr std::uint16_t SIGN = 0x8000;

#if defined(CROPCUBE_CUDA)
typedef std::uint32_t Lanes;
typedef std::uint32_t RawLanes;
constexpr std::size_t LANES = 2;
typedef double Doubles;
constexpr std::size_t DOUBLES = 1;

CROPCUBE_INLINE double& lane(Doubles& of, std::size_t) { return of; }
CROPCUBE_INLINE volatile double& lane(volatile Doubles& of, std::size_t) { return of; }
CROPCUBE_INLINE Lanes same(std::int16_t value) { return static_cast<std::uint16_t>(value) * 0x00010001u; }
CROPCUBE_INLINE Lanes smaller(Lanes a, Lanes b) { return __vmins2(a, b); }
CROPCUBE_INLINE Lanes larger(Lanes a, Lanes b) { return __vmaxs2(a, b); }
#elif defined(__GNUC__) && !defined(CROPCUBE_ONE_LANE)
// Never wider than a register: gcc takes wider vectors apart value by value (measured: twenty times slower).
#ifdef __AVX2__
constexpr std::size_t LANES = 16;
#else
constexpr std::size_t LANES = 8;
#endif
typedef std::int16_t Lanes __attribute__((vector_size(2 * LANES)));
typedef std::uint16_t RawLanes __attribute__((vector_size(2 * LANES)));

typedef double Doubles __attribute__((vector_size(LANES * 2)));
constexpr std::size_t DOUBLES = LANES / 4;

CROPCUBE_INLINE double& lane(Doubles& of, std::size_t n) { return reinterpret_cast<double*>(&of)[n]; }
CROPCUBE_INLINE Lanes same(std::int16_t value) { return value - Lanes{}; }
CROPCUBE_INLINE Lanes equal(Lanes a, Lanes b) { return a == b; }
CROPCUBE_INLINE Lanes less(Lanes a, Lanes b) { return a < b; }
CROPCUBE_INLINE Lanes smaller(Lanes a, Lanes b) { return a < b ? a : b; }
CROPCUBE_INLINE Lanes larger(Lanes a, Lanes b) { return a < b ? b : a; }
#else
typedef std::int16_t Lanes;
typedef std::uint16_t RawLanes;
constexpr std::size_t LANES = 1;
typedef double Doubles;
constexpr std::size_t DOUBLES = 1;

CROPCUBE_INLINE double& lane(Doubles& of, std::size_t) { return of; }
CROPCUBE_INLINE Lanes same(std::int16_t value) { return value; }
CROPCUBE_INLINE Lanes equal(Lanes a, Lanes b) { return static_cast<Lanes>(-(a == b)); }
CROPCUBE_INLINE Lanes less(Lanes a, Lanes b) { return static_cast<Lanes>(-(a < b)); }
CROPCUBE_INLINE Lanes smaller(Lanes a, Lanes b) { return a < b ? a : b; }
CROPCUBE_INLINE Lanes larger(Lanes a, Lanes b) { return a < b ? b : a; }
#endif

// `yes` where the mask is all ones, `no` where it is zero: masks, not `?:`, because gcc vectorises only these.
CROPCUBE_INLINE Lanes choose(Lanes mask, Lanes yes, Lanes no) {
    return static_cast<Lanes>((yes & mask) | (no & static_cast<Lanes>(~mask)));
}

#ifdef CROPCUBE_CUDA
// Mean of two shifted values, rounded half up, shifted back.
CROPCUBE_INLINE RawLanes mean_half_up(Lanes a, Lanes b) {
    const RawLanes left = a ^ 0x80008000u, right = b ^ 0x80008000u;
    return (left | right) - (((left ^ right) >> 1) & 0x7fff7fffu);
}
#else
CROPCUBE_INLINE Lanes load(const std::int16_t* from) {
    Lanes lanes;
    std::memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

CROPCUBE_INLINE void store(std::int16_t* to, Lanes lanes) { std::memcpy(to, &lanes, sizeof lanes); }

// Raw reflectance to shifted lanes; `count` < LANES only at the end of an image, the rest is filled up with zeros.
CROPCUBE_INLINE Lanes load_raw(const std::uint16_t* from, std::size_t count) {
    RawLanes raw{};
    if (count >= LANES) {
        std::memcpy(&raw, from, sizeof raw);
    } else {
        std::memcpy(&raw, from, count * sizeof(std::uint16_t));
    }
    raw = static_cast<RawLanes>(raw ^ static_cast<RawLanes>(RawLanes{} + SIGN));
    Lanes lanes;
    std::memcpy(&lanes, &raw, sizeof lanes);
    return lanes;
}

CROPCUBE_INLINE void store_raw(std::uint16_t* to, RawLanes raw, std::size_t count) {
    std::memcpy(to, &raw, (count < LANES ? count : LANES) * sizeof(std::uint16_t));
}

// Mean of two shifted values, rounded half up, shifted back: ceil((a + b) / 2) without a wider type.
CROPCUBE_INLINE RawLanes mean_half_up(Lanes a, Lanes b) {
    RawLanes left, right;
    std::memcpy(&left, &a, sizeof left);
    std::memcpy(&right, &b, sizeof right);
    const RawLanes sign = static_cast<RawLanes>(RawLanes{} + SIGN);
    left = static_cast<RawLanes>(left ^ sign);
    right = static_cast<RawLanes>(right ^ sign);
    return static_cast<RawLanes>((left | right) - static_cast<RawLanes>((left ^ right) >> 1));
}
#endif

}  // namespace
}  // namespace cropcube
