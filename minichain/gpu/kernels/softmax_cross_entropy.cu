// Losses and gradients of softmax cross entropy; the gradients take the place of the scores.
//
//     loss = log(sum_j exp(x_j)) - x_label,   gradient_j = scale (softmax(x)_j - [j is the label])
//
// With a vocabulary of thousands of words this is the largest array of a captioner, and time is
// what it takes to move it: so it is read once and written once. A block takes a row. What it reads
// it keeps in shared memory for the sum and for the gradient, as far as there is room.
#include "common.cuh"

// Every thread sees the same columns in all three passes, so `kept` needs no barrier.
template <int WIDTH, typename T>
__device__ void one_row(T *x, T *kept, int kept_columns, int classes, int label, bool counts,
                        float scale, float *loss) {
    int first = threadIdx.x * WIDTH, step = blockDim.x * WIDTH;
    float chosen = counts ? to_float(x[label]) : 0;   // before its gradient takes the place

    float highest = -infinity();   // subtracted, so that no exponential overflows
    for (int j = first; j < classes; j += step) {
        Pack<T, WIDTH> columns = load_pack<WIDTH>(x + j);
        if (j < kept_columns) store_pack<WIDTH>(kept + j, columns);
        for (int k = 0; k < WIDTH; k++) highest = fmaxf(highest, to_float(columns.at[k]));
    }
    highest = block_max(highest);

    float total = 0;
    for (int j = first; j < classes; j += step) {
        Pack<T, WIDTH> columns = load_pack<WIDTH>(j < kept_columns ? kept + j : x + j);
        for (int k = 0; k < WIDTH; k++) total += __expf(to_float(columns.at[k]) - highest);
    }
    total = block_sum(total);
    if (threadIdx.x == 0) *loss = counts ? logf(total) + (highest - chosen) : 0;

    float factor = counts ? scale / total : 0;
    for (int j = first; j < classes; j += step) {
        Pack<T, WIDTH> columns = load_pack<WIDTH>(j < kept_columns ? kept + j : x + j);
        for (int k = 0; k < WIDTH; k++) {
            float gradient = counts ? factor * __expf(to_float(columns.at[k]) - highest) : 0;
            if (counts && j + k == label) gradient -= scale;
            columns.at[k] = from_float<T>(gradient);
        }
        store_pack<WIDTH>(x + j, columns);
    }
}

template <typename T>
__device__ void all_rows(T *x, const int *labels, float *losses, const float *scale, int *error,
                         long long rows, int classes, int ignore_label, int kept_columns) {
    DYN_SHARED(T, kept);
    bool aligned = rows_are_aligned(x, classes);
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        int label = labels[row];
        bool exists = label >= 0 && label < classes;
        bool counts = exists && label != ignore_label;
        T *scores = x + row * classes;
        if (aligned)
            one_row<full_width<T>()>(scores, kept, kept_columns, classes, label, counts, *scale,
                                     losses + row);
        else
            one_row<1>(scores, kept, kept_columns, classes, label, counts, *scale, losses + row);
        if (!exists && label != ignore_label && threadIdx.x == 0) {
            losses[row] = not_a_number();
            report_bad_index(error, row);
        }
    }
}

extern "C" __global__ void softmax_cross_entropy_float32(
    float *x, const int *labels, float *losses, const float *scale, int *error, long long rows,
    int classes, int ignore_label, int kept_columns) {
    all_rows(x, labels, losses, scale, error, rows, classes, ignore_label, kept_columns);
}

extern "C" __global__ void softmax_cross_entropy_bfloat16(
    bfloat16 *x, const int *labels, float *losses, const float *scale, int *error, long long rows,
    int classes, int ignore_label, int kept_columns) {
    all_rows(x, labels, losses, scale, error, rows, classes, ignore_label, kept_columns);
}
