// The k largest numbers of each row, and with them a step of beam search. A block takes a row.
//
// Every thread knows the best of its own columns that is not taken yet; the best of those is the
// next of the row, and the thread that had it looks for its next. So a row is read once, and k
// times only a thread's share of it. Of equal numbers the one in the lower column comes first,
// which makes the result the same every time and tells each thread what is taken: what comes
// before the last that was.
#include "common.cuh"

struct Candidate {
    float value;
    int column;   // NOWHERE: there is none
};

#define NOWHERE 0x7fffffff

// Whether a comes before b. NaN comes before nothing, and so is never found.
__device__ inline bool before(Candidate a, Candidate b) {
    return a.value > b.value || (a.value == b.value && a.column < b.column);
}

// The first candidate after `taken` among the columns of this thread.
template <typename T>
__device__ Candidate next_of_thread(const T *row, int columns, Candidate taken) {
    Candidate best = {-infinity(), NOWHERE};
    for (int j = threadIdx.x; j < columns; j += blockDim.x) {
        Candidate here = {to_float(row[j]), j};
        if (before(taken, here) && before(here, best)) best = here;
    }
    return best;
}

__device__ inline Candidate first_of_warp(Candidate mine) {
    for (int distance = 16; distance > 0; distance /= 2) {
        Candidate other = {__shfl_xor_sync(0xffffffffu, mine.value, distance),
                           __shfl_xor_sync(0xffffffffu, mine.column, distance)};
        if (before(other, mine)) mine = other;
    }
    return mine;
}

// As block_reduce of common.cuh, of candidates.
__device__ inline Candidate first_of_block(Candidate mine) {
    SHARED(Candidate, of_warps, 32);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    mine = first_of_warp(mine);
    if (lane == 0) of_warps[warp] = mine;
    __syncthreads();
    Candidate none = {-infinity(), NOWHERE};
    mine = first_of_warp(lane < warps ? of_warps[lane] : none);
    __syncthreads();
    return mine;
}

// Call found(rank, candidate) in thread 0 for the first k; column NOWHERE where a row has no more.
template <typename T, typename Found>
__device__ void first_k(const T *row, int columns, int k, Found found) {
    Candidate all = {infinity(), -1};   // before everything
    Candidate mine = next_of_thread(row, columns, all);
    for (int rank = 0; rank < k; rank++) {
        Candidate first = first_of_block(mine);
        if (threadIdx.x == 0) found(rank, first);
        if (first.column != NOWHERE && first.column % blockDim.x == threadIdx.x)
            mine = next_of_thread(row, columns, first);
    }
}

// values, ids: (rows, k), by falling value. Where there are no more numbers, -infinity and id -1.
template <typename T>
__device__ void top_k(const T *x, float *values, int *ids, long long rows, int columns, int k) {
    for (long long row = blockIdx.x; row < rows; row += gridDim.x)
        first_k(x + row * columns, columns, k, [&](int rank, Candidate found) {
            values[row * k + rank] = found.value;
            ids[row * k + rank] = found.column == NOWHERE ? -1 : found.column;
        });
}

// The same for scores x, of which values become  total + log softmax(x) : what continuing a
// beginning of log probability `total` gives. The logarithm of the sum moves all numbers of a row
// alike, so that the order can be found without it.
template <typename T>
__device__ void log_softmax_top_k(const T *x, const float *totals, float *values, int *ids,
                                  long long rows, int columns, int k) {
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        const T *scores = x + row * columns;
        float highest = -infinity(), sum = 0;
        for (int j = threadIdx.x; j < columns; j += blockDim.x)
            highest = fmaxf(highest, to_float(scores[j]));
        highest = block_max(highest);
        for (int j = threadIdx.x; j < columns; j += blockDim.x)
            sum += __expf(to_float(scores[j]) - highest);
        sum = logf(block_sum(sum));
        float total = totals[row];
        first_k(scores, columns, k, [&](int rank, Candidate found) {
            bool exists = found.column != NOWHERE;
            float log_p = (found.value - highest) - sum;
            values[row * k + rank] = exists ? total + log_p : -infinity();
            ids[row * k + rank] = exists ? found.column : -1;
        });
    }
}

extern "C" __global__ void top_k_float32(const float *x, float *values, int *ids, long long rows,
                                         int columns, int k) {
    top_k(x, values, ids, rows, columns, k);
}

extern "C" __global__ void top_k_bfloat16(const bfloat16 *x, float *values, int *ids,
                                          long long rows, int columns, int k) {
    top_k(x, values, ids, rows, columns, k);
}

extern "C" __global__ void log_softmax_top_k_float32(const float *x, const float *totals,
                                                     float *values, int *ids, long long rows,
                                                     int columns, int k) {
    log_softmax_top_k(x, totals, values, ids, rows, columns, k);
}

extern "C" __global__ void log_softmax_top_k_bfloat16(const bfloat16 *x, const float *totals,
                                                      float *values, int *ids, long long rows,
                                                      int columns, int k) {
    log_softmax_top_k(x, totals, values, ids, rows, columns, k);
}

// The best `beam` of all continuations of an image's beginnings: values, ids (images, beam, k) of
// log_softmax_top_k -> parents (the beginning that is continued), words, totals (images, beam).
extern "C" __global__ void beam_merge(const float *values, const int *ids, int *parents,
                                      int *words, float *totals, int images, int beam, int k) {
    for (long long image = blockIdx.x; image < images; image += gridDim.x) {
        long long first = image * beam * k;
        first_k(values + first, beam * k, beam, [&](int rank, Candidate found) {
            long long at = image * beam + rank;
            bool exists = found.column != NOWHERE;
            parents[at] = exists ? found.column / k : -1;
            words[at] = exists ? ids[first + found.column] : -1;
            totals[at] = found.value;
        });
    }
}
