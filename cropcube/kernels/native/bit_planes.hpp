// The two middle values of a long series, found in its bit planes: bit t of plane b is bit b of the value of date t.
//
// A rank is looked for from the highest plane down (radix selection; Knuth vol. 3, 5.2.5): the dates that are still
// candidates are bits of a few words, so that one instruction looks at 32 of them and no value is masked or moved.
#pragma once

#include "lanes.hpp"

// Of planes in registers the loop is no loop; where they lie elsewhere it may stay one.
#ifndef CROPCUBE_EACH_PLANE
#define CROPCUBE_EACH_PLANE CROPCUBE_UNROLL
#endif

namespace cropcube {

constexpr int PLANES = 16;        // bits of a value
constexpr int DATES_A_WORD = 32;  // bits of a word

namespace {

// Swaps the bits of `a` above `shift` in each group of 2 * shift with those of `b` below it.
template <int SHIFT>
CROPCUBE_INLINE void swap_bits(std::uint32_t& a, std::uint32_t& b) {
    if (SHIFT == 8) {
        const std::uint32_t left = __byte_perm(a, b, 0x6240);
        b = __byte_perm(a, b, 0x7351);
        a = left;
        return;
    }
    constexpr std::uint32_t low = SHIFT == 4 ? 0x0f0f0f0fu : SHIFT == 2 ? 0x33333333u : 0x55555555u;
    const std::uint32_t left = (a & low) | ((b << SHIFT) & ~low);
    b = ((a >> SHIFT) & low) | (b & ~low);
    a = left;
}

template <int SHIFT>
CROPCUBE_INLINE void swap_words(std::uint32_t (&words)[PLANES]) {
    CROPCUBE_UNROLL
    for (int k = 0; k < PLANES; ++k) {
        if ((k & SHIFT) == 0) swap_bits<SHIFT>(words[k], words[k + SHIFT]);
    }
}

// Word k holds date k in its low half and date k + 16 in its high half; afterwards word b is plane b of 32 dates: both
// halves are transposed at once (Warren, Hacker's Delight, 7-3).
CROPCUBE_INLINE void to_planes(std::uint32_t (&words)[PLANES]) {
    swap_words<8>(words);
    swap_words<4>(words);
    swap_words<2>(words);
    swap_words<1>(words);
}

template <int WORDS>
CROPCUBE_INLINE int count_bits(const std::uint32_t (&words)[WORDS]) {
    int count = 0;
    CROPCUBE_UNROLL
    for (int w = 0; w < WORDS; ++w) count += __popc(words[w]);
    return count;
}

// The mean of the two middle values of the dates in `clear`, `count` in number, rounded half up; 0 where there is none.
// `planes[w][b]` is plane b of word w, wherever it lies.
template <int WORDS, typename Planes>
CROPCUBE_INLINE std::uint32_t middle(const Planes& planes, const std::uint32_t (&clear)[WORDS], int count) {
    std::uint32_t left[WORDS], above[WORDS];  // dates that may be the lower one; the least that are known to be larger
    CROPCUBE_UNROLL
    for (int w = 0; w < WORDS; ++w) left[w] = clear[w], above[w] = 0;
    int rank = (count - 1) >> 1, alive = count;  // of the lower one among those left; how many these are
    std::uint32_t low = 0, high = 0;
    CROPCUBE_EACH_PLANE
    for (int b = PLANES - 1; b >= 0; --b) {
        std::uint32_t plane[WORDS], set[WORDS];
        CROPCUBE_UNROLL
        for (int w = 0; w < WORDS; ++w) set[w] = left[w] & (plane[w] = planes[w][b]);
        const int ones = count_bits<WORDS>(set), zeros = alive - ones;
        const bool up = rank >= zeros, next = !up && ones != 0;
        const std::uint32_t other = up ? 0u : ~0u;
        low |= up ? 1u << b : 0u;
        rank -= up ? zeros : 0;
        alive = up ? ones : zeros;
        CROPCUBE_UNROLL
        for (int w = 0; w < WORDS; ++w) {
            above[w] = next ? set[w] : above[w];
            left[w] &= plane[w] ^ other;
        }
    }
    // The upper one is the lower one again where the number is odd or that value repeats; else the least above it.
    CROPCUBE_EACH_PLANE
    for (int b = PLANES - 1; b >= 0; --b) {
        std::uint32_t unset[WORDS], any = 0;
        CROPCUBE_UNROLL
        for (int w = 0; w < WORDS; ++w) any |= unset[w] = above[w] & ~planes[w][b];
        high |= any == 0 ? 1u << b : 0u;
        CROPCUBE_UNROLL
        for (int w = 0; w < WORDS; ++w) above[w] = any == 0 ? above[w] : unset[w];
    }
    high = (count & 1) || rank + 1 < alive ? low : high;
    return count > 0 ? (low + high + 1) >> 1 : 0u;
}

}  // namespace
}  // namespace cropcube
