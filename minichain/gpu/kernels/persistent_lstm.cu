// All steps of an LSTM over packed sequences in one launch. Read lstm.cu first.
//
// A launch a step reads all weights at every step. Here each block owns some units, and keeps the
// weights that lead to them in shared memory from the first step to the last. What units say to
// each other goes through global memory: every block writes the columns of its own units, all wait
// for each other (GRID_SYNC), then every block reads the columns of all. So all blocks have to be
// on the GPU at once, or those that are would wait for ever: the launch is cooperative, and
// persistent_lstm.py asks for no more blocks than fit.
//
// Row block t of the packed arrays begins at row starts[t]; a step has no more rows than the one
// before. Forward and backward are one product of matrices a step and what follows it:
//
//     rows of h_{t-1}, H numbers each,              times the four columns of W^T of a unit
//     rows of gradients of gates t+1, 4H numbers,   times the columns of W of four units
//
// Both are cut into tiles of 4 rows and 4 columns, whose 16 sums are held in registers: a number
// that was read serves four times. Nobody adds atomically: the same bits every time, however many
// blocks there are.
#include "common.cuh"

constexpr int SIDE = 4;   // rows and columns of a tile, and numbers that are read at once

// Neighbours in a warp, SLICES of them, share a tile: each goes over every SLICES-th pack of the
// depth of the product. So many numbers all of them take at once.
template <int SLICES>
__device__ constexpr int stretch() {
    return SLICES * SIDE;
}

// Where in shared memory the weight at `depth` of a column of a tile lies: side by side what
// neighbours read at once, first those of a tile, then those of the next. So a warp reads one
// stretch, and no bank of the memory is asked twice.
template <int SLICES>
__device__ inline int place(int depth, int column, int tile, int tiles) {
    constexpr int LENGTH = stretch<SLICES>();
    return ((depth / LENGTH * SIDE + column) * tiles + tile) * LENGTH + depth % LENGTH;
}

// Whether rows of so many numbers begin at whole packs of four.
template <typename T>
__device__ inline bool rows_of_packs(const T *x, int columns) {
    return columns % SIDE == 0
           && reinterpret_cast<unsigned long long>(x) % sizeof(Pack<T, SIDE>) == 0;
}

// Numbers k to k + 3 of a row, zeros beyond its end.
template <bool WHOLE, typename T>
__device__ inline Pack<float, SIDE> four(const T *row, int k, int depth) {
    Pack<float, SIDE> pack = {};
    if (WHOLE) {   // rows begin at whole packs
        if (k < depth) {
            Pack<T, SIDE> stored = load_pack<SIDE>(row + k);
            for (int i = 0; i < SIDE; i++) pack.at[i] = to_float(stored.at[i]);
        }
    } else {
        for (int i = 0; i < SIDE; i++)
            if (k + i < depth) pack.at[i] = to_float(row[k + i]);
    }
    return pack;
}

// Compute this thread's share of the sums of a tile, sums[4 * row + column].
template <int SLICES, bool WHOLE, typename T>
__device__ inline void multiply(const T *const (&rows)[SIDE], const float *weights, int tile,
                                int tiles, int depth, float (&sums)[SIDE * SIDE]) {
    const int slice = threadIdx.x % SLICES;
#pragma unroll 2
    for (int begin = 0; begin < depth; begin += stretch<SLICES>()) {
        const int k = begin + slice * SIDE;
        Pack<float, SIDE> left[SIDE];
#pragma unroll
        for (int row = 0; row < SIDE; row++) left[row] = four<WHOLE>(rows[row], k, depth);
#pragma unroll
        for (int column = 0; column < SIDE; column++) {
            auto right = load_pack<SIDE>(weights + place<SLICES>(k, column, tile, tiles));
#pragma unroll
            for (int row = 0; row < SIDE; row++)
#pragma unroll
                for (int i = 0; i < SIDE; i++)
                    sums[SIDE * row + column] += left[row].at[i] * right.at[i];
        }
    }
}

