// Depthwise convolution: every channel is filtered by itself, M times, so that columns of one
// channel would be multiplied by a matrix of M rows. Instead a thread computes an element.
//
//     y[n, o, oy, ox]  = b[o] + sum W[o, ky, kx] x[n, o / M, oy sy - py + ky dy, ...]
//     gx[n, c, iy, ix] = sum W[o, ky, kx] gy[n, o, oy, ox] of all that saw it,  o / M = c
//     gW[o, ky, kx]    = sum gy[n, o, oy, ox] x[n, o / M, ...]
//
// Filters are so small that they stay in the first cache. Elements look for what has to do with
// them: no atomic additions, the same bits every time.
#include "windows.cuh"

// The place that tap `tap` of window `o` sees, -1 if it is none of the image.
__device__ inline int seen(Axis a, int o, int tap) {
    int place = o * a.stride - a.pad + tap * a.dilation;
    return place < a.size ? max(place, -1) : -1;
}

// b is read only if `adds`.
template <typename T>
__device__ void filter(const T *x, const T *W, const T *b, T *y, int N, int C, int M, Axis v,
                       Axis h, int adds) {
    FOR_PLANES(plane, N * C * M) {
        int o = plane % (C * M);
        const T *from = x + (long long)(plane / M) * v.size * h.size;
        const T *weights = W + (long long)o * v.window * h.window;
        T *to = y + (long long)plane * v.out * h.out;
        FOR_PLACES(i, v.out * h.out) {
            float sum = adds ? to_float(b[o]) : 0;
            for (int ky = 0; ky < v.window; ky++) {
                int row = seen(v, i / h.out, ky);
                for (int kx = 0; row >= 0 && kx < h.window; kx++) {
                    int column = seen(h, i % h.out, kx);
                    if (column >= 0)
                        sum += to_float(weights[ky * h.window + kx]) *
                               to_float(from[row * h.size + column]);
                }
            }
            to[i] = from_float<T>(sum);
        }
    }
}

template <typename T>
__device__ void gradient(const T *gy, const T *W, T *gx, int N, int C, int M, Axis v, Axis h) {
    FOR_PLANES(plane, N * C) {
        const T *from = gy + (long long)plane * M * v.out * h.out;
        const T *weights = W + (long long)(plane % C) * M * v.window * h.window;
        T *to = gx + (long long)plane * v.size * h.size;
        FOR_PLACES(i, v.size * h.size) {
            float sum = 0;
            for (int ky = 0; ky < v.window; ky++) {
                int row = seer(v, i / h.size, ky);
                for (int kx = 0; row >= 0 && kx < h.window; kx++) {
                    int column = seer(h, i % h.size, kx);
                    for (int m = 0; column >= 0 && m < M; m++)
                        sum += to_float(weights[(m * v.window + ky) * h.window + kx]) *
                               to_float(from[((long long)m * v.out + row) * h.out + column]);
                }
            }
            to[i] = from_float<T>(sum);
        }
    }
}

// A block takes a tap of a filter; blocks of the same channel find it in the second cache.
template <typename T>
__device__ void filter_gradient(const T *x, const T *gy, T *gW, int N, int C, int M, Axis v,
                                Axis h) {
    int taps = v.window * h.window, places = v.out * h.out;
    for (int i = blockIdx.x; i < C * M * taps; i += gridDim.x) {
        int o = i / taps, ky = i % taps / h.window, kx = i % h.window;
        float sum = 0;
        for (long long j = threadIdx.x; j < (long long)N * places; j += blockDim.x) {
            int n = (int)(j / places), place = (int)(j % places);
            int row = seen(v, place / h.out, ky), column = seen(h, place % h.out, kx);
            if (row < 0 || column < 0) continue;
            sum += to_float(gy[((long long)n * C * M + o) * places + place]) *
                   to_float(x[(((long long)n * C + o / M) * v.size + row) * h.size + column]);
        }
        sum = block_sum(sum);
        if (threadIdx.x == 0) gW[i] = from_float<T>(sum);
    }
}

// The kernels: image H W, windows OH OW, of kh kw at strides sy sx, padding py px, dilation dy dx.
extern "C" __global__ void depthwise_float32(
    const float *x, const float *W, const float *b, float *y, int N, int C, int M, int H, int Wd,
    int OH, int OW, int kh, int kw, int sy, int sx, int py, int px, int dy, int dx, int adds) {
    filter(x, W, b, y, N, C, M, Axis{H, OH, kh, sy, py, dy}, Axis{Wd, OW, kw, sx, px, dx}, adds);
}

extern "C" __global__ void depthwise_bfloat16(
    const bfloat16 *x, const bfloat16 *W, const bfloat16 *b, bfloat16 *y, int N, int C, int M,
    int H, int Wd, int OH, int OW, int kh, int kw, int sy, int sx, int py, int px, int dy, int dx,
    int adds) {
    filter(x, W, b, y, N, C, M, Axis{H, OH, kh, sy, py, dy}, Axis{Wd, OW, kw, sx, px, dx}, adds);
}

extern "C" __global__ void depthwise_gradient_float32(
    const float *gy, const float *W, float *gx, int N, int C, int M, int H, int Wd, int OH, int OW,
    int kh, int kw, int sy, int sx, int py, int px, int dy, int dx) {
    gradient(gy, W, gx, N, C, M, Axis{H, OH, kh, sy, py, dy}, Axis{Wd, OW, kw, sx, px, dx});
}

extern "C" __global__ void depthwise_gradient_bfloat16(
    const bfloat16 *gy, const bfloat16 *W, bfloat16 *gx, int N, int C, int M, int H, int Wd,
    int OH, int OW, int kh, int kw, int sy, int sx, int py, int px, int dy, int dx) {
    gradient(gy, W, gx, N, C, M, Axis{H, OH, kh, sy, py, dy}, Axis{Wd, OW, kw, sx, px, dx});
}

extern "C" __global__ void depthwise_weights_float32(
    const float *x, const float *gy, float *gW, int N, int C, int M, int H, int Wd, int OH, int OW,
    int kh, int kw, int sy, int sx, int py, int px, int dy, int dx) {
    filter_gradient(x, gy, gW, N, C, M, Axis{H, OH, kh, sy, py, dy}, Axis{Wd, OW, kw, sx, px, dx});
}

extern "C" __global__ void depthwise_weights_bfloat16(
    const bfloat16 *x, const bfloat16 *gy, bfloat16 *gW, int N, int C, int M, int H, int Wd,
    int OH, int OW, int kh, int kw, int sy, int sx, int py, int px, int dy, int dx) {
    filter_gradient(x, gy, gW, N, C, M, Axis{H, OH, kh, sy, py, dy}, Axis{Wd, OW, kw, sx, px, dx});
}
