// One update of all parameters, which lie one after another in one flat array, as do gradients and
// moments: one launch instead of one for each parameter. Every number is read once and written
// once, and the copy of the weights in bfloat16, with which products compute, is made on the way.
//
//     norm = sqrt(sum g^2),  factor = min(1, threshold / norm),  then with g' = factor g:
//
//     Adam      m += (1 - beta1) (g' - m),  v += (1 - beta2) (g'^2 - v),
//               x = kept x - rate m / (sqrt(v) + eps)
//     SGD       x -= rate g'
//     momentum  v = momentum v - rate g',  x += v
//
// What changes from step to step (rate, factor) is read from device memory, so that a step that is
// recorded once can be replayed. Master weights, gradients and moments are float; a name ends in the dtype
// in which the weights are used.
#include "common.cuh"

// Threads take WIDTH neighbours each and stride over the grid, from `begin` until `end`.
#define FOR_PACKS(WIDTH, i, begin, end)                                                    \
    for (long long i = begin + ((long long)blockIdx.x * blockDim.x + threadIdx.x) * WIDTH; \
         i < end; i += (long long)gridDim.x * blockDim.x * WIDTH)

// How many of the first elements can be moved by four: all but the last few, where `x` begins at a
// multiple of 16 bytes.
__device__ inline long long in_packs(const void *x, long long count) {
    return reinterpret_cast<unsigned long long>(x) % 16 == 0 ? count / 4 * 4 : 0;
}

// ---------------------------------------------------------------------------- norm

template <int WIDTH>
__device__ float squares(const float *g, long long begin, long long end) {
    float sum = 0;
    FOR_PACKS(WIDTH, i, begin, end) {
        Pack<float, WIDTH> gs = load_pack<WIDTH>(g + i);
        for (int k = 0; k < WIDTH; k++) sum += gs.at[k] * gs.at[k];
    }
    return sum;
}

