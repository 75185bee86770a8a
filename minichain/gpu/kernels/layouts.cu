// Images between the two orders of their axes: (N, C, H W) in float, which is what functions and
// users have, and (N, H W, C) in float or bfloat16, where a pixel is a row of a matrix.
//
// A block turns over tiles of 32 x 32 in shared memory, so that threads side by side read and write
// side by side; an unused column keeps those that read a column out of each other's banks. Of few
// channels a thread takes a whole pixel instead.
#include "common.cuh"

constexpr int TILE = 32, FEW = 4;

// (images, rows, columns) -> (images, columns, rows). blockDim is (TILE, any).
template <typename From, typename To>
__device__ void turn(const From *x, To *y, int images, int rows, int columns) {
    SHARED(float, tile, TILE * (TILE + 1));
    int down = (rows + TILE - 1) / TILE, across = (columns + TILE - 1) / TILE;
    for (long long t = blockIdx.x; t < (long long)images * down * across; t += gridDim.x) {
        int left = t % across * TILE, top = t / across % down * TILE, lane = threadIdx.x;
        long long first = t / across / down * rows * columns;
        for (int i = threadIdx.y; i < TILE; i += blockDim.y)
            if (top + i < rows && left + lane < columns)
                tile[i * (TILE + 1) + lane] =
                    to_float(x[first + (long long)(top + i) * columns + left + lane]);
        __syncthreads();
        for (int i = threadIdx.y; i < TILE; i += blockDim.y)
            if (left + i < columns && top + lane < rows)
                y[first + (long long)(left + i) * rows + top + lane] =
                    from_float<To>(tile[lane * (TILE + 1) + i]);
        __syncthreads();   // everybody has read the tile: the next one may be written
    }
}

template <typename T>
__device__ void to_last(const float *x, T *y, int images, int channels, int pixels) {
    if (channels > FEW) {
        turn(x, y, images, channels, pixels);
        return;
    }
    int thread = threadIdx.y * blockDim.x + threadIdx.x, threads = blockDim.x * blockDim.y;
    for (long long i = (long long)blockIdx.x * threads + thread; i < (long long)images * pixels;
         i += (long long)gridDim.x * threads) {
        const float *from = x + i / pixels * channels * pixels + i % pixels;
        for (int c = 0; c < channels; c++)
            y[i * channels + c] = from_float<T>(from[(long long)c * pixels]);
    }
}

extern "C" __global__ void to_channels_last_float32(const float *x, float *y, int images,
                                                    int channels, int pixels) {
    to_last(x, y, images, channels, pixels);
}

extern "C" __global__ void to_channels_last_bfloat16(const float *x, bfloat16 *y, int images,
                                                     int channels, int pixels) {
    to_last(x, y, images, channels, pixels);
}

extern "C" __global__ void to_channels_first_float32(const float *x, float *y, int images,
                                                     int channels, int pixels) {
    turn(x, y, images, pixels, channels);
}

extern "C" __global__ void to_channels_first_bfloat16(const bfloat16 *x, float *y, int images,
                                                      int channels, int pixels) {
    turn(x, y, images, pixels, channels);
}
