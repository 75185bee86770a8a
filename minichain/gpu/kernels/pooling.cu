// Pooling: the largest, or the mean, of what each window of an image sees; and the gradients.
//
// An image lies as (outer, H, W, inner): NCHW has N C outer and one inner, NHWC has N outer and C
// inner. Backward, an element of the image asks which windows have seen it, instead of windows
// adding to elements: no two threads write to one place, so that there are no atomic additions and
// every sum has the same bits every time.
#include "common.cuh"

// blockIdx.y and threadIdx.y count outer, .x what lies in one of them; any grid is right.
#define FOR_OUTER(n) \
    for (int n = blockIdx.y * blockDim.y + threadIdx.y; n < outer; n += gridDim.y * blockDim.y)
#define FOR_PLACES(i, count) \
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)

// Along one axis: image, windows, their size, stride, and padding on the near side.
struct Axis {
    int size, out, window, stride, pad;
};

struct Range {
    int begin, end;
};

// What window `o` sees of the image and of `margin` places around it.
__device__ inline Range seen(Axis a, int o, int margin) {
    int begin = o * a.stride - a.pad;
    return {max(begin, -margin), min(begin + a.window, a.size + margin)};
}

// Which windows have seen place `i`: those that begin at i - window + 1, ..., i.
__device__ inline Range seers(Axis a, int i) {
    int last = i + a.pad, before_first = last - a.window;   // counted from the padding's edge
    return {before_first < 0 ? 0 : before_first / a.stride + 1, min(last / a.stride + 1, a.out)};
}

// winners: the place y W + x of the largest of each window, the first of equal ones; -1 where a
// window sees padding alone, which is -infinity. NaN is larger than everything. Without a backward
// pass, `keeps` 0, they are not written.
template <typename T>
__device__ void max_forward(const T *x, T *y, int *winners, int outer, int inner, Axis v, Axis h,
                            int keeps) {
    FOR_OUTER(n) FOR_PLACES(i, v.out * h.out * inner) {
        int c = inner == 1 ? 0 : i % inner, o = inner == 1 ? i : i / inner;
        Range rows = seen(v, o / h.out, 0), columns = seen(h, o % h.out, 0);
        const T *image = x + (long long)n * v.size * h.size * inner + c;
        float best = -infinity();
        int winner = -1;
        for (int row = rows.begin; row < rows.end; row++)
            for (int column = columns.begin; column < columns.end; column++) {
                int place = row * h.size + column;
                float value = to_float(image[(long long)place * inner]);
                if (value > best || winner < 0 || (value != value && best == best)) {
                    best = value;
                    winner = place;
                }
            }
        long long at = (long long)n * v.out * h.out * inner + i;
        y[at] = from_float<T>(best);
        if (keeps) winners[at] = winner;
    }
}

template <typename T>
__device__ void max_backward(const T *gy, const int *winners, T *gx, int outer, int inner, Axis v,
                             Axis h) {
    FOR_OUTER(n) FOR_PLACES(i, v.size * h.size * inner) {
        int c = inner == 1 ? 0 : i % inner, place = inner == 1 ? i : i / inner;
        Range rows = seers(v, place / h.size), columns = seers(h, place % h.size);
        long long first = (long long)n * v.out * h.out * inner + c;
        float sum = 0;
        for (int row = rows.begin; row < rows.end; row++)
            for (int column = columns.begin; column < columns.end; column++) {
                long long at = first + (long long)(row * h.out + column) * inner;
                if (winners[at] == place) sum += to_float(gy[at]);
            }
        gx[(long long)n * v.size * h.size * inner + i] = from_float<T>(sum);
    }
}

// How many places a mean is taken over: all of the window that are in the image or, if padding
// counts, in the padding.
__device__ inline int counted(Axis v, Axis h, int row, int column, int counts_padding) {
    Range rows = seen(v, row, counts_padding ? v.pad : 0);
    Range columns = seen(h, column, counts_padding ? h.pad : 0);
    return max(1, max(0, rows.end - rows.begin) * max(0, columns.end - columns.begin));
}

template <typename T>
__device__ void mean_forward(const T *x, T *y, int outer, int inner, Axis v, Axis h,
                             int counts_padding) {
    FOR_OUTER(n) FOR_PLACES(i, v.out * h.out * inner) {
        int c = inner == 1 ? 0 : i % inner, o = inner == 1 ? i : i / inner;
        Range rows = seen(v, o / h.out, 0), columns = seen(h, o % h.out, 0);
        const T *image = x + (long long)n * v.size * h.size * inner + c;
        float sum = 0;
        for (int row = rows.begin; row < rows.end; row++)
            for (int column = columns.begin; column < columns.end; column++)
                sum += to_float(image[(long long)(row * h.size + column) * inner]);
        sum /= counted(v, h, o / h.out, o % h.out, counts_padding);
        y[(long long)n * v.out * h.out * inner + i] = from_float<T>(sum);
    }
}

