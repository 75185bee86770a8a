// Layer normalization of rows, and batch normalization of channels.
//
//     y = gamma (x - mean) r + beta,   r = 1 / sqrt(var + eps)
//
// Variances are means of squared distances from the mean: where the mean is large, the mean of
// squares less its square would have no digits left. So data are looked at twice; the second time
// they come from a cache. Every sum is taken in a fixed order: the same bits every time.
#include "common.cuh"

// ---------------------------------------------------------------------------- layer

// A block takes a row. means, rs: float, one for each row, for the way back.
template <typename T>
__device__ void layer_forward(const T *x, const T *gamma, const T *beta, T *y, float *means,
                              float *rs, long long rows, int columns, float eps) {
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        const T *from = x + row * columns;
        T *to = y + row * columns;
        float sum = 0, squares = 0;
        for (int j = threadIdx.x; j < columns; j += blockDim.x) sum += to_float(from[j]);
        float mean = block_sum(sum) / columns;
        for (int j = threadIdx.x; j < columns; j += blockDim.x) {
            float distance = to_float(from[j]) - mean;
            squares += distance * distance;
        }
        float r = 1 / sqrtf(block_sum(squares) / columns + eps);
        for (int j = threadIdx.x; j < columns; j += blockDim.x)
            to[j] = from_float<T>(to_float(gamma[j]) * ((to_float(from[j]) - mean) * r) +
                                  to_float(beta[j]));
        if (threadIdx.x == 0) {
            means[row] = mean;
            rs[row] = r;
        }
    }
}

// With z = (x - mean) r and g = gamma gy:  gx = r (g - mean(g) - z mean(g z)).
template <typename T>
__device__ void layer_backward(const T *x, const T *gamma, const T *gy, const float *means,
                               const float *rs, T *gx, long long rows, int columns) {
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        long long first = row * columns;
        float mean = means[row], r = rs[row], sum = 0, product = 0;
        for (int j = threadIdx.x; j < columns; j += blockDim.x) {
            float g = to_float(gamma[j]) * to_float(gy[first + j]);
            sum += g;
            product += g * ((to_float(x[first + j]) - mean) * r);
        }
        sum = block_sum(sum) / columns;
        product = block_sum(product) / columns;
        for (int j = threadIdx.x; j < columns; j += blockDim.x) {
            float g = to_float(gamma[j]) * to_float(gy[first + j]);
            float z = (to_float(x[first + j]) - mean) * r;
            gx[first + j] = from_float<T>(r * (g - sum - z * product));
        }
    }
}

// ggamma = sum gy z,  gbeta = sum gy  over rows. A block takes 32 columns, so that each of its
// warps reads whole lines; warp w takes the rows w, w + warps, ..., and in the end one warp adds
// up what all have found.
template <typename T>
__device__ void layer_parameters(const T *x, const T *gy, const float *means, const float *rs,
                                 float *ggamma, float *gbeta, long long rows, int columns) {
    SHARED(float, gammas, 1024);
    SHARED(float, betas, 1024);
    int own = threadIdx.y * 32 + threadIdx.x;
    for (int first = blockIdx.x * 32; first < columns; first += gridDim.x * 32) {
        int j = first + threadIdx.x;
        float of_gamma = 0, of_beta = 0;
        for (long long row = threadIdx.y; row < rows && j < columns; row += blockDim.y) {
            float g = to_float(gy[row * columns + j]);
            of_gamma += g * ((to_float(x[row * columns + j]) - means[row]) * rs[row]);
            of_beta += g;
        }
        gammas[own] = of_gamma;
        betas[own] = of_beta;
        __syncthreads();
        for (int warp = 1; threadIdx.y == 0 && warp < blockDim.y; warp++) {
            of_gamma += gammas[warp * 32 + threadIdx.x];
            of_beta += betas[warp * 32 + threadIdx.x];
        }
        if (threadIdx.y == 0 && j < columns) {
            ggamma[j] = of_gamma;
            gbeta[j] = of_beta;
        }
        __syncthreads();   // the sums have been read: the next columns may take their place
    }
}

extern "C" __global__ void layer_norm_forward_float32(
    const float *x, const float *gamma, const float *beta, float *y, float *means, float *rs,
    long long rows, int columns, float eps) {
    layer_forward(x, gamma, beta, y, means, rs, rows, columns, eps);
}

extern "C" __global__ void layer_norm_forward_bfloat16(
    const bfloat16 *x, const bfloat16 *gamma, const bfloat16 *beta, bfloat16 *y, float *means,
    float *rs, long long rows, int columns, float eps) {
    layer_forward(x, gamma, beta, y, means, rs, rows, columns, eps);
}

extern "C" __global__ void layer_norm_backward_float32(
    const float *x, const float *gamma, const float *gy, const float *means, const float *rs,
    float *gx, long long rows, int columns) {
    layer_backward(x, gamma, gy, means, rs, gx, rows, columns);
}

