// Local response normalization over five neighbouring channels, of images with channels last,
// forward: see lrn.cu for the formula, other numbers of channels, and the gradient.
//
// A thread takes 16 bytes of channels of a pixel, and the two on either side: each is read twice or
// less from the cache, not five times, and squared as often.
#include "common.cuh"

constexpr int HALF = 2;

__device__ inline float inverse_power(float s, float beta) {
    if (beta != .75f) return __powf(s, -beta);   // s is above 0: the fast one will do
    float root = rsqrtf(s);
    return root * sqrtf(root);
}

template <int WIDTH, typename T>
__device__ void normalize(const T *x, T *y, long long count, int C, float k, float alpha,
                          float beta) {
    for (long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * WIDTH; i < count;
         i += (long long)gridDim.x * blockDim.x * WIDTH) {
        int c = i % C;
        Pack<T, WIDTH> pack = load_pack<WIDTH>(x + i);
        float values[WIDTH + 2 * HALF];
        for (int j = 0; j < HALF; j++) {
            int before = c - HALF + j, behind = c + WIDTH + j;
            values[j] = before >= 0 ? to_float(x[i - HALF + j]) : 0;
            values[HALF + WIDTH + j] = behind < C ? to_float(x[i + WIDTH + j]) : 0;
        }
        for (int j = 0; j < WIDTH; j++) values[HALF + j] = to_float(pack.at[j]);
        for (int j = 0; j < WIDTH; j++) {
            float sum = 0;
            for (int d = 0; d <= 2 * HALF; d++) sum += values[j + d] * values[j + d];
            pack.at[j] = from_float<T>(values[HALF + j] * inverse_power(k + alpha * sum, beta));
        }
        store_pack(y + i, pack);
    }
}

// x, y: count numbers, C of a pixel side by side.
template <typename T>
__device__ void normalize(const T *x, T *y, long long count, int C, float k, float alpha,
                          float beta) {
    if (rows_are_aligned(x, C) && rows_are_aligned(y, C))
        normalize<full_width<T>()>(x, y, count, C, k, alpha, beta);
    else
        normalize<1>(x, y, count, C, k, alpha, beta);
}

extern "C" __global__ void lrn_channels_last_float32(const float *x, float *y, long long count,
                                                     int C, float k, float alpha, float beta) {
    normalize(x, y, count, C, k, alpha, beta);
}

extern "C" __global__ void lrn_channels_last_bfloat16(const bfloat16 *x, bfloat16 *y,
                                                      long long count, int C, float k, float alpha,
                                                      float beta) {
    normalize(x, y, count, C, k, alpha, beta);
}
