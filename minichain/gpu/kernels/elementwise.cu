// What stands between two matrix products or convolutions, each in one pass over memory.
//
//     bias_relu         x = max(x + b, 0)          relu_gradient     gx = gy where y > 0, else 0
//     sigmoid_gradient  gx = gy y (1 - y)          tanh_gradient     gx = gy (1 - y^2)
//
// Nothing is computed here that would take time; so threads move 16 bytes at once where addresses
// allow it.
#include "common.cuh"

// ---------------------------------------------------------------------------- bias and ReLU

// x lies as (outer, C, inner): NCHW has H W inner, rows and NHWC have one. blockIdx.y and
// threadIdx.y count outer. NaN stays NaN.
template <typename T>
__device__ void bias_relu(T *x, const T *b, int outer, int C, int inner) {
    for (int n = blockIdx.y * blockDim.y + threadIdx.y; n < outer; n += gridDim.y * blockDim.y) {
        T *image = x + (long long)n * C * inner;
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < C * inner;
             i += gridDim.x * blockDim.x) {
            float value = to_float(image[i]) + to_float(b[inner == 1 ? i : i / inner]);
            image[i] = from_float<T>(value < 0 ? 0 : value);
        }
    }
}

extern "C" __global__ void bias_relu_float32(float *x, const float *b, int outer, int C,
                                             int inner) {
    bias_relu(x, b, outer, C, inner);
}

extern "C" __global__ void bias_relu_bfloat16(bfloat16 *x, const bfloat16 *b, int outer, int C,
                                              int inner) {
    bias_relu(x, b, outer, C, inner);
}

// ---------------------------------------------------------------------------- gradients

struct Relu {
    static __device__ float gradient(float y, float gy) { return y > 0 ? gy : 0; }
};

struct Sigmoid {
    static __device__ float gradient(float y, float gy) { return gy * y * (1 - y); }
};

struct Tanh {
    static __device__ float gradient(float y, float gy) { return gy * (1 - y * y); }
};

// From `begin` until `end`, WIDTH neighbours a thread at a time.
template <typename Function, int WIDTH, typename T>
__device__ void gradient(const T *y, const T *gy, T *gx, long long begin, long long end) {
    for (long long i = begin + ((long long)blockIdx.x * blockDim.x + threadIdx.x) * WIDTH; i < end;
         i += (long long)gridDim.x * blockDim.x * WIDTH) {
        Pack<T, WIDTH> ys = load_pack<WIDTH>(y + i), gs = load_pack<WIDTH>(gy + i);
        for (int k = 0; k < WIDTH; k++)
            gs.at[k] = from_float<T>(Function::gradient(to_float(ys.at[k]), to_float(gs.at[k])));
        store_pack(gx + i, gs);
    }
}

// gx may be gy.
template <typename Function, typename T>
__device__ void gradient(const T *y, const T *gy, T *gx, long long count) {
    constexpr int WIDTH = full_width<T>();
    bool aligned = rows_are_aligned(y, 0) && rows_are_aligned(gy, 0) && rows_are_aligned(gx, 0);
    long long whole = aligned ? count / WIDTH * WIDTH : 0;
    gradient<Function, WIDTH>(y, gy, gx, 0, whole);
    gradient<Function, 1>(y, gy, gx, whole, count);
}

extern "C" __global__ void relu_gradient_float32(const float *y, const float *gy, float *gx,
                                                 long long count) {
    gradient<Relu>(y, gy, gx, count);
}

extern "C" __global__ void relu_gradient_bfloat16(const bfloat16 *y, const bfloat16 *gy,
                                                  bfloat16 *gx, long long count) {
    gradient<Relu>(y, gy, gx, count);
}

extern "C" __global__ void sigmoid_gradient_float32(const float *y, const float *gy, float *gx,
                                                    long long count) {
    gradient<Sigmoid>(y, gy, gx, count);
}

extern "C" __global__ void sigmoid_gradient_bfloat16(const bfloat16 *y, const bfloat16 *gy,
                                                     bfloat16 *gx, long long count) {
    gradient<Sigmoid>(y, gy, gx, count);
}

extern "C" __global__ void tanh_gradient_float32(const float *y, const float *gy, float *gx,
                                                 long long count) {
    gradient<Tanh>(y, gy, gx, count);
}

extern "C" __global__ void tanh_gradient_bfloat16(const bfloat16 *y, const bfloat16 *gy,
                                                  bfloat16 *gx, long long count) {
    gradient<Tanh>(y, gy, gx, count);
}
