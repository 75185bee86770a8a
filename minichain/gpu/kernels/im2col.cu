// Convolution as a matrix product: im2col copies what every window sees into a column, so that
// filters times columns are the results. col2im is the way back: every element gets the sum of all
// its copies.
//
//     columns[n, c, ky, kx, oy, ox] = x[n, c, oy sy - py + ky dy, ox sx - px + kx dx]
//
// Joined columns lie as [c, ky, kx, n, oy, ox]: those of all images are one matrix.
//
// Rows of columns are as long as the windows are many, so threads side by side write side by side,
// and at stride 1 read side by side too. On the way back each element looks for its copies: no
// atomic additions, the same bits every time.
#include "windows.cuh"

// N C planes of images, each with window x window planes of columns.
template <typename T>
__device__ void unfold(const T *x, T *columns, int N, int C, Axis v, Axis h, int joined) {
    int rows = C * v.window * h.window;   // of the columns of one image
    FOR_PLANES(plane, N * rows) {
        int image = plane / (v.window * h.window), tap = plane % (v.window * h.window);
        int down = tap / h.window * v.dilation - v.pad;      // from a window's number times stride
        int right = tap % h.window * h.dilation - h.pad;     // to the place that this tap sees
        const T *from = x + (long long)image * v.size * h.size;
        int place = joined ? plane % rows * N + plane / rows : plane;
        T *to = columns + (long long)place * v.out * h.out;
        FOR_PLACES(i, v.out * h.out) {
            int row = i / h.out * v.stride + down, column = i % h.out * h.stride + right;
            bool inside = row >= 0 && row < v.size && column >= 0 && column < h.size;
            to[i] = inside ? from[row * h.size + column] : from_float<T>(0);
        }
    }
}

template <typename T>
__device__ void fold(const T *columns, T *x, int images, Axis v, Axis h) {
    FOR_PLANES(image, images) {
        const T *from = columns + (long long)image * v.window * h.window * v.out * h.out;
        T *to = x + (long long)image * v.size * h.size;
        FOR_PLACES(i, v.size * h.size) {
            float sum = 0;
            for (int ky = 0; ky < v.window; ky++) {
                int row = seer(v, i / h.size, ky);
                for (int kx = 0; row >= 0 && kx < h.window; kx++) {
                    int column = seer(h, i % h.size, kx);
                    long long plane = (long long)(ky * h.window + kx) * v.out * h.out;
                    if (column >= 0) sum += to_float(from[plane + row * h.out + column]);
                }
            }
            to[i] = from_float<T>(sum);
        }
    }
}

// The kernels: image H W, windows OH OW, of kh kw at strides sy sx, padding py px, dilation dy dx.
extern "C" __global__ void im2col_float32(
    const float *x, float *columns, int N, int C, int H, int W, int OH, int OW, int kh, int kw,
    int sy, int sx, int py, int px, int dy, int dx, int joined) {
    unfold(x, columns, N, C, Axis{H, OH, kh, sy, py, dy}, Axis{W, OW, kw, sx, px, dx}, joined);
}

extern "C" __global__ void col2im_float32(
    const float *columns, float *x, int images, int H, int W, int OH, int OW, int kh, int kw,
    int sy, int sx, int py, int px, int dy, int dx) {
    fold(columns, x, images, Axis{H, OH, kh, sy, py, dy}, Axis{W, OW, kw, sx, px, dx});
}

extern "C" __global__ void im2col_bfloat16(
    const bfloat16 *x, bfloat16 *columns, int N, int C, int H, int W, int OH, int OW, int kh, int kw,
    int sy, int sx, int py, int px, int dy, int dx, int joined) {
    unfold(x, columns, N, C, Axis{H, OH, kh, sy, py, dy}, Axis{W, OW, kw, sx, px, dx}, joined);
}

extern "C" __global__ void col2im_bfloat16(
    const bfloat16 *columns, bfloat16 *x, int images, int H, int W, int OH, int OW, int kh, int kw,
    int sy, int sx, int py, int px, int dy, int dx) {
    fold(columns, x, images, Axis{H, OH, kh, sy, py, dy}, Axis{W, OW, kw, sx, px, dx});
}
