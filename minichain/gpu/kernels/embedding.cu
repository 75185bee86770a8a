// The gradient of picking rows of a table: row i of gy is added to row ids[i] of gW.
//
// Several rows may have the same id. The first kernel lets them meet in atomic additions: fast, and
// the order of additions, so the last bits of a sum, differ from run to run. The second wants rows
// in the order of their ids and gives each id to one block: the same bits every time.
#include "common.cuh"

// One block a row (and the next rows, if there are more rows than blocks); threads side by side
// take columns side by side, so that a warp reads and writes whole lines of memory.
template <typename T>
__device__ void gradient_atomic(const T *gy, const int *ids, float *gW, int *error, long long rows,
                                int columns, int table_rows, int ignore_label) {
    for (long long i = blockIdx.x; i < rows; i += gridDim.x) {
        int id = ids[i];
        if (id == ignore_label) continue;
        if (id < 0 || id >= table_rows) {
            if (threadIdx.x == 0) report_bad_index(error, i);
            continue;
        }
        for (int j = threadIdx.x; j < columns; j += blockDim.x)
            atomicAdd(gW + (long long)id * columns + j, to_float(gy[i * columns + j]));
    }
}

// `order` holds the numbers of the rows in the order of their ids, rows of the same id in the order
// in which they come (a stable argsort of ids). The block that meets the first row of an id adds
// up all rows of that id.
template <typename T>
__device__ void gradient_sorted(const T *gy, const int *ids, const int *order, float *gW,
                                int *error, long long rows, int columns, int table_rows,
                                int ignore_label) {
    for (long long first = blockIdx.x; first < rows; first += gridDim.x) {
        int id = ids[order[first]];
        if (id == ignore_label || (first > 0 && ids[order[first - 1]] == id)) continue;
        if (id < 0 || id >= table_rows) {
            if (threadIdx.x == 0) report_bad_index(error, order[first]);
            continue;
        }
        for (int j = threadIdx.x; j < columns; j += blockDim.x) {
            float sum = 0;
            for (long long k = first; k < rows && ids[order[k]] == id; k++)
                sum += to_float(gy[(long long)order[k] * columns + j]);
            gW[(long long)id * columns + j] += sum;
        }
    }
}

extern "C" __global__ void embedding_gradient_atomic_float32(
    const float *gy, const int *ids, float *gW, int *error, long long rows, int columns,
    int table_rows, int ignore_label) {
    gradient_atomic(gy, ids, gW, error, rows, columns, table_rows, ignore_label);
}

extern "C" __global__ void embedding_gradient_atomic_bfloat16(
    const bfloat16 *gy, const int *ids, float *gW, int *error, long long rows, int columns,
    int table_rows, int ignore_label) {
    gradient_atomic(gy, ids, gW, error, rows, columns, table_rows, ignore_label);
}

extern "C" __global__ void embedding_gradient_sorted_float32(
    const float *gy, const int *ids, const int *order, float *gW, int *error, long long rows,
    int columns, int table_rows, int ignore_label) {
    gradient_sorted(gy, ids, order, gW, error, rows, columns, table_rows, ignore_label);
}

extern "C" __global__ void embedding_gradient_sorted_bfloat16(
    const bfloat16 *gy, const int *ids, const int *order, float *gW, int *error, long long rows,
    int columns, int table_rows, int ignore_label) {
    gradient_sorted(gy, ids, order, gW, error, rows, columns, table_rows, ignore_label);
}
