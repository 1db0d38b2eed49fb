// What differs between the compilers that read these headers: the C++ compiler, nvcc, and NVRTC, which has no standard
// library. A .cu file defines CROPCUBE_CUDA before it includes anything.
#pragma once

#ifdef __CUDACC_RTC__
namespace std {
using size_t = decltype(sizeof 0);
using int16_t = signed short;
using uint8_t = unsigned char;
using uint16_t = unsigned short;
using int32_t = int;
using uint32_t = unsigned int;
template <size_t... I>
struct index_sequence {};
template <size_t N, size_t... I>
struct sequence_to : sequence_to<N - 1, N - 1, I...> {};
template <size_t... I>
struct sequence_to<0, I...> {
    using type = index_sequence<I...>;
};
template <size_t N>
using make_index_sequence = typename sequence_to<N>::type;
using ::fabs;
using ::sqrt;
}  // namespace std
#define NAN __longlong_as_double(0x7ff8000000000000ll)
#define INFINITY __longlong_as_double(0x7ff0000000000000ll)
#else
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#endif

#ifdef CROPCUBE_CUDA
#define CROPCUBE_INLINE static __device__ __forceinline__
#define CROPCUBE_METHOD __device__ __forceinline__
#define CROPCUBE_CONSTANT __host__ __device__ constexpr
#define CROPCUBE_SELDOM static __device__ __noinline__
#define CROPCUBE_UNROLL _Pragma("unroll")
#define CROPCUBE_LOOP _Pragma("unroll 1")
// The emulator of the tests defines both of its own.
#ifndef CROPCUBE_KERNEL
#define CROPCUBE_KERNEL(name)
#define CROPCUBE_SHARED(type, name) extern __shared__ type name[]
#endif
#else
#define CROPCUBE_INLINE static inline
#define CROPCUBE_METHOD
#define CROPCUBE_CONSTANT constexpr
#define CROPCUBE_SELDOM static inline
#define CROPCUBE_UNROLL
#endif