extern "C" __global__ void layer_norm_backward_bfloat16(
    const bfloat16 *x, const bfloat16 *gamma, const bfloat16 *gy, const float *means,
    const float *rs, bfloat16 *gx, long long rows, int columns) {
    layer_backward(x, gamma, gy, means, rs, gx, rows, columns);
}

extern "C" __global__ void layer_norm_parameters_float32(
    const float *x, const float *gy, const float *means, const float *rs, float *ggamma,
    float *gbeta, long long rows, int columns) {
    layer_parameters(x, gy, means, rs, ggamma, gbeta, rows, columns);
}

extern "C" __global__ void layer_norm_parameters_bfloat16(
    const bfloat16 *x, const bfloat16 *gy, const float *means, const float *rs, float *ggamma,
    float *gbeta, long long rows, int columns) {
    layer_parameters(x, gy, means, rs, ggamma, gbeta, rows, columns);
}

// ---------------------------------------------------------------------------- batch

// x lies as (outer, C, inner): NCHW has H W inner, rows and NHWC have one. blockIdx.y and
// threadIdx.y count outer.
template <typename T>
__device__ void batch_apply(const T *x, const float *gamma, const float *beta, const float *mean,
                            const float *var, T *y, int outer, int C, int inner, float eps) {
    for (int n = blockIdx.y * blockDim.y + threadIdx.y; n < outer; n += gridDim.y * blockDim.y) {
        long long first = (long long)n * C * inner;
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < C * inner;
             i += gridDim.x * blockDim.x) {
            int c = inner == 1 ? i : i / inner;
            float z = (to_float(x[first + i]) - mean[c]) * rsqrtf(var[c] + eps);
            y[first + i] = from_float<T>(gamma[c] * z + beta[c]);
        }
    }
}

// Call each(place) for what this thread takes of the numbers begin, ..., end - 1 of a channel.
// Where a number lies, (n, c, p), is found by division in the beginning, and then by addition.
template <typename Each>
__device__ void for_channel(int c, int C, int inner, long long begin, long long end, Each each) {
    long long n = (begin + threadIdx.x) / inner;
    int p = (int)((begin + threadIdx.x) % inner);
    int images = blockDim.x / inner, rest = blockDim.x % inner;
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) {
        each((n * C + c) * inner + p);
        n += images;
        p += rest;
        if (p >= inner) {
            p -= inner;
            n++;
        }
    }
}

// Statistics of channel blockIdx.y in a part of the data, part blockIdx.x of gridDim.x: the mean,
// and the sum of squared distances from it.
template <typename T>
__device__ void batch_parts(const T *x, float *means, float *squares, int outer, int C,
                            int inner) {
    long long count = (long long)outer * inner;
    long long begin = count * blockIdx.x / gridDim.x, end = count * (blockIdx.x + 1) / gridDim.x;
    for (int c = blockIdx.y; c < C; c += gridDim.y) {
        float sum = 0, square = 0;
        for_channel(c, C, inner, begin, end, [&](long long i) { sum += to_float(x[i]); });
        float mean = block_sum(sum) / (float)max(end - begin, 1ll);
        for_channel(c, C, inner, begin, end, [&](long long i) {
            float distance = to_float(x[i]) - mean;
            square += distance * distance;
        });
        square = block_sum(square);
        if (threadIdx.x == 0) {
            means[(long long)c * gridDim.x + blockIdx.x] = mean;
            squares[(long long)c * gridDim.x + blockIdx.x] = square;
        }
    }
}

extern "C" __global__ void batch_norm_apply_float32(
    const float *x, const float *gamma, const float *beta, const float *mean, const float *var,
    float *y, int outer, int C, int inner, float eps) {
    batch_apply(x, gamma, beta, mean, var, y, outer, C, inner, eps);
}

extern "C" __global__ void batch_norm_apply_bfloat16(
    const bfloat16 *x, const float *gamma, const float *beta, const float *mean, const float *var,
    bfloat16 *y, int outer, int C, int inner, float eps) {
    batch_apply(x, gamma, beta, mean, var, y, outer, C, inner, eps);
}

extern "C" __global__ void batch_norm_parts_float32(const float *x, float *means, float *squares,
                                                    int outer, int C, int inner) {
    batch_parts(x, means, squares, outer, C, inner);
}

extern "C" __global__ void batch_norm_parts_bfloat16(const bfloat16 *x, float *means,
                                                     float *squares, int outer, int C, int inner) {
    batch_parts(x, means, squares, outer, C, inner);
}

