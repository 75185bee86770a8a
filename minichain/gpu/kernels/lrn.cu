// Local response normalization: every channel divided by the strength of its neighbours.
//
//     s[c] = k + alpha sum x[j]^2,   y[c] = x[c] s[c]^-beta          j = c - half, ..., c + half
//     gx[c] = gy[c] s[c]^-beta - 2 alpha beta x[c] sum gy[j] x[j] s[j]^(-beta - 1)
//
// An image lies as (outer, C, inner): NCHW has N outer and H W inner, NHWC has N H W outer and one
// inner. A thread takes several channels one after another where they lie far apart: what one
// window reads is then still near (in the first cache) for the next, and memory is read once.
//
// Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks".
#include "common.cuh"

// blockIdx.y and threadIdx.y count outer. Threads side by side take inner elements side by side;
// beyond them, the next channels, `walk` of them a thread.
#define FOR_OUTER(n) \
    for (int n = blockIdx.y * blockDim.y + threadIdx.y; n < outer; n += gridDim.y * blockDim.y)
#define FOR_WALKS(i)                                                                             \
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < (C + walk - 1) / walk * inner; \
         i += gridDim.x * blockDim.x)

__device__ inline float inverse_power(float s, float beta) {
    if (beta != .75f) return __powf(s, -beta);   // s is above 0: the fast one will do
    float root = rsqrtf(s);
    return root * sqrtf(root);
}

// s of channel c; x: of channel 0.
template <typename T>
__device__ float strength(const T *x, int c, int C, int inner, int half, float k, float alpha) {
    float sum = 0;
    for (int j = max(0, c - half); j <= min(C - 1, c + half); j++) {
        float value = to_float(x[(long long)j * inner]);
        sum += value * value;
    }
    return k + alpha * sum;
}

template <typename T>
__device__ void forward(const T *x, T *y, int outer, int C, int inner, int walk, int half,
                        float k, float alpha, float beta) {
    FOR_OUTER(n) FOR_WALKS(i) {
        long long first = (long long)n * C * inner + i % inner;
        int begin = i / inner * walk, end = min(C, begin + walk);
        for (int c = begin; c < end; c++) {
            long long at = first + (long long)c * inner;
            float s = strength(x + first, c, C, inner, half, k, alpha);
            y[at] = from_float<T>(to_float(x[at]) * inverse_power(s, beta));
        }
    }
}

// Each thread keeps the terms gy[j] x[j] s[j]^(-beta - 1) of its window in a ring of its own, in
// shared memory. Nobody else looks at it, so nobody waits.
template <typename T>
__device__ void backward(const T *x, const T *gy, T *gx, int outer, int C, int inner, int walk,
                         int half, float k, float alpha, float beta) {
    DYN_SHARED(float, rings);
    int threads = blockDim.x * blockDim.y, window = 2 * half + 1;
    float *ring = rings + threadIdx.y * blockDim.x + threadIdx.x;
    FOR_OUTER(n) FOR_WALKS(i) {
        long long first = (long long)n * C * inner + i % inner;
        int begin = i / inner * walk, end = min(C, begin + walk);
        for (int j = begin - half; j < end + half; j++) {   // the newest of the window of j - half
            float term = 0;
            if (j >= 0 && j < C) {
                long long at = first + (long long)j * inner;
                float s = strength(x + first, j, C, inner, half, k, alpha);
                term = to_float(gy[at]) * to_float(x[at]) * inverse_power(s, beta) / s;
            }
            ring[(j + window) % window * threads] = term;   // j + window > 0
            int c = j - half;
            if (c < begin) continue;
            float sum = 0;
            for (int slot = 0; slot < window; slot++) sum += ring[slot * threads];
            long long at = first + (long long)c * inner;
            float s = strength(x + first, c, C, inner, half, k, alpha);
            gx[at] = from_float<T>(to_float(gy[at]) * inverse_power(s, beta) -
                                   2 * alpha * beta * to_float(x[at]) * sum);
        }
    }
}

extern "C" __global__ void lrn_forward_float32(const float *x, float *y, int outer, int C,
                                               int inner, int walk, int half, float k, float alpha,
                                               float beta) {
    forward(x, y, outer, C, inner, walk, half, k, alpha, beta);
}

extern "C" __global__ void lrn_forward_bfloat16(const bfloat16 *x, bfloat16 *y, int outer, int C,
                                                int inner, int walk, int half, float k,
                                                float alpha, float beta) {
    forward(x, y, outer, C, inner, walk, half, k, alpha, beta);
}

extern "C" __global__ void lrn_backward_float32(const float *x, const float *gy, float *gx,
                                                int outer, int C, int inner, int walk, int half,
                                                float k, float alpha, float beta) {
    backward(x, gy, gx, outer, C, inner, walk, half, k, alpha, beta);
}

extern "C" __global__ void lrn_backward_bfloat16(const bfloat16 *x, const bfloat16 *gy,
                                                 bfloat16 *gx, int outer, int C, int inner,
                                                 int walk, int half, float k, float alpha,
                                                 float beta) {
    backward(x, gy, gx, outer, C, inner, walk, half, k, alpha, beta);
}
