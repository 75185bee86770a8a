// One step of an LSTM after its matrix product: four gates, the next cells, the outputs.
//
//     i, f, o, a = blocks of H columns of a row of gates, (rows, 4H)
//     c = c_previous s(f) + s(i) tanh(a),   h = s(o) tanh(c)
//
// Cells are float in both storages: they add up over the whole sequence. Every thread works on its
// own element from the first line to the last, so that nothing is shared and nobody waits. As
// separate operations the same would read and write memory some twenty times.
#include "common.cuh"

// blockIdx.y counts rows, blockIdx.x and threadIdx.x columns: no division to find out where. Both
// loops stride over the grid: any grid is right, a good one makes them run once.
#define FOR_ROWS(row) for (int row = blockIdx.y; row < rows; row += gridDim.y)
#define FOR_COLUMNS(j) \
    for (int j = blockIdx.x * blockDim.x + threadIdx.x; j < width; j += gridDim.x * blockDim.x)

// gates: inputs of the gates, replaced by their values, which the way back needs.
template <typename T>
__device__ void forward(T *gates, const float *c_previous, float *c, T *h, int rows, int width) {
    const long long H = width;   // offsets are 64 bits wide: arrays may hold more than 2^31 numbers
    FOR_ROWS(row) FOR_COLUMNS(j) {
        T *gate = gates + row * 4 * H + j;
        long long at = row * H + j;
        float i = sigmoid(to_float(gate[0]));
        float f = sigmoid(to_float(gate[H]));
        float o = sigmoid(to_float(gate[2 * H]));
        float a = tanhf(to_float(gate[3 * H]));
        float cell = c_previous[at] * f + i * a;
        c[at] = cell;
        h[at] = from_float<T>(o * tanhf(cell));
        gate[0] = from_float<T>(i);
        gate[H] = from_float<T>(f);
        gate[2 * H] = from_float<T>(o);
        gate[3 * H] = from_float<T>(a);
    }
}

// gates: values of the gates; ggates: gradients of their inputs, which may take the same memory.
// gc: gradient of c that came from the step after, replaced by that of c_previous.
template <typename T>
__device__ void backward(const T *gates, const float *c_previous, const float *c, const T *gh,
                         float *gc, T *ggates, int rows, int width) {
    const long long H = width;
    FOR_ROWS(row) FOR_COLUMNS(j) {
        long long first = row * 4 * H + j, at = row * H + j;
        float i = to_float(gates[first]);
        float f = to_float(gates[first + H]);
        float o = to_float(gates[first + 2 * H]);
        float a = to_float(gates[first + 3 * H]);
        float tanh_c = tanhf(c[at]), from_h = to_float(gh[at]);
        float from_c = gc[at] + from_h * o * (1 - tanh_c * tanh_c);
        gc[at] = from_c * f;
        ggates[first] = from_float<T>(from_c * a * i * (1 - i));
        ggates[first + H] = from_float<T>(from_c * c_previous[at] * f * (1 - f));
        ggates[first + 2 * H] = from_float<T>(from_h * tanh_c * o * (1 - o));
        ggates[first + 3 * H] = from_float<T>(from_c * i * (1 - a * a));
    }
}

extern "C" __global__ void lstm_forward_float32(float *gates, const float *c_previous, float *c,
                                                float *h, int rows, int width) {
    forward(gates, c_previous, c, h, rows, width);
}

extern "C" __global__ void lstm_forward_bfloat16(bfloat16 *gates, const float *c_previous,
                                                 float *c, bfloat16 *h, int rows, int width) {
    forward(gates, c_previous, c, h, rows, width);
}

extern "C" __global__ void lstm_backward_float32(const float *gates, const float *c_previous,
                                                 const float *c, const float *gh, float *gc,
                                                 float *ggates, int rows, int width) {
    backward(gates, c_previous, c, gh, gc, ggates, rows, width);
}

extern "C" __global__ void lstm_backward_bfloat16(const bfloat16 *gates, const float *c_previous,
                                                  const float *c, const bfloat16 *gh, float *gc,
                                                  bfloat16 *ggates, int rows, int width) {
    backward(gates, c_previous, c, gh, gc, ggates, rows, width);
}
