// What windows of a convolution see, of images with channels last: a row for every window, so that
// rows times filters are pixels of the result. See im2col.cu for the other order of axes.
//
//     rows[n oy ox, ky kx c] = x[n, oy sy - py + ky dy, ox sx - px + kx dx, begin + c]
//
// Rows are as wide as 16 bytes allow to be stored at once: zeros follow the last tap, and filters
// have zeros there too. Where channels fill whole 16 bytes they are read at once as well.
#include "windows.cuh"

// The pack of WIDTH numbers from tap (ky, kx), `channel` on of a window whose first tap sees place
// (top, left); they are read LOAD at a time, of C channels those from `image` on.
template <int LOAD, typename T>
__device__ Pack<T, full_width<T>()> seen(const T *image, int top, int left, int ky, int kx,
                                         int channel, int C, int channels, Axis v, Axis h) {
    Pack<T, full_width<T>()> pack;
    for (int k = 0; k < full_width<T>(); k += LOAD) {
        int row = top + ky * v.dilation, column = left + kx * h.dilation;
        Pack<T, LOAD> part;
        if (ky < v.window && row >= 0 && row < v.size && column >= 0 && column < h.size) {
            part = load_pack<LOAD>(image + ((long long)row * h.size + column) * C + channel);
        } else {
            for (int j = 0; j < LOAD; j++) part.at[j] = from_float<T>(0);
        }
        for (int j = 0; j < LOAD; j++) pack.at[k + j] = part.at[j];
        channel += LOAD;
        if (channel == channels) {
            channel = 0;
            kx = kx + 1 == h.window ? 0 : kx + 1;
            ky += kx == 0;
        }
    }
    return pack;
}

// From window `first` on, `count` of them; of C channels, `channels` from `begin` on. A row has
// `packs`. A thread that reads whole packs makes the same one of four rows, as dividing takes longer
// than copying.
template <int LOAD, typename T>
__device__ void unfold(const T *x, T *rows, unsigned first, unsigned count, unsigned packs, int C,
                       int begin, int channels, Axis v, Axis h) {
    constexpr int WIDTH = full_width<T>(), AT_ONCE = LOAD == 1 ? 1 : 4;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
         i < (count + AT_ONCE - 1) / AT_ONCE * packs; i += gridDim.x * blockDim.x) {
        int at = i % packs * WIDTH, tap = at / channels;
        unsigned row = i / packs * AT_ONCE, line = (first + row) / h.out;
        int ox = (first + row) % h.out, oy = line % v.out, n = line / v.out;
        #pragma unroll
        for (int k = 0; k < AT_ONCE; k++) {
            if (row + k >= count) break;
            Pack<T, WIDTH> pack = seen<LOAD>(
                x + (long long)n * v.size * h.size * C + begin, oy * v.stride - v.pad,
                ox * h.stride - h.pad, tap / h.window, tap % h.window, at % channels, C, channels,
                v, h);
            store_pack(rows + ((long long)(row + k) * packs + i % packs) * WIDTH, pack);
            ox = ox + 1 == h.out ? 0 : ox + 1;
            if (ox == 0) oy = oy + 1 == v.out ? 0 : oy + 1;
            n += ox == 0 && oy == 0;
        }
    }
}

template <typename T>
__device__ void unfold(const T *x, T *rows, int first, int count, int packs, int C, int begin,
                       int channels, Axis v, Axis h) {
    if (rows_are_aligned(x + begin, C) && channels % full_width<T>() == 0)
        unfold<full_width<T>()>(x, rows, first, count, packs, C, begin, channels, v, h);
    else
        unfold<1>(x, rows, first, count, packs, C, begin, channels, v, h);
}

// The kernels: image H W, windows OH OW, of kh kw at strides sy sx, padding py px, dilation dy dx.
extern "C" __global__ void im2row_float32(const float *x, float *rows, int first, int count,
                                          int packs, int C, int begin, int channels, int H, int W,
                                          int OH, int OW, int kh, int kw, int sy, int sx, int py,
                                          int px, int dy, int dx) {
    unfold(x, rows, first, count, packs, C, begin, channels, Axis{H, OH, kh, sy, py, dy},
           Axis{W, OW, kw, sx, px, dx});
}

extern "C" __global__ void im2row_bfloat16(const bfloat16 *x, bfloat16 *rows, int first, int count,
                                           int packs, int C, int begin, int channels, int H, int W,
                                           int OH, int OW, int kh, int kw, int sy, int sx, int py,
                                           int px, int dy, int dx) {
    unfold(x, rows, first, count, packs, C, begin, channels, Axis{H, OH, kh, sy, py, dy},
           Axis{W, OW, kw, sx, px, dx});
}