// Add up the shares of LANES neighbours. Each gives away the half of its sums that the neighbour
// at distance LANES / 2 is to have, and adds what it gets to the other half; then the same with
// halves. At the end neighbour k has the k-th COUNT / LANES of the sums, at the front of `sums`.
template <int COUNT, int LANES>
__device__ inline void share(float *sums) {
    if constexpr (LANES > 1) {
        const bool upper = threadIdx.x & LANES / 2;
#pragma unroll
        for (int i = 0; i < COUNT / 2; i++) {
            float given = upper ? sums[i] : sums[i + COUNT / 2];
            float kept = upper ? sums[i + COUNT / 2] : sums[i];
            sums[i] = kept + __shfl_xor_sync(0xffffffffu, given, LANES / 2);
        }
        share<COUNT / 2, LANES / 2>(sums);
    }
}

// ---------------------------------------------------------------------------- forward

// Four neighbours share a tile of 4 rows and the 4 gates of one unit. Each ends with the gates of
// one row, and goes on alone with that row and unit: at every step the same thread has them.
constexpr int ROWS = 4;

template <typename T, bool WHOLE>
__device__ void forward(const float *x, const T *W, const T *h0, const float *c0, T *gates,
                        float *cells, T *hs, float *h, float *c, const int *starts, int steps,
                        int width, int most_units, unsigned *barrier) {
    DYN_SHARED(float, weights);
    const long long H = width;
    const int first = blockIdx.x * most_units, units = min(most_units, width - first);
    const int padded = (width + stretch<ROWS>() - 1) / stretch<ROWS>() * stretch<ROWS>();
    for (int i = threadIdx.x; i < SIDE * units * padded; i += blockDim.x) {
        int k = i % padded, unit = i / padded % units, gate = i / padded / units;
        weights[place<ROWS>(k, gate, unit, units)] =
            k < width ? to_float(W[(gate * H + first + unit) * H + k]) : 0;
    }
    __syncthreads();
    for (int t = 0; t < steps; t++) {
        const int start = starts[t], rows = starts[t + 1] - start;
        const int still = t + 1 < steps ? starts[t + 2] - starts[t + 1] : 0;   // rows that go on
        const T *h_before = t ? hs + starts[t - 1] * H : h0;
        const float *c_before = t ? cells + starts[t - 1] * H : c0;
        const int tiles = (rows + SIDE - 1) / SIDE * units;
        // The loop is one of the block, not of a thread: neighbours exchange sums, so that those
        // who have no row come along, on the last one, and write nothing.
        for (int begin = 0; begin < ROWS * tiles; begin += blockDim.x) {
            const int tile = (begin + threadIdx.x) / ROWS, unit = tile % units;
            const int top = tile / units * SIDE, row = top + threadIdx.x % ROWS;
            const long long j = first + unit, packed = start + row;
            float in[SIDE] = {}, sums[SIDE * SIDE] = {};
            if (row < rows)   // asked for early, there when the product is done
                for (int gate = 0; gate < SIDE; gate++) in[gate] = x[(packed * 4 + gate) * H + j];
            const T *of_tile[SIDE];
            for (int i = 0; i < SIDE; i++) of_tile[i] = h_before + min(top + i, rows - 1) * H;
            multiply<ROWS, WHOLE>(of_tile, weights, unit, units, width, sums);
            share<SIDE * SIDE, ROWS>(sums);
            if (row >= rows) continue;
            float i = sigmoid(in[0] + sums[0]);
            float f = sigmoid(in[1] + sums[1]);
            float o = sigmoid(in[2] + sums[2]);
            float a = tanhf(in[3] + sums[3]);
            float cell = c_before[row * H + j] * f + i * a;
            T output = from_float<T>(o * tanhf(cell));
            cells[packed * H + j] = cell;
            hs[packed * H + j] = output;
            T *gate = gates + packed * 4 * H + j;
            gate[0] = from_float<T>(i);
            gate[H] = from_float<T>(f);
            gate[2 * H] = from_float<T>(o);
            gate[3 * H] = from_float<T>(a);
            if (row >= still) {   // the sequence ends here
                h[row * H + j] = to_float(output);
                c[row * H + j] = cell;
            }
        }
        if (t + 1 < steps) GRID_SYNC(barrier);   // all of h is there
    }
}

