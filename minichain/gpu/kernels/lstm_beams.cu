// One step of an LSTM for captions that continue others: what lstm.cu computes, where every row
// picks the row that it continues, so that no states are copied from one place to another first.
//
// Gates are sums of three rows of four blocks i, f, o, a of `width` columns. The first three come
// halved: s(x) = tanh(x / 2) / 2 + 1 / 2.
#include "common.cuh"

// inputs, before: the first, and the last, 4 * width of their columns. cells (2, rows, width): one
// half is read while the other is written, since a row may be continued by several; which is which
// tells the number of the step. images (images, 4 * width): row r is of image r / per_image; with
// per_image 0 there are none.
template <typename T>
__device__ void continued(const float *inputs, const int *input_rows, const float *before,
                          const int *rows_before, const float *images, float *cells, T *h,
                          const int *count, int rows, int width, long long inputs_stride,
                          long long before_stride, int per_image) {
    const long long H = width, half = rows * H;
    const float *c_before = cells + (*count & 1) * half;
    float *c_after = cells + (~*count & 1) * half;
    for (int row = blockIdx.y; row < rows; row += gridDim.y) {
        const float *input = inputs + input_rows[row] * inputs_stride;
        const float *state = before + (rows_before[row] + 1) * before_stride - 4 * H;
        const float *image = per_image ? images + row / per_image * 4 * H : nullptr;
        for (int j = blockIdx.x * blockDim.x + threadIdx.x; j < width;
             j += gridDim.x * blockDim.x) {
            float gates[4];
            for (int k = 0; k < 4; k++) {
                float x = input[k * H + j] + state[k * H + j];
                if (per_image) x += image[k * H + j];
                x = tanhf(x);
                gates[k] = k < 3 ? x * .5f + .5f : x;
            }
            float c = c_before[rows_before[row] * H + j] * gates[1] + gates[0] * gates[3];
            c_after[row * H + j] = c;
            h[row * H + j] = from_float<T>(gates[2] * tanhf(c));
        }
    }
}

extern "C" __global__ void lstm_continue_float32(
    const float *inputs, const int *input_rows, const float *before, const int *rows_before,
    const float *images, float *cells, float *h, const int *count, int rows, int width,
    long long inputs_stride, long long before_stride, int per_image) {
    continued(inputs, input_rows, before, rows_before, images, cells, h, count, rows, width,
              inputs_stride, before_stride, per_image);
}

extern "C" __global__ void lstm_continue_bfloat16(
    const float *inputs, const int *input_rows, const float *before, const int *rows_before,
    const float *images, float *cells, bfloat16 *h, const int *count, int rows, int width,
    long long inputs_stride, long long before_stride, int per_image) {
    continued(inputs, input_rows, before, rows_before, images, cells, h, count, rows, width,
              inputs_stride, before_stride, per_image);
}
