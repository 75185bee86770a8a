// Dropout: zeros with a given probability, everything else scaled up. Random numbers are not kept
// but computed, forward and again backward, by Philox 4x32-10: a function that turns a counter and
// a key into four random words, without any state.
//
//     y_i = x_i scale where word(i) >= threshold, else 0
//
// The counter is the number of the element (by four), of the place in the network and of the step;
// the key is the seed. The number of the step lies in device memory and is counted there: a step
// that is recorded once draws other numbers in each replay.
//
// Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", SC11.
#include "common.cuh"

// Ten rounds; in each, two of the four words are multiplied, and the halves of the products are
// mixed with the other two words and the key.
__device__ inline uint4 philox(uint4 counter, unsigned key0, unsigned key1) {
    for (int round = 0; round < 10; round++) {
        unsigned high0 = __umulhi(0xd2511f53u, counter.x), low0 = 0xd2511f53u * counter.x;
        unsigned high1 = __umulhi(0xcd9e8d57u, counter.z), low1 = 0xcd9e8d57u * counter.z;
        counter = make_uint4(high1 ^ counter.y ^ key0, low1, high0 ^ counter.w ^ key1, low0);
        key0 += 0x9e3779b9u;
        key1 += 0xbb67ae85u;
    }
    return counter;
}

// state: seed, number of the step. Four neighbours share one call of philox. y may be x.
template <typename T>
__device__ void drop(const T *x, T *y, const unsigned long long *state, unsigned place,
                     unsigned threshold, float scale, long long count) {
    unsigned long long seed = state[0], step = state[1];
    unsigned long long addresses = reinterpret_cast<unsigned long long>(x) |
                                   reinterpret_cast<unsigned long long>(y);
    bool aligned = addresses % (4 * sizeof(T)) == 0;
    for (long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * 4; i < count;
         i += (long long)gridDim.x * blockDim.x * 4) {
        unsigned long long four = (unsigned long long)i / 4;
        uint4 random = philox(make_uint4((unsigned)four, (unsigned)(four >> 32), place,
                                         (unsigned)step), (unsigned)seed, (unsigned)(seed >> 32));
        unsigned words[4] = {random.x, random.y, random.z, random.w};
        if (aligned && i + 4 <= count) {
            Pack<T, 4> xs = load_pack<4>(x + i);
            for (int k = 0; k < 4; k++)
                xs.at[k] = from_float<T>(words[k] < threshold ? 0 : to_float(xs.at[k]) * scale);
            store_pack(y + i, xs);
        } else {
            // Indices of `words` must be known to the compiler, or it lies in slow memory.
            #pragma unroll
            for (int k = 0; k < 4; k++)
                if (i + k < count)
                    y[i + k] = from_float<T>(words[k] < threshold ? 0
                                                                  : to_float(x[i + k]) * scale);
        }
    }
}

extern "C" __global__ void dropout_float32(const float *x, float *y,
                                           const unsigned long long *state, unsigned place,
                                           unsigned threshold, float scale, long long count) {
    drop(x, y, state, place, threshold, scale, count);
}

extern "C" __global__ void dropout_bfloat16(const bfloat16 *x, bfloat16 *y,
                                            const unsigned long long *state, unsigned place,
                                            unsigned threshold, float scale, long long count) {
    drop(x, y, state, place, threshold, scale, count);
}

// A single thread, once a step, after its last use of dropout.
extern "C" __global__ void dropout_next_step(unsigned long long *state) { state[1]++; }
