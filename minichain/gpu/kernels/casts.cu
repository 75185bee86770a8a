// From float32 to bfloat16 and back: what stands before and after products of bfloat16.
//
// A thread takes four neighbours, 16 bytes on the wide side and 8 on the narrow one.
#include "common.cuh"

template <int WIDTH, typename From, typename To>
__device__ void cast(const From *x, To *y, long long begin, long long end) {
    for (long long i = begin + ((long long)blockIdx.x * blockDim.x + threadIdx.x) * WIDTH; i < end;
         i += (long long)gridDim.x * blockDim.x * WIDTH) {
        Pack<From, WIDTH> from = load_pack<WIDTH>(x + i);
        Pack<To, WIDTH> to;
        for (int k = 0; k < WIDTH; k++) to.at[k] = from_float<To>(to_float(from.at[k]));
        store_pack(y + i, to);
    }
}

template <typename From, typename To>
__device__ void cast(const From *x, To *y, long long count) {
    bool aligned = rows_are_aligned(x, 0) && rows_are_aligned(y, 0);
    long long whole = aligned ? count / 4 * 4 : 0;
    cast<4>(x, y, 0, whole);
    cast<1>(x, y, whole, count);
}

extern "C" __global__ void narrow_bfloat16(const float *x, bfloat16 *y, long long count) {
    cast(x, y, count);
}

extern "C" __global__ void widen_bfloat16(const bfloat16 *x, float *y, long long count) {
    cast(x, y, count);
}
