// What all kernels share: storage types, sums and maxima of a warp and of a block, a barrier for
// the whole grid. Read this first, then embedding.cu, lstm.cu, softmax_cross_entropy.cu.
//
// Numbers are stored as float or bfloat16; arithmetic is float. No header of the CUDA toolkit is
// used, so that NVRTC, which has none, compiles what nvcc compiles.
#pragma once

#ifdef __CUDACC__

// Memory that the threads of a block share: `count` numbers, undefined until written.
#define SHARED(type, name, count) __shared__ type name[count]

// The same, of the size that the launch asked for. One such array in a kernel.
#define DYN_SHARED(type, name)                                           \
    extern __shared__ __align__(16) unsigned char dynamic_shared[];     \
    type *name = reinterpret_cast<type *>(dynamic_shared)

// Let all threads of all blocks wait for each other. The launch must be cooperative.
#define GRID_SYNC(barrier) grid_barrier(barrier)

// `barrier` is one number in global memory, zero before its first use. Block 0 adds what the other
// blocks leave to be added up to 2^31, so the highest bit changes when the last block has come,
// and the number needs no reset: the next barrier changes the bit back.
__device__ inline void grid_barrier(unsigned *barrier) {
    __syncthreads();
    if (threadIdx.x + threadIdx.y + threadIdx.z == 0) {
        unsigned blocks = gridDim.x * gridDim.y * gridDim.z;
        bool first = blockIdx.x + blockIdx.y + blockIdx.z == 0;
        __threadfence();   // what this block wrote is seen by the others ...
        unsigned before = atomicAdd(barrier, first ? 0x80000000u - (blocks - 1) : 1u);
        while (((before ^ *reinterpret_cast<volatile unsigned *>(barrier)) >> 31) == 0) {
        }
        __threadfence();   // ... and this block sees what they wrote
    }
    __syncthreads();
}

#elif !defined(CUSIM)
#error "Compile with NVRTC or nvcc, or include cusim.h of the simulator first"
#endif

__device__ inline float infinity() { return __int_as_float(0x7f800000); }
__device__ inline float not_a_number() { return __int_as_float(0x7fffffff); }

// ---------------------------------------------------------------------------- storage

// The upper half of a float: 8 bits of exponent, 7 of fraction.
struct bfloat16 {
    unsigned short bits;
};

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(bfloat16 x) {
    return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
}

template <typename T>
__device__ inline T from_float(float x);

template <>
__device__ inline float from_float<float>(float x) {
    return x;
}

// Rounds to the nearest, ties to even. NaN stays NaN.
template <>
__device__ inline bfloat16 from_float<bfloat16>(float x) {
    bfloat16 y;
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
#else
    unsigned bits = __float_as_uint(x);
    bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    y.bits = nan ? 0x7fff : static_cast<unsigned short>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
#endif
    return y;
}

// WIDTH neighbours, moved as one: a thread moves up to 16 bytes at a time.
template <typename T, int WIDTH>
struct alignas(sizeof(T) * WIDTH) Pack {
    T at[WIDTH];
};

template <int WIDTH, typename T>
__device__ inline Pack<T, WIDTH> load_pack(const T *from) {
    return *reinterpret_cast<const Pack<T, WIDTH> *>(from);
}

template <int WIDTH, typename T>
__device__ inline void store_pack(T *to, Pack<T, WIDTH> pack) {
    *reinterpret_cast<Pack<T, WIDTH> *>(to) = pack;
}

// Where an array of any type lies. A kernel that works on many arrays at once reads a table of
// addresses; the launch names the arrays behind them, which the simulator has to know.
typedef unsigned long long address;

template <typename T>
__device__ inline T *array_at(address place) {
    return reinterpret_cast<T *>(place);
}

// How many of T fill 16 bytes, and whether rows of `columns` numbers from `x` on begin at
// addresses that are multiples of 16.
template <typename T>
__device__ constexpr int full_width() {
    return 16 / sizeof(T);
}

template <typename T>
__device__ inline bool rows_are_aligned(const T *x, long long columns) {
    return columns % full_width<T>() == 0 && reinterpret_cast<unsigned long long>(x) % 16 == 0;
}

// ---------------------------------------------------------------------------- reductions

struct Sum {
    static __device__ float neutral() { return 0; }
    static __device__ float of(float a, float b) { return a + b; }
};

struct Max {
    static __device__ float neutral() { return -infinity(); }
    static __device__ float of(float a, float b) { return fmaxf(a, b); }
};

// Combine the values of the 32 threads of a warp; all get the result. In step k every thread meets
// the one whose number differs in bit k.
template <typename Operation>
__device__ inline float warp_reduce(float value) {
    for (int distance = 16; distance > 0; distance /= 2)
        value = Operation::of(value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
}

// Combine the values of all threads of a block; all get the result. blockDim.x is a multiple of 32,
// the other two are 1. The order of additions is fixed: the same bits every time.
template <typename Operation>
__device__ inline float block_reduce(float value) {
    SHARED(float, of_warps, 32);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    value = warp_reduce<Operation>(value);
    if (lane == 0) of_warps[warp] = value;
    __syncthreads();
    value = warp_reduce<Operation>(lane < warps ? of_warps[lane] : Operation::neutral());
    __syncthreads();   // everybody has read of_warps: the next reduction may write to it
    return value;
}

__device__ inline float warp_sum(float value) { return warp_reduce<Sum>(value); }
__device__ inline float warp_max(float value) { return warp_reduce<Max>(value); }
__device__ inline float block_sum(float value) { return block_reduce<Sum>(value); }
__device__ inline float block_max(float value) { return block_reduce<Max>(value); }

// ---------------------------------------------------------------------------- the rest

__device__ inline float sigmoid(float x) { return 1 / (1 + __expf(-x)); }

// Remember that row `row` holds an index for which there is nothing: `error` keeps 1 + the highest
// such row, 0 for none. The host looks at it when it looks at the loss, not before.
__device__ inline void report_bad_index(int *error, long long row) {
    atomicMax(error, static_cast<int>(row < 0x7ffffffe ? row + 1 : 0x7fffffff));
}
