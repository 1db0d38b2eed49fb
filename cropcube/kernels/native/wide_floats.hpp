// Registers of float32 taken apart into float64, for sums: as many in each part as `Doubles` holds.
#pragma once

#include "floats.hpp"
#include "lanes.hpp"

namespace cropcube {
namespace {

constexpr std::size_t PARTS = FLOATS / DOUBLES;  // of a register of float32

#if defined(__GNUC__) && !defined(CROPCUBE_ONE_LANE)
typedef float Narrow __attribute__((vector_size(4 * DOUBLES)));
typedef std::int64_t WideWhere __attribute__((vector_size(8 * DOUBLES)));

CROPCUBE_INLINE Doubles widen(const float* from) {
    Narrow some;
    std::memcpy(&some, from, sizeof some);
    return __builtin_convertvector(some, Doubles);
}
CROPCUBE_INLINE void narrow(float* to, Doubles some) {
    const Narrow rounded = __builtin_convertvector(some, Narrow);
    std::memcpy(to, &rounded, sizeof rounded);
}
CROPCUBE_INLINE Doubles all_of(double value) { return value - Doubles{}; }
// `yes` where `a` is above 0.
CROPCUBE_INLINE Doubles where_positive(Doubles a, Doubles yes, Doubles no) {
    const WideWhere mask = a > Doubles{};
    WideWhere one, other;
    std::memcpy(&one, &yes, sizeof one);
    std::memcpy(&other, &no, sizeof other);
    const WideWhere both = (one & mask) | (other & ~mask);
    Doubles picked;
    std::memcpy(&picked, &both, sizeof picked);
    return picked;
}
#else
CROPCUBE_INLINE Doubles widen(const float* from) { return *from; }
CROPCUBE_INLINE void narrow(float* to, Doubles some) { *to = static_cast<float>(some); }
CROPCUBE_INLINE Doubles all_of(double value) { return value; }
CROPCUBE_INLINE Doubles where_positive(Doubles a, Doubles yes, Doubles no) { return a > 0.0 ? yes : no; }
#endif

// Some values from `from` on; zeros after the first `count`.
CROPCUBE_INLINE Floats load_floats(const float* from, std::size_t count = FLOATS) {
    Floats some{};
    if (count >= FLOATS) {
        std::memcpy(&some, from, sizeof some);
    } else {
        std::memcpy(&some, from, count * sizeof(float));
    }
    return some;
}
CROPCUBE_INLINE void put(float* to, Floats some) { std::memcpy(to, &some, sizeof some); }
CROPCUBE_INLINE void put(float* to, Floats some, std::size_t count) {
    if (count >= FLOATS) {
        put(to, some);
    } else {
        store(to, some, count);
    }
}
CROPCUBE_INLINE Doubles part_of(Floats some, std::size_t part) {
    float held[FLOATS];
    put(held, some);
    return widen(held + part * DOUBLES);
}

// Where a value is finite; where an uncertainty is finite and above 0.
CROPCUBE_INLINE Where are_values(Floats a) { return nothing(a - a); }
CROPCUBE_INLINE Where are_stated(Floats a) { return nothing(a - a) & below(Floats{}, a); }

}  // namespace
}  // namespace cropcube
