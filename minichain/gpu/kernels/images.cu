// Images as a decoder leaves them, bytes of interleaved channels, as a network wants them:
//
//     y[c] = (x[c] - mean[c]) scale[c]
//
// Bytes are a quarter of what floats would be on the way to the device, and that way is the
// narrowest of all. `reversed` exchanges red and blue, which some networks were trained with; mean
// and scale are those of the channels of y.
#include "common.cuh"

// blockIdx.y and threadIdx.y count images, .x what lies in an image; any grid is right.
#define FOR_IMAGES(n) \
    for (int n = blockIdx.y * blockDim.y + threadIdx.y; n < images; n += gridDim.y * blockDim.y)
#define FOR_PLACES(i, count) \
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)

// (images, pixels, channels) -> (images, channels, pixels). A thread reads a whole pixel; threads
// side by side write pixels side by side of one channel after another.
template <typename T>
__device__ void to_planes(const unsigned char *x, T *y, const float *mean, const float *scale,
                          int images, int pixels, int channels, int reversed) {
    FOR_IMAGES(n) FOR_PLACES(p, pixels) {
        long long first = (long long)n * pixels * channels;
        const unsigned char *pixel = x + first + (long long)p * channels;
        for (int c = 0; c < channels; c++) {
            float value = pixel[reversed ? channels - 1 - c : c];
            y[first + (long long)c * pixels + p] = from_float<T>((value - mean[c]) * scale[c]);
        }
    }
}

// (images, pixels, channels) -> the same. Neighbours read and write neighbours.
template <typename T>
__device__ void to_pixels(const unsigned char *x, T *y, const float *mean, const float *scale,
                          int images, int pixels, int channels, int reversed) {
    FOR_IMAGES(n) FOR_PLACES(i, pixels * channels) {
        long long first = (long long)n * pixels * channels;
        int c = i % channels;
        float value = x[first + (reversed ? i - c + (channels - 1 - c) : i)];
        y[first + i] = from_float<T>((value - mean[c]) * scale[c]);
    }
}

extern "C" __global__ void images_to_nchw_float32(
    const unsigned char *x, float *y, const float *mean, const float *scale, int images,
    int pixels, int channels, int reversed) {
    to_planes(x, y, mean, scale, images, pixels, channels, reversed);
}

extern "C" __global__ void images_to_nchw_bfloat16(
    const unsigned char *x, bfloat16 *y, const float *mean, const float *scale, int images,
    int pixels, int channels, int reversed) {
    to_planes(x, y, mean, scale, images, pixels, channels, reversed);
}

extern "C" __global__ void images_to_nhwc_float32(
    const unsigned char *x, float *y, const float *mean, const float *scale, int images,
    int pixels, int channels, int reversed) {
    to_pixels(x, y, mean, scale, images, pixels, channels, reversed);
}

extern "C" __global__ void images_to_nhwc_bfloat16(
    const unsigned char *x, bfloat16 *y, const float *mean, const float *scale, int images,
    int pixels, int channels, int reversed) {
    to_pixels(x, y, mean, scale, images, pixels, channels, reversed);
}
