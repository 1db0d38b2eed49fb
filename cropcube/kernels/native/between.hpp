// Percentiles of sorted values.
#pragma once

#include "dialect.hpp"

namespace cropcube {
namespace {

// The value `thousandths` of the way from the first of `clear` sorted values to the last; between two by distance, rounded
// half up. `sorted` gives a value by its rank.
template <typename Sorted>
CROPCUBE_INLINE std::uint16_t between(const Sorted& sorted, std::uint32_t clear, std::uint32_t thousandths) {
    if (clear == 0) return 0;
    const std::uint32_t way = (clear - 1) * thousandths, low = way / 1000, part = way % 1000;
    const std::uint32_t value = sorted(low) * (1000 - part) + (part ? sorted(low + 1) * part : 0u);
    return static_cast<std::uint16_t>((value + 500) / 1000);
}

}  // namespace
}  // namespace cropcube