// sums: one for each block. Which block adds up what depends on the size of the grid alone, and no
// atomic addition takes part: the same bits every time.
extern "C" __global__ void gradient_squares(const float *g, float *sums, long long count) {
    long long whole = in_packs(g, count);
    float sum = block_sum(squares<4>(g, 0, whole) + squares<1>(g, whole, count));
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// A single block. With a threshold of infinity gradients stay as they are.
extern "C" __global__ void gradient_factor(const float *sums, const float *threshold, float *norm,
                                           float *factor, int blocks) {
    float sum = 0;
    for (int i = threadIdx.x; i < blocks; i += blockDim.x) sum += sums[i];
    sum = sqrtf(block_sum(sum));
    if (threadIdx.x == 0) {
        *norm = sum;
        *factor = sum > *threshold ? *threshold / sum : 1;
    }
}

// Where gradients are to be looked at, or go through other hooks, before an update takes them.
// Mostly the factor is 1, and nothing is read.
template <int WIDTH>
__device__ void scale(float *g, float factor, long long begin, long long end) {
    FOR_PACKS(WIDTH, i, begin, end) {
        Pack<float, WIDTH> gs = load_pack<WIDTH>(g + i);
        for (int k = 0; k < WIDTH; k++) gs.at[k] *= factor;
        store_pack(g + i, gs);
    }
}

extern "C" __global__ void scale_gradient(float *g, const float *factor, long long count) {
    if (*factor == 1) return;
    long long whole = in_packs(g, count);
    scale<4>(g, *factor, 0, whole);
    scale<1>(g, *factor, whole, count);
}

// ---------------------------------------------------------------------------- Adam

// A single thread. settings: step size alpha, multiplier eta, decay of the weights. The moments
// start at zero, for which the rate makes up; 1 - beta2^t would lose its digits in float.
extern "C" __global__ void adam_rates(const float *settings, long long *step, float *rates,
                                      double beta1, double beta2) {
    double t = (double)(*step += 1);
    double corrected = sqrt(1 - pow(beta2, t)) / (1 - pow(beta1, t));
    rates[0] = (float)((double)settings[0] * settings[1] * corrected);
    rates[1] = (float)(1 - (double)settings[1] * settings[2]);
}

// new_m, new_v: shares of the new in a moment, 1 - beta, of which beta as a float has not the
// digits.
template <int WIDTH, bool COPY>
__device__ void adam(float *x, const float *g, float *m, float *v, bfloat16 *copy,
                     const float *rates, float factor, float new_m, float new_v, float eps,
                     long long begin, long long end) {
    float rate = rates[0], kept = rates[1];
    FOR_PACKS(WIDTH, i, begin, end) {
        Pack<float, WIDTH> xs = load_pack<WIDTH>(x + i), gs = load_pack<WIDTH>(g + i);
        Pack<float, WIDTH> ms = load_pack<WIDTH>(m + i), vs = load_pack<WIDTH>(v + i);
        Pack<bfloat16, WIDTH> rounded;
        for (int k = 0; k < WIDTH; k++) {
            float gradient = factor * gs.at[k];
            ms.at[k] += new_m * (gradient - ms.at[k]);
            vs.at[k] += new_v * (gradient * gradient - vs.at[k]);
            xs.at[k] = kept * xs.at[k] - rate * ms.at[k] / (sqrtf(vs.at[k]) + eps);
            rounded.at[k] = from_float<bfloat16>(xs.at[k]);
        }
        store_pack(x + i, xs);
        store_pack(m + i, ms);
        store_pack(v + i, vs);
        if (COPY) store_pack(copy + i, rounded);
    }
}

// All arrays begin at multiples of 16 bytes, or none is moved by four.
template <bool COPY>
__device__ void adam(float *x, const float *g, float *m, float *v, bfloat16 *copy,
                     const float *rates, const float *factor, float new_m, float new_v, float eps,
                     long long count) {
    long long whole = in_packs(x, count) & in_packs(g, count) & in_packs(m, count) &
                      in_packs(v, count) & (COPY ? in_packs(copy, count) : count / 4 * 4);
    adam<4, COPY>(x, g, m, v, copy, rates, *factor, new_m, new_v, eps, 0, whole);
    adam<1, COPY>(x, g, m, v, copy, rates, *factor, new_m, new_v, eps, whole, count);
}

extern "C" __global__ void adam_float32(float *x, const float *g, float *m, float *v,
                                        const float *rates, const float *factor, float new_m,
                                        float new_v, float eps, long long count) {
    adam<false>(x, g, m, v, nullptr, rates, factor, new_m, new_v, eps, count);
}

extern "C" __global__ void adam_bfloat16(float *x, const float *g, float *m, float *v,
                                         bfloat16 *copy, const float *rates, const float *factor,
                                         float new_m, float new_v, float eps, long long count) {
    adam<true>(x, g, m, v, copy, rates, factor, new_m, new_v, eps, count);
}

// ---------------------------------------------------------------------------- descent

// MOMENTUM: with velocities v; otherwise v is not looked at.
template <int WIDTH, bool MOMENTUM, bool COPY>
__device__ void descend(float *x, const float *g, float *v, bfloat16 *copy, float rate,
                        float momentum, long long begin, long long end) {
    FOR_PACKS(WIDTH, i, begin, end) {
        Pack<float, WIDTH> xs = load_pack<WIDTH>(x + i), steps = load_pack<WIDTH>(g + i), vs;
        Pack<bfloat16, WIDTH> rounded;
        if (MOMENTUM) vs = load_pack<WIDTH>(v + i);
        for (int k = 0; k < WIDTH; k++) {
            float step = -rate * steps.at[k];
            if (MOMENTUM) step = vs.at[k] = momentum * vs.at[k] + step;
            xs.at[k] += step;
            rounded.at[k] = from_float<bfloat16>(xs.at[k]);
        }
        store_pack(x + i, xs);
        if (MOMENTUM) store_pack(v + i, vs);
        if (COPY) store_pack(copy + i, rounded);
    }
}

template <bool MOMENTUM, bool COPY>
__device__ void descend(float *x, const float *g, float *v, bfloat16 *copy, const float *rate,
                        const float *factor, float momentum, long long count) {
    float step = *rate * *factor;
    long long whole = in_packs(x, count) & in_packs(g, count);
    if (MOMENTUM) whole &= in_packs(v, count);
    if (COPY) whole &= in_packs(copy, count);
    descend<4, MOMENTUM, COPY>(x, g, v, copy, step, momentum, 0, whole);
    descend<1, MOMENTUM, COPY>(x, g, v, copy, step, momentum, whole, count);
}

extern "C" __global__ void sgd_float32(float *x, const float *g, const float *rate,
                                       const float *factor, long long count) {
    descend<false, false>(x, g, nullptr, nullptr, rate, factor, 0, count);
}

extern "C" __global__ void sgd_bfloat16(float *x, const float *g, bfloat16 *copy,
                                        const float *rate, const float *factor, long long count) {
    descend<false, true>(x, g, nullptr, copy, rate, factor, 0, count);
}

extern "C" __global__ void momentum_sgd_float32(float *x, const float *g, float *v,
                                                const float *rate, const float *factor,
                                                float momentum, long long count) {
    descend<true, false>(x, g, v, nullptr, rate, factor, momentum, count);
}

extern "C" __global__ void momentum_sgd_bfloat16(float *x, const float *g, float *v,
                                                 bfloat16 *copy, const float *rate,
                                                 const float *factor, float momentum,
                                                 long long count) {
    descend<true, true>(x, g, v, copy, rate, factor, momentum, count);
}
