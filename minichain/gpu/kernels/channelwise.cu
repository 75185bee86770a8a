// What is left between convolutions of images with channels last: sums of branches, and a factor
// and a term for every channel where no filters take them up. ReLU may follow either.
//
//     add             y = a + b
//     scale_channels  y = x factor[c] + term[c]
//
// Threads move 16 bytes at once where addresses allow it.
#include "common.cuh"

__device__ inline float cut(float value, int cuts) { return cuts && value < 0 ? 0 : value; }

template <int WIDTH, typename T>
__device__ void add(const T *a, const T *b, T *y, long long begin, long long end, int cuts) {
    for (long long i = begin + ((long long)blockIdx.x * blockDim.x + threadIdx.x) * WIDTH; i < end;
         i += (long long)gridDim.x * blockDim.x * WIDTH) {
        Pack<T, WIDTH> left = load_pack<WIDTH>(a + i), right = load_pack<WIDTH>(b + i);
        for (int k = 0; k < WIDTH; k++)
            left.at[k] = from_float<T>(cut(to_float(left.at[k]) + to_float(right.at[k]), cuts));
        store_pack(y + i, left);
    }
}

// y may be a or b. NaN stays NaN.
template <typename T>
__device__ void add(const T *a, const T *b, T *y, long long count, int cuts) {
    constexpr int WIDTH = full_width<T>();
    bool aligned = rows_are_aligned(a, 0) && rows_are_aligned(b, 0) && rows_are_aligned(y, 0);
    long long whole = aligned ? count / WIDTH * WIDTH : 0;
    add<WIDTH>(a, b, y, 0, whole, cuts);
    add<1>(a, b, y, whole, count, cuts);
}

template <int WIDTH, typename T>
__device__ void scale(const T *x, const float *factor, const float *term, T *y, long long count,
                      int C, int cuts) {
    for (long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * WIDTH; i < count;
         i += (long long)gridDim.x * blockDim.x * WIDTH) {
        int c = i % C;
        Pack<T, WIDTH> pack = load_pack<WIDTH>(x + i);
        for (int k = 0; k < WIDTH; k++)
            pack.at[k] = from_float<T>(
                cut(to_float(pack.at[k]) * factor[c + k] + term[c + k], cuts));
        store_pack(y + i, pack);
    }
}

// x, y: count numbers, C of a pixel side by side; y may be x.
template <typename T>
__device__ void scale(const T *x, const float *factor, const float *term, T *y, long long count,
                      int C, int cuts) {
    constexpr int WIDTH = full_width<T>();
    if (rows_are_aligned(x, C) && rows_are_aligned(y, C))
        scale<WIDTH>(x, factor, term, y, count, C, cuts);
    else
        scale<1>(x, factor, term, y, count, C, cuts);
}

extern "C" __global__ void add_float32(const float *a, const float *b, float *y, long long count,
                                       int cuts) {
    add(a, b, y, count, cuts);
}

extern "C" __global__ void add_bfloat16(const bfloat16 *a, const bfloat16 *b, bfloat16 *y,
                                        long long count, int cuts) {
    add(a, b, y, count, cuts);
}

extern "C" __global__ void scale_channels_float32(const float *x, const float *factor,
                                                  const float *term, float *y, long long count,
                                                  int C, int cuts) {
    scale(x, factor, term, y, count, C, cuts);
}

extern "C" __global__ void scale_channels_bfloat16(const bfloat16 *x, const float *factor,
                                                   const float *term, bfloat16 *y, long long count,
                                                   int C, int cuts) {
    scale(x, factor, term, y, count, C, cuts);
}
