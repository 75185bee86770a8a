// Windows that slide over planes of images: their loops, and their geometry along an axis.
#pragma once
#include "common.cuh"

// blockIdx.y and threadIdx.y count planes, .x what lies in a plane; any grid is right.
#define FOR_PLANES(plane, planes) \
    for (int plane = blockIdx.y * blockDim.y + threadIdx.y; plane < planes; \
         plane += gridDim.y * blockDim.y)
#define FOR_PLACES(i, count) \
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)

// Along one axis: image, windows, their size, stride, padding on the near side, dilation.
struct Axis {
    int size, out, window, stride, pad, dilation;
};

// The window whose tap `tap` sees place `i`, -1 if there is none.
__device__ inline int seer(Axis a, int i, int tap) {
    int begin = i + a.pad - tap * a.dilation;   // where it would begin
    int window = begin / a.stride;
    return begin >= 0 && begin % a.stride == 0 && window < a.out ? window : -1;
}
