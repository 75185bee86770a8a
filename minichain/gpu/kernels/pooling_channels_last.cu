// Pooling of images with channels last, forward: C channels of (N, H, W, `x_width`), from `begin` on,
// to those of (N, OH, OW, `width`) from `first` on, so that pooling beside convolutions finds and
// leaves its part where others have theirs. See pooling.cu for what is computed, and the gradients.
//
// A thread takes 16 bytes of neighbouring channels where they are aligned.
#include "windows.cuh"

struct Range {
    int begin, end;
};

// What window `o` sees of the image and of `margin` places around it.
__device__ inline Range seen(Axis a, int o, int margin) {
    int begin = o * a.stride - a.pad;
    return {max(begin, -margin), min(begin + a.window, a.size + margin)};
}

// NaN is larger than everything, padding smaller.
struct Largest {
    static __device__ float neutral() { return -infinity(); }
    static __device__ float of(float a, float b) { return b > a || b != b ? b : a; }
    static __device__ float divisor(Axis, Axis, int, int, int) { return 1; }
};

// The mean is taken over all of the window that is in the image or, if padding counts, in that.
struct Mean {
    static __device__ float neutral() { return 0; }
    static __device__ float of(float a, float b) { return a + b; }
    static __device__ float divisor(Axis v, Axis h, int row, int column, int counts_padding) {
        Range rows = seen(v, row, counts_padding ? v.pad : 0);
        Range columns = seen(h, column, counts_padding ? h.pad : 0);
        return max(1, max(0, rows.end - rows.begin) * max(0, columns.end - columns.begin));
    }
};

// `cuts`: ReLU follows.
template <typename Operation, int WIDTH, typename T>
__device__ void pool(const T *x, T *y, int N, int C, int x_width, int begin, int width, int first,
                     Axis v, Axis h, int counts_padding, int cuts) {
    int packs = C / WIDTH;
    FOR_PLANES(line, N * v.out) FOR_PLACES(i, h.out * packs) {
        int column = i / packs, row = line % v.out, channel = i % packs * WIDTH;
        Range rows = seen(v, row, 0), columns = seen(h, column, 0);
        const T *image = x + (long long)(line / v.out) * v.size * h.size * x_width + begin + channel;
        float found[WIDTH];
        for (int k = 0; k < WIDTH; k++) found[k] = Operation::neutral();
        for (int iy = rows.begin; iy < rows.end; iy++)
            for (int ix = columns.begin; ix < columns.end; ix++) {
                Pack<T, WIDTH> pack = load_pack<WIDTH>(
                    image + ((long long)iy * h.size + ix) * x_width);
                for (int k = 0; k < WIDTH; k++)
                    found[k] = Operation::of(found[k], to_float(pack.at[k]));
            }
        float divisor = Operation::divisor(v, h, row, column, counts_padding);
        Pack<T, WIDTH> pack;
        for (int k = 0; k < WIDTH; k++)
            pack.at[k] = from_float<T>(cuts && found[k] < 0 ? 0 : found[k] / divisor);
        store_pack(y + ((long long)line * h.out + column) * width + first + channel, pack);
    }
}

template <typename Operation, typename T>
__device__ void pool(const T *x, T *y, int N, int C, int x_width, int begin, int width, int first,
                     Axis v, Axis h, int counts_padding, int cuts) {
    constexpr int WIDTH = full_width<T>();
    if (C % WIDTH == 0 && rows_are_aligned(x + begin, x_width) &&
        rows_are_aligned(y + first, width))
        pool<Operation, WIDTH>(x, y, N, C, x_width, begin, width, first, v, h, counts_padding,
                               cuts);
    else
        pool<Operation, 1>(x, y, N, C, x_width, begin, width, first, v, h, counts_padding, cuts);
}

// The kernels: image H W, windows OH OW, of kh kw at strides sy sx, padding py px.
extern "C" __global__ void max_pooling_channels_last_float32(
    const float *x, float *y, int N, int C, int x_width, int begin, int width, int first,
    int H, int W, int OH, int OW, int kh, int kw, int sy, int sx, int py, int px,
    int counts_padding, int cuts) {
    pool<Largest>(x, y, N, C, x_width, begin, width, first, Axis{H, OH, kh, sy, py, 1},
                 Axis{W, OW, kw, sx, px, 1}, counts_padding, cuts);
}

extern "C" __global__ void max_pooling_channels_last_bfloat16(
    const bfloat16 *x, bfloat16 *y, int N, int C, int x_width, int begin, int width, int first,
    int H, int W, int OH, int OW, int kh, int kw, int sy, int sx, int py, int px,
    int counts_padding, int cuts) {
    pool<Largest>(x, y, N, C, x_width, begin, width, first, Axis{H, OH, kh, sy, py, 1},
                 Axis{W, OW, kw, sx, px, 1}, counts_padding, cuts);
}

extern "C" __global__ void mean_pooling_channels_last_float32(
    const float *x, float *y, int N, int C, int x_width, int begin, int width, int first,
    int H, int W, int OH, int OW, int kh, int kw, int sy, int sx, int py, int px,
    int counts_padding, int cuts) {
    pool<Mean>(x, y, N, C, x_width, begin, width, first, Axis{H, OH, kh, sy, py, 1},
              Axis{W, OW, kw, sx, px, 1}, counts_padding, cuts);
}

extern "C" __global__ void mean_pooling_channels_last_bfloat16(
    const bfloat16 *x, bfloat16 *y, int N, int C, int x_width, int begin, int width, int first,
    int H, int W, int OH, int OW, int kh, int kw, int sy, int sx, int py, int px,
    int counts_padding, int cuts) {
    pool<Mean>(x, y, N, C, x_width, begin, width, first, Axis{H, OH, kh, sy, py, 1},
              Axis{W, OW, kw, sx, px, 1}, counts_padding, cuts);
}