template <typename T>
__device__ inline void forward_any(const float *x, const T *W, const T *h0, const float *c0,
                                   T *gates, float *cells, T *hs, float *h, float *c,
                                   const int *starts, int steps, int width, int units,
                                   unsigned *barrier) {
    if (rows_of_packs(h0, width) && rows_of_packs(hs, width))
        forward<T, true>(x, W, h0, c0, gates, cells, hs, h, c, starts, steps, width, units,
                         barrier);
    else
        forward<T, false>(x, W, h0, c0, gates, cells, hs, h, c, starts, steps, width, units,
                          barrier);
}

extern "C" __global__ void __launch_bounds__(256, 1)
persistent_lstm_forward_float32(const float *x, const float *W, const float *h0, const float *c0,
                                float *gates, float *cells, float *hs, float *h, float *c,
                                const int *starts, int steps, int width, int units,
                                unsigned *barrier) {
    forward_any(x, W, h0, c0, gates, cells, hs, h, c, starts, steps, width, units, barrier);
}

extern "C" __global__ void __launch_bounds__(256, 1)
persistent_lstm_forward_bfloat16(const float *x, const bfloat16 *W, const bfloat16 *h0,
                                 const float *c0, bfloat16 *gates, float *cells, bfloat16 *hs,
                                 float *h, float *c, const int *starts, int steps, int width,
                                 int units, unsigned *barrier) {
    forward_any(x, W, h0, c0, gates, cells, hs, h, c, starts, steps, width, units, barrier);
}

// ---------------------------------------------------------------------------- backward

// Sixteen neighbours share a tile of 4 rows and 4 units, and each ends with one row and unit: what
// the gates of the step after send back to it. The depth is four times that of the way forward and
// there are a quarter of the columns, so that as many threads have something to do.
constexpr int CELLS = SIDE * SIDE;