template <typename T>
__device__ void mean_backward(const T *gy, T *gx, int outer, int inner, Axis v, Axis h,
                              int counts_padding) {
    FOR_OUTER(n) FOR_PLACES(i, v.size * h.size * inner) {
        int c = inner == 1 ? 0 : i % inner, place = inner == 1 ? i : i / inner;
        Range rows = seers(v, place / h.size), columns = seers(h, place % h.size);
        const T *gradients = gy + (long long)n * v.out * h.out * inner + c;
        float sum = 0;
        for (int row = rows.begin; row < rows.end; row++)
            #pragma unroll 1   // more divisions at once would take registers from other threads
            for (int column = columns.begin; column < columns.end; column++)
                sum += to_float(gradients[(long long)(row * h.out + column) * inner]) /
                       counted(v, h, row, column, counts_padding);
        gx[(long long)n * v.size * h.size * inner + i] = from_float<T>(sum);
    }
}

// The kernels: image H W, windows OH OW, of kh kw at strides sy sx, padding py px.
extern "C" __global__ void max_pooling_forward_float32(
    const float *x, float *y, int *winners, int outer, int inner, int H, int W, int OH, int OW,
    int kh, int kw, int sy, int sx, int py, int px, int keeps) {
    max_forward(x, y, winners, outer, inner, Axis{H, OH, kh, sy, py},
                Axis{W, OW, kw, sx, px}, keeps);
}

extern "C" __global__ void max_pooling_backward_float32(
    const float *gy, const int *winners, float *gx, int outer, int inner, int H, int W, int OH,
    int OW, int kh, int kw, int sy, int sx, int py, int px) {
    max_backward(gy, winners, gx, outer, inner, Axis{H, OH, kh, sy, py},
                 Axis{W, OW, kw, sx, px});
}

extern "C" __global__ void average_pooling_forward_float32(
    const float *x, float *y, int outer, int inner, int H, int W, int OH, int OW, int kh, int kw,
    int sy, int sx, int py, int px, int counts_padding) {
    mean_forward(x, y, outer, inner, Axis{H, OH, kh, sy, py},
                 Axis{W, OW, kw, sx, px}, counts_padding);
}

extern "C" __global__ void average_pooling_backward_float32(
    const float *gy, float *gx, int outer, int inner, int H, int W, int OH, int OW, int kh, int kw,
    int sy, int sx, int py, int px, int counts_padding) {
    mean_backward(gy, gx, outer, inner, Axis{H, OH, kh, sy, py},
                  Axis{W, OW, kw, sx, px}, counts_padding);
}

extern "C" __global__ void max_pooling_forward_bfloat16(
    const bfloat16 *x, bfloat16 *y, int *winners, int outer, int inner, int H, int W, int OH,
    int OW, int kh, int kw, int sy, int sx, int py, int px, int keeps) {
    max_forward(x, y, winners, outer, inner, Axis{H, OH, kh, sy, py},
                Axis{W, OW, kw, sx, px}, keeps);
}

extern "C" __global__ void max_pooling_backward_bfloat16(
    const bfloat16 *gy, const int *winners, bfloat16 *gx, int outer, int inner, int H, int W,
    int OH, int OW, int kh, int kw, int sy, int sx, int py, int px) {
    max_backward(gy, winners, gx, outer, inner, Axis{H, OH, kh, sy, py},
                 Axis{W, OW, kw, sx, px});
}

extern "C" __global__ void average_pooling_forward_bfloat16(
    const bfloat16 *x, bfloat16 *y, int outer, int inner, int H, int W, int OH, int OW, int kh,
    int kw, int sy, int sx, int py, int px, int counts_padding) {
    mean_forward(x, y, outer, inner, Axis{H, OH, kh, sy, py},
                 Axis{W, OW, kw, sx, px}, counts_padding);
}

extern "C" __global__ void average_pooling_backward_bfloat16(
    const bfloat16 *gy, bfloat16 *gx, int outer, int inner, int H, int W, int OH, int OW, int kh,
    int kw, int sy, int sx, int py, int px, int counts_padding) {
    mean_backward(gy, gx, outer, inner, Axis{H, OH, kh, sy, py},
                  Axis{W, OW, kw, sx, px}, counts_padding);
}