// A thread puts the parts of a channel together, one after another: two sets of n1 and n2 numbers
// whose means are d apart have  n1 n2 / (n1 + n2) d^2  more than their own squares.
//
// Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample
// variances", Stanford.
extern "C" __global__ void batch_norm_statistics(const float *means, const float *squares,
                                                 float *mean, float *var, int C, int parts,
                                                 long long count) {
    for (int c = blockIdx.x * blockDim.x + threadIdx.x; c < C; c += gridDim.x * blockDim.x) {
        float middle = 0, square = 0, n = 0;
        for (int part = 0; part < parts; part++) {
            float more = (float)(count * (part + 1) / parts - count * part / parts);
            if (more == 0) continue;
            float share = more / (n + more), apart = means[(long long)c * parts + part] - middle;
            middle += apart * share;
            square += squares[(long long)c * parts + part] + apart * apart * (n * share);
            n += more;
        }
        mean[c] = middle;
        var[c] = square / n;
    }
}

// The way back, with z = (x - mean) r:
//
//     gbeta = sum gy,   ggamma = sum gy z,   gx = gamma r (gy - (gbeta + z ggamma) / count)

// The sums of channel blockIdx.y in a part of the data, as in batch_parts.
template <typename T>
__device__ void batch_gradient_parts(const T *x, const T *gy, const float *mean, const float *var,
                                     float *gammas, float *betas, int outer, int C, int inner,
                                     float eps) {
    long long count = (long long)outer * inner;
    long long begin = count * blockIdx.x / gridDim.x, end = count * (blockIdx.x + 1) / gridDim.x;
    for (int c = blockIdx.y; c < C; c += gridDim.y) {
        float of_gamma = 0, of_beta = 0, middle = mean[c], r = rsqrtf(var[c] + eps);
        for_channel(c, C, inner, begin, end, [&](long long i) {
            float g = to_float(gy[i]);
            of_gamma += g * ((to_float(x[i]) - middle) * r);
            of_beta += g;
        });
        of_gamma = block_sum(of_gamma);
        of_beta = block_sum(of_beta);
        if (threadIdx.x == 0) {
            gammas[(long long)c * gridDim.x + blockIdx.x] = of_gamma;
            betas[(long long)c * gridDim.x + blockIdx.x] = of_beta;
        }
    }
}

template <typename T>
__device__ void batch_backward(const T *x, const T *gy, const float *gamma, const float *mean,
                               const float *var, const float *ggamma, const float *gbeta, T *gx,
                               int outer, int C, int inner, float eps) {
    float count = (float)((long long)outer * inner);
    for (int n = blockIdx.y * blockDim.y + threadIdx.y; n < outer; n += gridDim.y * blockDim.y) {
        long long first = (long long)n * C * inner;
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < C * inner;
             i += gridDim.x * blockDim.x) {
            int c = inner == 1 ? i : i / inner;
            float r = rsqrtf(var[c] + eps), z = (to_float(x[first + i]) - mean[c]) * r;
            float g = to_float(gy[first + i]) - (gbeta[c] + z * ggamma[c]) / count;
            gx[first + i] = from_float<T>(gamma[c] * r * g);
        }
    }
}

extern "C" __global__ void batch_norm_gradient_parts_float32(
    const float *x, const float *gy, const float *mean, const float *var, float *gammas,
    float *betas, int outer, int C, int inner, float eps) {
    batch_gradient_parts(x, gy, mean, var, gammas, betas, outer, C, inner, eps);
}

extern "C" __global__ void batch_norm_gradient_parts_bfloat16(
    const bfloat16 *x, const bfloat16 *gy, const float *mean, const float *var, float *gammas,
    float *betas, int outer, int C, int inner, float eps) {
    batch_gradient_parts(x, gy, mean, var, gammas, betas, outer, C, inner, eps);
}

// A thread adds up the parts of a channel, one after another.
extern "C" __global__ void batch_norm_parameters(const float *gammas, const float *betas,
                                                 float *ggamma, float *gbeta, int C, int parts) {
    for (int c = blockIdx.x * blockDim.x + threadIdx.x; c < C; c += gridDim.x * blockDim.x) {
        float of_gamma = 0, of_beta = 0;
        for (int part = 0; part < parts; part++) {
            of_gamma += gammas[(long long)c * parts + part];
            of_beta += betas[(long long)c * parts + part];
        }
        ggamma[c] = of_gamma;
        gbeta[c] = of_beta;
    }
}

extern "C" __global__ void batch_norm_backward_float32(
    const float *x, const float *gy, const float *gamma, const float *mean, const float *var,
    const float *ggamma, const float *gbeta, float *gx, int outer, int C, int inner, float eps) {
    batch_backward(x, gy, gamma, mean, var, ggamma, gbeta, gx, outer, C, inner, eps);
}

extern "C" __global__ void batch_norm_backward_bfloat16(
    const bfloat16 *x, const bfloat16 *gy, const float *gamma, const float *mean, const float *var,
    const float *ggamma, const float *gbeta, bfloat16 *gx, int outer, int C, int inner,
    float eps) {
    batch_backward(x, gy, gamma, mean, var, ggamma, gbeta, gx, outer, C, inner, eps);
}
