// Updates of parameters along their gradients, and the norm of gradients. Every number is read once
// and written once.
//
//     norm = sqrt(sum g^2),  factor = min(1, threshold / norm),  then with g' = factor g:
//
//     Adam      m += (1 - beta1) (g' - m),  v += (1 - beta2) (g'^2 - v),
//               x = kept x - rate m / (sqrt(v) + eps)
//     SGD       x -= rate g'
//     momentum  v = momentum v - rate g',  x += v
//
// Each kernel comes twice: for one array, over which the whole grid strides; and, ..._many, for all
// arrays of a network in one launch. That reads two tables: `tensors` has a row of addresses for
// each parameter, as x, g, m, v; `parts` has rows (tensor, begin, end), and a block takes one part
// after another. Parts begin at multiples of 4.
//
// What changes from step to step (rate, factor) is read from device memory, so that a step that is
// recorded once can be replayed. Weights, gradients and moments are float.
#include "common.cuh"

// The threads that share an array, or a part of one: how many there are, and which is this one.
struct Team {
    long long size, rank;
};

__device__ inline Team whole_grid() {
    return {(long long)gridDim.x * blockDim.x, (long long)blockIdx.x * blockDim.x + threadIdx.x};
}

__device__ inline Team whole_block() { return {blockDim.x, threadIdx.x}; }

// Threads take WIDTH neighbours each and stride over their team, from `begin` until `end`.
#define FOR_PACKS(WIDTH, i, team, begin, end)                            \
    for (long long i = begin + team.rank * WIDTH; i < end; i += team.size * WIDTH)

// Until where the elements from `begin` on, a multiple of 4, can be moved by four: all but the last
// few, where arrays begin at multiples of 16 bytes.
template <typename... Arrays>
__device__ long long in_packs(long long begin, long long end, const Arrays *... arrays) {
    bool aligned = (... && (reinterpret_cast<address>(arrays) % 16 == 0));
    return aligned ? end / 4 * 4 : begin;
}

// Of many arrays: the parts that this block takes, and one of them.
#define FOR_PARTS(part, parts, count)                                              \
    for (const long long *part = parts + 3LL * blockIdx.x; part < parts + 3LL * count; \
         part += 3LL * gridDim.x)

// ---------------------------------------------------------------------------- norm

template <int WIDTH>
__device__ float squares(const float *g, Team team, long long begin, long long end) {
    float sum = 0;
    FOR_PACKS(WIDTH, i, team, begin, end) {
        Pack<float, WIDTH> gs = load_pack<WIDTH>(g + i);
        for (int k = 0; k < WIDTH; k++) sum += gs.at[k] * gs.at[k];
    }
    return sum;
}

__device__ inline float squares(const float *g, Team team, long long begin, long long end) {
    long long whole = in_packs(begin, end, g);
    return block_sum(squares<4>(g, team, begin, whole) + squares<1>(g, team, whole, end));
}

