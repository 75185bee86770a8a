// What is left between convolutions of images with channels last: sums and products of branches, a
// factor and a term for every channel where no filters take them up, and activations.
//
//     add             y = a + b, ReLU may follow
//     multiply        y = a b, where b may have one pixel for all of an image
//     scale_channels  y = f(x factor[c] + term[c])
//
// Threads move 16 bytes at once where addresses allow it.
#include "common.cuh"

__device__ inline float cut(float value, int cuts) { return cuts && value < 0 ? 0 : value; }

// f: 0 as it is, 1 min(max(., 0), number), 2 sigmoid, 3 the product of both, 4 times number if it
// is below 0. NaN stays NaN.
__device__ inline float activate(float value, int f, float number) {
    if (f == 1) return value < 0 ? 0 : value > number ? number : value;
    if (f == 4) return value < 0 ? value * number : value;
    if (f >= 2) return (f == 3 ? value : 1) * sigmoid(value);
    return value;
}

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

// a, y: count numbers; b: `size` numbers of every image, or C of each.
template <int WIDTH, typename T>
__device__ void multiply(const T *a, const T *b, T *y, long long count, long long size, int C) {
    for (long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * WIDTH; i < count;
         i += (long long)gridDim.x * blockDim.x * WIDTH) {
        Pack<T, WIDTH> left = load_pack<WIDTH>(a + i);
        Pack<T, WIDTH> right = load_pack<WIDTH>(b + (size ? i / size * C + i % C : i));
        for (int k = 0; k < WIDTH; k++)
            left.at[k] = from_float<T>(to_float(left.at[k]) * to_float(right.at[k]));
        store_pack(y + i, left);
    }
}

// y may be a. With a `size` of 0, b is as large as a.
template <typename T>
__device__ void multiply(const T *a, const T *b, T *y, long long count, long long size, int C) {
    constexpr int WIDTH = full_width<T>();
    if (rows_are_aligned(a, C) && rows_are_aligned(b, C) && rows_are_aligned(y, C))
        multiply<WIDTH>(a, b, y, count, size, C);
    else
        multiply<1>(a, b, y, count, size, C);
}

template <int WIDTH, typename T>
__device__ void scale(const T *x, const float *factor, const float *term, T *y, long long count,
                      int C, int f, float number) {
    for (long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * WIDTH; i < count;
         i += (long long)gridDim.x * blockDim.x * WIDTH) {
        int c = i % C;
        Pack<T, WIDTH> pack = load_pack<WIDTH>(x + i);
        for (int k = 0; k < WIDTH; k++)
            pack.at[k] = from_float<T>(
                activate(to_float(pack.at[k]) * factor[c + k] + term[c + k], f, number));
        store_pack(y + i, pack);
    }
}

// x, y: count numbers, C of a pixel side by side; y may be x.
template <typename T>
__device__ void scale(const T *x, const float *factor, const float *term, T *y, long long count,
                      int C, int f, float number) {
    constexpr int WIDTH = full_width<T>();
    if (rows_are_aligned(x, C) && rows_are_aligned(y, C))
        scale<WIDTH>(x, factor, term, y, count, C, f, number);
    else
        scale<1>(x, factor, term, y, count, C, f, number);
}

extern "C" __global__ void add_float32(const float *a, const float *b, float *y, long long count,
                                       int cuts) {
    add(a, b, y, count, cuts);
}

extern "C" __global__ void add_bfloat16(const bfloat16 *a, const bfloat16 *b, bfloat16 *y,
                                        long long count, int cuts) {
    add(a, b, y, count, cuts);
}

extern "C" __global__ void multiply_float32(const float *a, const float *b, float *y,
                                            long long count, long long size, int C) {
    multiply(a, b, y, count, size, C);
}

extern "C" __global__ void multiply_bfloat16(const bfloat16 *a, const bfloat16 *b, bfloat16 *y,
                                             long long count, long long size, int C) {
    multiply(a, b, y, count, size, C);
}

extern "C" __global__ void scale_channels_float32(const float *x, const float *factor,
                                                  const float *term, float *y, long long count,
                                                  int C, int f, float number) {
    scale(x, factor, term, y, count, C, f, number);
}

extern "C" __global__ void scale_channels_bfloat16(const bfloat16 *x, const float *factor,
                                                   const float *term, bfloat16 *y, long long count,
                                                   int C, int f, float number) {
    scale(x, factor, term, y, count, C, f, number);
}