// gx: gradients of the inputs of gates. previous: outputs of the step before, row by row, which
// the gradient of W is made of. Rows that end at a step begin with gh_last and gc_last there.
template <typename T>
__device__ void backward(const T *gates, const float *cells, const float *c0, const T *hs,
                         const T *h0, const T *W, const float *ghs, const float *gh_last,
                         const float *gc_last, T *gx, T *previous, float *gc, const int *starts,
                         int steps, int width, int most_units, unsigned *barrier) {
    DYN_SHARED(float, weights);
    const long long H = width;
    const int first = blockIdx.x * most_units, units = min(most_units, width - first);
    const int groups = (units + SIDE - 1) / SIDE, depth = 4 * width;
    const int padded = (depth + stretch<CELLS>() - 1) / stretch<CELLS>() * stretch<CELLS>();
    for (int i = threadIdx.x; i < SIDE * groups * padded; i += blockDim.x) {
        int unit = i % (SIDE * groups), k = i / (SIDE * groups);
        weights[place<CELLS>(k, unit % SIDE, unit / SIDE, groups)] =
            k < depth && unit < units ? to_float(W[k * H + first + unit]) : 0;
    }
    __syncthreads();
    for (int t = steps - 1; t >= 0; t--) {
        const int start = starts[t], rows = starts[t + 1] - start;
        const int still = t + 1 < steps ? starts[t + 2] - starts[t + 1] : 0;   // that went on
        const T *after = gx + starts[t + 1] * 4 * H;
        const T *h_before = t ? hs + starts[t - 1] * H : h0;
        const float *c_before = t ? cells + starts[t - 1] * H : c0;
        const int tiles = (rows + SIDE - 1) / SIDE * groups;
        for (int begin = 0; begin < CELLS * tiles; begin += blockDim.x) {
            const int tile = (begin + threadIdx.x) / CELLS, cell = threadIdx.x % CELLS;
            const int group = tile % groups, unit = group * SIDE + cell % SIDE;
            const int top = tile / groups * SIDE, row = top + cell / SIDE;
            float sums[CELLS] = {};
            if (top < still) {
                const T *of_tile[SIDE];
                for (int i = 0; i < SIDE; i++)
                    of_tile[i] = after + min(top + i, still - 1) * 4 * H;
                multiply<CELLS, true>(of_tile, weights, group, groups, depth, sums);
            }
            share<CELLS, CELLS>(sums);
            if (row >= rows || unit >= units) continue;
            const long long packed = start + row, j = first + unit, own = row * H + j;
            const bool ends = row >= still;
            const T *gate = gates + packed * 4 * H + j;
            float i = to_float(gate[0]), f = to_float(gate[H]);
            float o = to_float(gate[2 * H]), a = to_float(gate[3 * H]);
            float tanh_c = tanhf(cells[packed * H + j]);
            float from_h = ghs[packed * H + j] + (ends ? gh_last[own] : sums[0]);
            float from_c = (ends ? gc_last[own] : gc[own]) + from_h * o * (1 - tanh_c * tanh_c);
            gc[own] = from_c * f;
            T *to = gx + packed * 4 * H + j;
            to[0] = from_float<T>(from_c * a * i * (1 - i));
            to[H] = from_float<T>(from_c * c_before[own] * f * (1 - f));
            to[2 * H] = from_float<T>(from_h * tanh_c * o * (1 - o));
            to[3 * H] = from_float<T>(from_c * i * (1 - a * a));
            previous[packed * H + j] = h_before[own];
        }
        if (t > 0) GRID_SYNC(barrier);   // all gradients of these gates are there
    }
}

extern "C" __global__ void __launch_bounds__(256, 1)
persistent_lstm_backward_float32(const float *gates, const float *cells, const float *c0,
                                 const float *hs, const float *h0, const float *W,
                                 const float *ghs, const float *gh_last, const float *gc_last,
                                 float *gx, float *previous, float *gc, const int *starts,
                                 int steps, int width, int units, unsigned *barrier) {
    backward(gates, cells, c0, hs, h0, W, ghs, gh_last, gc_last, gx, previous, gc, starts, steps,
             width, units, barrier);
}

extern "C" __global__ void __launch_bounds__(256, 1)
persistent_lstm_backward_bfloat16(const bfloat16 *gates, const float *cells, const float *c0,
                                  const bfloat16 *hs, const bfloat16 *h0, const bfloat16 *W,
                                  const float *ghs, const float *gh_last, const float *gc_last,
                                  bfloat16 *gx, bfloat16 *previous, float *gc, const int *starts,
                                  int steps, int width, int units, unsigned *barrier) {
    backward(gates, cells, c0, hs, h0, W, ghs, gh_last, gc_last, gx, previous, gc, starts, steps,
             width, units, barrier);
}

// ---------------------------------------------------------------------------- where steps begin

// An array of the host cannot be sent in the midst of a captured step, but numbers can: 16 at a
// launch, starts[first] and those behind it. The first launch makes the barrier ready too.
extern "C" __global__ void persistent_lstm_starts(
        int *starts, unsigned *barrier, int first, int count, int s0, int s1, int s2, int s3,
        int s4, int s5, int s6, int s7, int s8, int s9, int s10, int s11, int s12, int s13,
        int s14, int s15) {
    if (blockIdx.x + threadIdx.x > 0) return;
    if (first == 0) *barrier = 0;
    const int numbers[16] = {s0, s1, s2,  s3,  s4,  s5,  s6,  s7,
                             s8, s9, s10, s11, s12, s13, s14, s15};
#pragma unroll
    for (int i = 0; i < 16; i++)   // unrolled, so that the numbers stay in registers
        if (i < count) starts[first + i] = numbers[i];
}
