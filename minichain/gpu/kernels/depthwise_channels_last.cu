// Depthwise convolution of images with channels last, forward: see depthwise.cu.
//
//     y[n, oy, ox, o] = b[o] + sum over ky, kx of W[ky, kx, o] x[n, oy sy - py + ky dy, ..., o / M]
//
// Filters lie tap by tap, so that a thread takes 16 bytes of neighbouring channels of the image and
// of the filters at once where every channel has but one filter. ReLU may follow. Images are C
// channels, from `begin` on, of `x_width`; results O = C M, from `first` on, of `width`.
#include "windows.cuh"

// b is read only if `adds`.
template <int WIDTH, typename T>
__device__ void filter(const T *x, const T *W, const T *b, T *y, int N, int O, int M, int x_width,
                       int begin, int width, int first, Axis v, Axis h, int adds, int cuts) {
    int packs = O / WIDTH;
    FOR_PLANES(line, N * v.out) FOR_PLACES(i, h.out * packs) {
        int left = i / packs * h.stride - h.pad, top = line % v.out * v.stride - v.pad;
        int o = i % packs * WIDTH;
        const T *image = x + (long long)(line / v.out) * v.size * h.size * x_width + begin + o / M;
        float sums[WIDTH];
        for (int k = 0; k < WIDTH; k++) sums[k] = adds ? to_float(b[o + k]) : 0;
        for (int ky = 0; ky < v.window; ky++)
            for (int kx = 0; kx < h.window; kx++) {
                int row = top + ky * v.dilation, column = left + kx * h.dilation;
                if (row < 0 || row >= v.size || column < 0 || column >= h.size) continue;
                Pack<T, WIDTH> seen = load_pack<WIDTH>(
                    image + ((long long)row * h.size + column) * x_width);
                Pack<T, WIDTH> weights = load_pack<WIDTH>(
                    W + (long long)(ky * h.window + kx) * O + o);
                for (int k = 0; k < WIDTH; k++)
                    sums[k] += to_float(weights.at[k]) * to_float(seen.at[k]);
            }
        Pack<T, WIDTH> pack;
        for (int k = 0; k < WIDTH; k++)
            pack.at[k] = from_float<T>(cuts && sums[k] < 0 ? 0 : sums[k]);
        store_pack(y + ((long long)line * h.out + i / packs) * width + first + o, pack);
    }
}

template <typename T>
__device__ void filter(const T *x, const T *W, const T *b, T *y, int N, int O, int M, int x_width,
                       int begin, int width, int first, Axis v, Axis h, int adds, int cuts) {
    constexpr int WIDTH = full_width<T>();
    if (M == 1 && rows_are_aligned(x + begin, x_width) && rows_are_aligned(W, O) &&
        rows_are_aligned(y + first, width))
        filter<WIDTH>(x, W, b, y, N, O, M, x_width, begin, width, first, v, h, adds, cuts);
    else
        filter<1>(x, W, b, y, N, O, M, x_width, begin, width, first, v, h, adds, cuts);
}

// The kernels: image H W, windows OH OW, of kh kw at strides sy sx, padding py px, dilation dy dx.
extern "C" __global__ void depthwise_channels_last_float32(
    const float *x, const float *weights, const float *b, float *y, int N, int O, int M,
    int x_width, int begin, int width, int first, int H, int W, int OH, int OW, int kh, int kw,
    int sy, int sx, int py, int px, int dy, int dx, int adds, int cuts) {
    filter(x, weights, b, y, N, O, M, x_width, begin, width, first, Axis{H, OH, kh, sy, py, dy},
           Axis{W, OW, kw, sx, px, dx}, adds, cuts);
}

extern "C" __global__ void depthwise_channels_last_bfloat16(
    const bfloat16 *x, const bfloat16 *weights, const bfloat16 *b, bfloat16 *y, int N, int O, int M,
    int x_width, int begin, int width, int first, int H, int W, int OH, int OW, int kh, int kw,
    int sy, int sx, int py, int px, int dy, int dx, int adds, int cuts) {
    filter(x, weights, b, y, N, O, M, x_width, begin, width, first, Axis{H, OH, kh, sy, py, dy},
           Axis{W, OW, kw, sx, px, dx}, adds, cuts);
}
