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
// Integers from `from` on as numbers; zeros after the first `count`. By intrinsics, since gcc converts one by one.
template <typename T>
CROPCUBE_INLINE Floats numbers(const T* from, std::size_t count) {
    T some[FLOATS] = {};
    if (count < FLOATS) {
        std::memcpy(some, from, sizeof(T) * count);
        from = some;
    }
#if defined(__SSE2__)
    __m128i held;
    if (sizeof some == 16) {
        held = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    } else if (sizeof some == 8) {
        held = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
    } else {
        std::int32_t four;
        std::memcpy(&four, from, sizeof four);
        held = _mm_cvtsi32_si128(four);
    }
#if defined(__AVX2__)
    return _mm256_cvtepi32_ps(sizeof(T) == 1 ? _mm256_cvtepu8_epi32(held) : _mm256_cvtepu16_epi32(held));
#else
    if (sizeof(T) == 1) held = _mm_unpacklo_epi8(held, _mm_setzero_si128());
    return _mm_cvtepi32_ps(_mm_unpacklo_epi16(held, _mm_setzero_si128()));
#endif
#else
    Floats converted;
    for (std::size_t i = 0; i < FLOATS; ++i) converted[i] = from[i];
    return converted;
#endif
}
#ifdef __AVX2__
constexpr Where EVEN = {0, 2, 4, 6, 8, 10, 12, 14};
#else
constexpr Where EVEN = {0, 2, 4, 6};
#endif
// The first, third, ... of two registers one after the other, and what is between.
CROPCUBE_INLINE Floats even(Floats a, Floats b) { return __builtin_shuffle(a, b, EVEN); }
CROPCUBE_INLINE Floats odd(Floats a, Floats b) { return __builtin_shuffle(a, b, EVEN + 1); }
CROPCUBE_INLINE float& lane(Floats& of, std::size_t n) { return reinterpret_cast<float*>(&of)[n]; }
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
template <typename T>
CROPCUBE_INLINE Floats numbers(const T* from, std::size_t count) { return count ? static_cast<float>(*from) : 0.0f; }
CROPCUBE_INLINE Floats even(Floats a, Floats) { return a; }
CROPCUBE_INLINE Floats odd(Floats, Floats b) { return b; }
CROPCUBE_INLINE float& lane(Floats& of, std::size_t) { return of; }
#endif

#ifndef CROPCUBE_CUDA
CROPCUBE_INLINE void store(float* to, Floats some, std::size_t count) {
    std::memcpy(to, &some, (count < FLOATS ? count : FLOATS) * sizeof(float));
}
#endif

}  // namespace
}  // namespace cropcube
