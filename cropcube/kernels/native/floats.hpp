// Pixels side by side as float32, half as many as `Lanes` has: written once, as there, for every instruction set and for
// a CUDA thread, which has one. Square roots and quotients are IEEE's everywhere, so the bits are too.
#pragma once

#include "dialect.hpp"

#if !defined(CROPCUBE_CUDA) && !defined(CROPCUBE_ONE_LANE) && defined(__SSE2__)
#include <immintrin.h>
#endif

namespace cropcube {
namespace {

#if !defined(CROPCUBE_CUDA) && defined(__GNUC__) && !defined(CROPCUBE_ONE_LANE)
#ifdef __AVX2__
constexpr std::size_t FLOATS = 8;
#else
constexpr std::size_t FLOATS = 4;
#endif
typedef float Floats __attribute__((vector_size(4 * FLOATS)));
typedef std::int32_t Where __attribute__((vector_size(4 * FLOATS)));  // all ones where something holds

CROPCUBE_INLINE Floats every(float value) { return value - Floats{}; }
CROPCUBE_INLINE Where nothing(Floats a) { return a == every(0.0f); }
CROPCUBE_INLINE Where below(Floats a, Floats b) { return a < b; }
CROPCUBE_INLINE Floats pick(Where mask, Floats yes, Floats no) {
    Where one, other;
    std::memcpy(&one, &yes, sizeof one);
    std::memcpy(&other, &no, sizeof other);
    const Where both = (one & mask) | (other & ~mask);
    Floats picked;
    std::memcpy(&picked, &both, sizeof picked);
    return picked;
}
CROPCUBE_INLINE bool any(Where mask) {
    std::int32_t seen = 0;
    for (std::size_t i = 0; i < FLOATS; ++i) seen |= mask[i];
    return seen != 0;
}
CROPCUBE_INLINE Floats root(Floats a) {
#if defined(__AVX2__)
    return _mm256_sqrt_ps(a);
#elif defined(__SSE2__)
    return _mm_sqrt_ps(a);
#else
    for (std::size_t i = 0; i < FLOATS; ++i) a[i] = std::sqrt(a[i]);
    return a;
#endif
}
#else
typedef float Floats;
typedef std::int32_t Where;
constexpr std::size_t FLOATS = 1;

CROPCUBE_INLINE Floats every(float value) { return value; }
CROPCUBE_INLINE Where nothing(Floats a) { return -(a == 0.0f); }
CROPCUBE_INLINE Where below(Floats a, Floats b) { return -(a < b); }
CROPCUBE_INLINE Floats pick(Where mask, Floats yes, Floats no) { return mask ? yes : no; }
CROPCUBE_INLINE bool any(Where mask) { return mask != 0; }
CROPCUBE_INLINE Floats root(Floats a) { return std::sqrt(a); }
#endif

}  // namespace
}  // namespace cropcube
