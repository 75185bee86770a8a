// The CUDA language on a CPU: what a kernel uses, for g++. Included before the .cu file, which stays
// as it is. Every CUDA thread runs as a fiber; scheduler.cpp lets them take turns.
//
// Atomic additions, shuffles and barriers are real. Speed, memory that is read in wide lines, and
// the last digit of __expf are not: those are a GPU's own.
#pragma once
#include <math.h>
#include <string.h>

#define CUSIM
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)

struct uint3 {
    unsigned x, y, z;
};
using dim3 = uint3;

namespace cusim {

// What a kernel may ask about the thread that runs it.
struct Thread {
    uint3 index, block;
    int number;   // in its block
};

extern Thread *current;
extern uint3 block_size, grid_size;

void *shared(const void *variable, unsigned long long bytes);
void *dynamic_shared();
void wait_for_block(const char *file, int line);
void wait_for_grid();
// Wait until all lanes of `mask` have come to the same operation; return what each has brought.
const unsigned long long *exchange(unsigned mask, int operation, unsigned long long value);
void fail(const char *what);

template <typename T>
unsigned long long pack(T value) {
    static_assert(sizeof(T) <= 8, "shuffles move at most 8 bytes");
    unsigned long long bits = 0;
    memcpy(&bits, &value, sizeof(T));
    return bits;
}

template <typename T>
T shuffle(unsigned mask, int operation, T value, int source) {
    const unsigned long long *values = exchange(mask, operation, pack(value));
    if (!(mask >> source & 1)) fail("a shuffle reads from a lane that its mask does not name");
    T result;
    memcpy(&result, values + source, sizeof(T));
    return result;
}

inline int lane() { return current->number & 31; }

template <typename T, typename Change>
T atomic(T *address, Change change) {
    T before, after;
    __atomic_load(address, &before, __ATOMIC_RELAXED);
    do {
        after = change(before);
    } while (!__atomic_compare_exchange(address, &before, &after, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
    return before;
}

}   // namespace cusim

#define threadIdx (cusim::current->index)
#define blockIdx (cusim::current->block)
#define blockDim (cusim::block_size)
#define gridDim (cusim::grid_size)

// A static variable has one address for each instance of a template, as a __shared__ one has.
#define SHARED(type, name, count) \
    static const char name##_variable = 0; \
    type *name = static_cast<type *>(cusim::shared(&name##_variable, sizeof(type) * (count)))
#define DYN_SHARED(type, name) type *name = static_cast<type *>(cusim::dynamic_shared())
#define GRID_SYNC(barrier) ((void)(barrier), cusim::wait_for_grid())
#define __syncthreads() cusim::wait_for_block(__FILE__, __LINE__)

inline void __syncwarp(unsigned mask = 0xffffffffu) { cusim::exchange(mask, 0, 0); }

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    int group = cusim::lane() & ~(width - 1);
    return cusim::shuffle(mask, 1, value, group + (source & (width - 1)));
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int distance, int width = 32) {
    int lane = cusim::lane(), source = lane ^ distance;
    return cusim::shuffle(mask, 2, value, (source & ~(width - 1)) > lane ? lane : source);
}

template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32) {
    int lane = cusim::lane(), first = lane & ~(width - 1), source = lane - (int)distance;
    return cusim::shuffle(mask, 3, value, source < first ? lane : source);
}

template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32) {
    int lane = cusim::lane(), end = (lane & ~(width - 1)) + width, source = lane + (int)distance;
    return cusim::shuffle(mask, 4, value, source < end ? source : lane);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
    const unsigned long long *values = cusim::exchange(mask, 5, predicate != 0);
    unsigned votes = 0;
    for (int lane = 0; lane < 32; lane++)
        if (mask >> lane & 1) votes |= (unsigned)values[lane] << lane;
    return votes;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) {
    return __ballot_sync(mask, predicate) == mask;
}

// ---------------------------------------------------------------------------- atomics

template <typename T>
T atomicAdd(T *address, T value) {
    return cusim::atomic(address, [=](T before) { return (T)(before + value); });
}
template <typename T>
T atomicMax(T *address, T value) {
    return cusim::atomic(address, [=](T before) { return before > value ? before : value; });
}
template <typename T>
T atomicMin(T *address, T value) {
    return cusim::atomic(address, [=](T before) { return before < value ? before : value; });
}
template <typename T>
T atomicOr(T *address, T value) {
    return cusim::atomic(address, [=](T before) { return before | value; });
}
template <typename T>
T atomicExch(T *address, T value) {
    return cusim::atomic(address, [=](T) { return value; });
}
template <typename T>
T atomicCAS(T *address, T expected, T value) {
    return cusim::atomic(address, [=](T before) { return before == expected ? value : before; });
}
inline void __threadfence() {}
inline void __threadfence_block() {}

// ---------------------------------------------------------------------------- numbers

inline float __int_as_float(int bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
inline float __uint_as_float(unsigned bits) { return __int_as_float((int)bits); }
inline int __float_as_int(float x) {
    int bits;
    memcpy(&bits, &x, 4);
    return bits;
}
inline unsigned __float_as_uint(float x) { return (unsigned)__float_as_int(x); }

inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frsqrt_rn(float x) { return 1 / sqrtf(x); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }
inline int __float2int_rn(float x) { return (int)nearbyintf(x); }
inline unsigned __umulhi(unsigned x, unsigned y) {
    return (unsigned)((unsigned long long)x * y >> 32);
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int min(int x, int y) { return x < y ? x : y; }
inline int max(int x, int y) { return x > y ? x : y; }
inline unsigned min(unsigned x, unsigned y) { return x < y ? x : y; }
inline unsigned max(unsigned x, unsigned y) { return x > y ? x : y; }
inline long long min(long long x, long long y) { return x < y ? x : y; }
inline long long max(long long x, long long y) { return x > y ? x : y; }

template <typename T>
T __ldg(const T *address) {
    return *address;
}

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
