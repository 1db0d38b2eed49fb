// The two middle values of a long series, found in its bit planes: bit t of plane b is bit b of the value of date t.
//
// A rank is looked for from the highest plane down (radix selection; Knuth vol. 3, 5.2.5): the dates that are still
// candidates are bits of a few words, so that one instruction looks at 32 of them and no value is masked or moved.
#pragma once

#include "lanes.hpp"

namespace cropcube {

constexpr int PLANES = 16;        // bits of a value
constexpr int DATES_A_WORD = 32;  // bits of a word

namespace {

// Swaps the bits of `a` above `shift` in each group of 2 * shift with those of `b` below it.
template <int SHIFT>
CROPCUBE_INLINE void swap_bits(std::uint32_t& a, std::uint32_t& b) {
    constexpr std::uint32_t low = SHIFT == 8 ? 0x00ff00ffu : SHIFT == 4 ? 0x0f0f0f0fu : SHIFT == 2 ? 0x33333333u : 0x55555555u;
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

// What is known of a pixel's middle values once their highest planes were looked at.
template <int WORDS>
struct Middle {
    std::uint32_t left[WORDS];   // dates that may be the lower one
    std::uint32_t above[WORDS];  // dates with the least value that is known to be larger
    int rank, alive;             // of the lower one among those left; how many these are
    std::uint32_t low, high;     // the bits found

    CROPCUBE_METHOD Middle(const std::uint32_t (&clear)[WORDS], int count)
        : rank((count - 1) >> 1), alive(count), low(0), high(0) {
        CROPCUBE_UNROLL
        for (int w = 0; w < WORDS; ++w) left[w] = clear[w], above[w] = 0;
    }

    // Looks at the next planes [FIRST, STOP), from the highest down.
    template <int FIRST, int STOP>
    CROPCUBE_METHOD void look_at(const std::uint32_t (&planes)[WORDS][STOP - FIRST]) {
        const std::uint32_t before = low;
        bool replaced = false;
        CROPCUBE_UNROLL
        for (int b = STOP - FIRST - 1; b >= 0; --b) {
            std::uint32_t set[WORDS];
            CROPCUBE_UNROLL
            for (int w = 0; w < WORDS; ++w) set[w] = left[w] & planes[w][b];
            const int ones = count_bits<WORDS>(set), zeros = alive - ones;
            const bool up = rank >= zeros, next = !up && ones != 0;
            const std::uint32_t other = up ? 0u : ~0u;
            low |= up ? 1u << (FIRST + b) : 0u;
            rank -= up ? zeros : 0;
            alive = up ? ones : zeros;
            replaced = replaced || next;
            CROPCUBE_UNROLL
            for (int w = 0; w < WORDS; ++w) {
                above[w] = next ? set[w] : above[w];
                left[w] &= planes[w][b] ^ other;
            }
        }
        high = replaced ? before : high;
        CROPCUBE_UNROLL
        for (int b = STOP - FIRST - 1; b >= 0; --b) {
            std::uint32_t unset[WORDS], any = 0;
            CROPCUBE_UNROLL
            for (int w = 0; w < WORDS; ++w) any |= unset[w] = above[w] & ~planes[w][b];
            high |= any == 0 ? 1u << (FIRST + b) : 0u;
            CROPCUBE_UNROLL
            for (int w = 0; w < WORDS; ++w) above[w] = any == 0 ? above[w] : unset[w];
        }
    }

    // The mean of the two middle values of `count` ones, rounded half up. The upper one is the lower one again where
    // the number is odd or that value repeats.
    CROPCUBE_METHOD std::uint32_t mean(int count) const {
        const std::uint32_t upper = (count & 1) || rank + 1 < alive ? low : high;
        return count > 0 ? (low + upper + 1) >> 1 : 0u;
    }
};

}  // namespace
}  // namespace cropcube