// sums: one for each block. Which block adds up what depends on the size of the grid alone, and no
// atomic addition takes part: the same bits every time.
extern "C" __global__ void gradient_squares(const float *g, float *sums, long long count) {
    float sum = squares(g, whole_grid(), 0, count);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// sums: one for each part. tensors: g.
extern "C" __global__ void gradient_squares_many(const address *tensors, const long long *parts,
                                                 float *sums, int count) {
    FOR_PARTS(part, parts, count) {
        float sum = squares(array_at<float>(tensors[part[0]]), whole_block(), part[1], part[2]);
        if (threadIdx.x == 0) sums[(part - parts) / 3] = sum;
    }
}

// A single block. With a threshold of infinity gradients stay as they are.
extern "C" __global__ void gradient_factor(const float *sums, float threshold, float *norm,
                                           float *factor, int blocks) {
    float sum = 0;
    for (int i = threadIdx.x; i < blocks; i += blockDim.x) sum += sums[i];
    sum = sqrtf(block_sum(sum));
    if (threadIdx.x == 0) {
        *norm = sum;
        *factor = sum > threshold ? threshold / sum : 1;
    }
}

// Where gradients are to be looked at, or go through other hooks, before an update takes them.
// Mostly the factor is 1, and nothing is read.
template <int WIDTH>
__device__ void scale(float *g, float factor, Team team, long long begin, long long end) {
    FOR_PACKS(WIDTH, i, team, begin, end) {
        Pack<float, WIDTH> gs = load_pack<WIDTH>(g + i);
        for (int k = 0; k < WIDTH; k++) gs.at[k] *= factor;
        store_pack(g + i, gs);
    }
}

__device__ inline void scale(float *g, float factor, Team team, long long begin, long long end) {
    long long whole = in_packs(begin, end, g);
    scale<4>(g, factor, team, begin, whole);
    scale<1>(g, factor, team, whole, end);
}

extern "C" __global__ void scale_gradient(float *g, const float *factor, long long count) {
    if (*factor != 1) scale(g, *factor, whole_grid(), 0, count);
}

// tensors: g.
extern "C" __global__ void scale_gradient_many(const address *tensors, const long long *parts,
                                               const float *factor, int count) {
    if (*factor == 1) return;
    FOR_PARTS(part, parts, count)
        scale(array_at<float>(tensors[part[0]]), *factor, whole_block(), part[1], part[2]);
}

// ---------------------------------------------------------------------------- weight decay

template <int WIDTH>
__device__ void decay(float *g, const float *x, float rate, Team team, long long begin,
                      long long end) {
    FOR_PACKS(WIDTH, i, team, begin, end) {
        Pack<float, WIDTH> gs = load_pack<WIDTH>(g + i), xs = load_pack<WIDTH>(x + i);
        for (int k = 0; k < WIDTH; k++) gs.at[k] += rate * xs.at[k];
        store_pack(g + i, gs);
    }
}

// g += rate x; tensors: g, x.
extern "C" __global__ void decay_many(const address *tensors, const long long *parts, float rate,
                                      int count) {
    FOR_PARTS(part, parts, count) {
        const address *arrays = tensors + 2 * part[0];
        float *g = array_at<float>(arrays[0]);
        const float *x = array_at<float>(arrays[1]);
        long long whole = in_packs(part[1], part[2], g, x);
        decay<4>(g, x, rate, whole_block(), part[1], whole);
        decay<1>(g, x, rate, whole_block(), whole, part[2]);
    }
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
template <int WIDTH>
__device__ void adam(float *x, const float *g, float *m, float *v, const float *rates,
                     float factor, float new_m, float new_v, float eps, Team team,
                     long long begin, long long end) {
    float rate = rates[0], kept = rates[1];
    FOR_PACKS(WIDTH, i, team, begin, end) {
        Pack<float, WIDTH> xs = load_pack<WIDTH>(x + i), gs = load_pack<WIDTH>(g + i);
        Pack<float, WIDTH> ms = load_pack<WIDTH>(m + i), vs = load_pack<WIDTH>(v + i);
        for (int k = 0; k < WIDTH; k++) {
            float gradient = factor * gs.at[k];
            ms.at[k] += new_m * (gradient - ms.at[k]);
            vs.at[k] += new_v * (gradient * gradient - vs.at[k]);
            xs.at[k] = kept * xs.at[k] - rate * ms.at[k] / (sqrtf(vs.at[k]) + eps);
        }
        store_pack(x + i, xs);
        store_pack(m + i, ms);
        store_pack(v + i, vs);
    }
}

// All arrays begin at multiples of 16 bytes, or none is moved by four.
__device__ inline void adam(float *x, const float *g, float *m, float *v, const float *rates,
                            const float *factor, float new_m, float new_v, float eps, Team team,
                            long long begin, long long end) {
    long long whole = in_packs(begin, end, x, g, m, v);
    adam<4>(x, g, m, v, rates, *factor, new_m, new_v, eps, team, begin, whole);
    adam<1>(x, g, m, v, rates, *factor, new_m, new_v, eps, team, whole, end);
}

extern "C" __global__ void adam_float32(float *x, const float *g, float *m, float *v,
                                        const float *rates, const float *factor, float new_m,
                                        float new_v, float eps, long long count) {
    adam(x, g, m, v, rates, factor, new_m, new_v, eps, whole_grid(), 0, count);
}

// tensors: x, g, m, v. numbers: of each tensor two rates and the factor.
extern "C" __global__ void adam_many(const address *tensors, const long long *parts,
                                     const float *numbers, float new_m, float new_v, float eps,
                                     int count) {
    FOR_PARTS(part, parts, count) {
        const address *arrays = tensors + 4 * part[0];
        const float *rates = numbers + 3 * part[0];
        adam(array_at<float>(arrays[0]), array_at<float>(arrays[1]), array_at<float>(arrays[2]),
             array_at<float>(arrays[3]), rates, rates + 2, new_m, new_v, eps, whole_block(),
             part[1], part[2]);
    }
}

// ---------------------------------------------------------------------------- descent

// MOMENTUM: with velocities v; otherwise v is not looked at.
template <int WIDTH, bool MOMENTUM>
__device__ void descend(float *x, const float *g, float *v, float rate, float momentum, Team team,
                        long long begin, long long end) {
    FOR_PACKS(WIDTH, i, team, begin, end) {
        Pack<float, WIDTH> xs = load_pack<WIDTH>(x + i), steps = load_pack<WIDTH>(g + i), vs;
        if (MOMENTUM) vs = load_pack<WIDTH>(v + i);
        for (int k = 0; k < WIDTH; k++) {
            float step = -rate * steps.at[k];
            if (MOMENTUM) step = vs.at[k] = momentum * vs.at[k] + step;
            xs.at[k] += step;
        }
        store_pack(x + i, xs);
        if (MOMENTUM) store_pack(v + i, vs);
    }
}

template <bool MOMENTUM>
__device__ void descend(float *x, const float *g, float *v, const float *rate, const float *factor,
                        float momentum, Team team, long long begin, long long end) {
    float step = *rate * *factor;
    long long whole = MOMENTUM ? in_packs(begin, end, x, g, v) : in_packs(begin, end, x, g);
    descend<4, MOMENTUM>(x, g, v, step, momentum, team, begin, whole);
    descend<1, MOMENTUM>(x, g, v, step, momentum, team, whole, end);
}

extern "C" __global__ void sgd_float32(float *x, const float *g, const float *rate,
                                       const float *factor, long long count) {
    descend<false>(x, g, nullptr, rate, factor, 0, whole_grid(), 0, count);
}

// tensors: x, g. numbers: of each tensor rate and factor.
extern "C" __global__ void sgd_many(const address *tensors, const long long *parts,
                                    const float *numbers, int count) {
    FOR_PARTS(part, parts, count) {
        const address *arrays = tensors + 2 * part[0];
        const float *rate = numbers + 2 * part[0];
        descend<false>(array_at<float>(arrays[0]), array_at<float>(arrays[1]), nullptr, rate,
                       rate + 1, 0, whole_block(), part[1], part[2]);
    }
}

extern "C" __global__ void momentum_sgd_float32(float *x, const float *g, float *v,
                                                const float *rate, const float *factor,
                                                float momentum, long long count) {
    descend<true>(x, g, v, rate, factor, momentum, whole_grid(), 0, count);
}

// tensors: x, g, v. numbers: of each tensor rate and factor.
extern "C" __global__ void momentum_sgd_many(const address *tensors, const long long *parts,
                                             const float *numbers, float momentum, int count) {
    FOR_PARTS(part, parts, count) {
        const address *arrays = tensors + 3 * part[0];
        const float *rate = numbers + 2 * part[0];
        descend<true>(array_at<float>(arrays[0]), array_at<float>(arrays[1]),
                      array_at<float>(arrays[2]), rate, rate + 1, momentum, whole_block(), part[1],
                      part[2]);
    }
}
