// What windows of a convolution see, of images with channels last: a row for every window, so that
// rows times filters are pixels of the result. See im2col.cu for the other order of axes.
//
//     rows[n oy ox, ky kx c] = x[n, oy sy - py + ky dy, ox sx - px + kx dx, begin + c]
//
// Rows are as wide as 16 bytes allow to be stored at once: zeros follow the last tap, and filters
// have zeros there too. Where channels fill whole 16 bytes they are read at once as well.
#include "windows.cuh"

// From window `first` on, `count` of them; of C channels, `channels` from `begin` on. `packs` of
// WIDTH numbers are a row; LOAD of them are read at a time.
template <int LOAD, typename T>
__device__ void unfold(const T *x, T *rows, unsigned first, unsigned count, unsigned packs, int C,
                       int begin, int channels, Axis v, Axis h) {
    constexpr int WIDTH = full_width<T>();
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < count * packs;
         i += gridDim.x * blockDim.x) {
        unsigned window = first + i / packs, line = window / h.out;
        int left = window % h.out * h.stride - h.pad, top = line % v.out * v.stride - v.pad;
        const T *image = x + (long long)(line / v.out) * v.size * h.size * C + begin;
        int at = i % packs * WIDTH, channel = at % channels, tap = at / channels;
        int ky = tap / h.window, kx = tap % h.window;
        Pack<T, WIDTH> pack;
        for (int k = 0; k < WIDTH; k += LOAD) {
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
        store_pack(rows + (long long)i * WIDTH, pack);
    }
}

template <typename T>
__device__ void unfold(const T *x, T *rows, int first, int count, int packs, int C, int begin,
                       int channels, Axis v, Axis h) {
    constexpr int WIDTH = full_width<T>();
    if (rows_are_aligned(x + begin, C) && channels % WIDTH == 0)
        unfold<WIDTH>(x, rows, first, count, packs, C, begin, channels, v, h);
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
