// A step of beam search: the best words after every beginning, then the best of each image.
//
// The k largest of a row are found by a block. Every thread knows the best of its own columns that
// is not taken yet; the best of those is the next of the row, and the thread that had it looks for
// its next. So a row is read once, and k times only a thread's share of it. Of equal numbers the
// one in the lower column comes first, which makes the result the same every time and tells each
// thread what is taken: what comes before the last that was.
//
// The number of the step lies in device memory, so that a graph of one step serves for all.
#include "common.cuh"

struct Candidate {
    float value;
    int column;   // NOWHERE: there is none
};

#define NOWHERE 0x7fffffff
#define WRONG -1      // a row that is not finite has this candidate, which comes before all others

// Whether a comes before b.
__device__ inline bool before(Candidate a, Candidate b) {
    return a.value > b.value || (a.value == b.value && a.column < b.column);
}

// The first candidate among the columns of this thread: WRONG if there is NaN or +infinity.
__device__ inline Candidate first_of_thread(const float *row, int columns) {
    Candidate best = {-infinity(), NOWHERE};
    for (int j = threadIdx.x; j < columns; j += blockDim.x) {
        Candidate here = {row[j], j}, wrong = {infinity(), WRONG};
        if (!(here.value < infinity())) here = wrong;
        if (before(here, best)) best = here;
    }
    return best;
}

// The first candidate after `taken`, of numbers that are finite or -infinity.
__device__ inline Candidate next_of_thread(const float *row, int columns, Candidate taken) {
    Candidate best = {-infinity(), NOWHERE};
    for (int j = threadIdx.x; j < columns; j += blockDim.x) {
        Candidate here = {row[j], j};
        if (before(taken, here) && before(here, best)) best = here;
    }
    return best;
}

__device__ inline Candidate first_of_warp(Candidate mine) {
    for (int distance = 16; distance > 0; distance /= 2) {
        Candidate other = {__shfl_xor_sync(0xffffffffu, mine.value, distance),
                           __shfl_xor_sync(0xffffffffu, mine.column, distance)};
        if (before(other, mine)) mine = other;
    }
    return mine;
}

// As block_reduce of common.cuh, of candidates: all threads get the first.
__device__ inline Candidate first_of_block(Candidate mine) {
    SHARED(Candidate, of_warps, 32);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    mine = first_of_warp(mine);
    if (lane == 0) of_warps[warp] = mine;
    __syncthreads();
    Candidate none = {-infinity(), NOWHERE};
    mine = first_of_warp(lane < warps ? of_warps[lane] : none);
    __syncthreads();
    return mine;
}

// Call found(rank, candidate) in thread 0 for the first k that are not banned; column NOWHERE
// where a row has no more. mine, first: the first of this thread and of all.
template <typename Found>
__device__ void first_k(const float *row, int columns, int k, const int *banned, int n_banned,
                        Candidate mine, Candidate first, Found found) {
    for (int rank = 0;;) {
        bool counts = true;
        for (int i = 0; i < n_banned; i++) counts = counts && banned[i] != first.column;
        if (counts && threadIdx.x == 0) found(rank, first);
        rank += counts;
        if (rank == k) return;
        if (first.column != NOWHERE && first.column % blockDim.x == threadIdx.x)
            mine = next_of_thread(row, columns, first);
        first = first_of_block(mine);
    }
}

// The best k words after every beginning: ids, said = log p of the word, and in the last column
// that of the end word; values = said + total, the log probability of all words until then.
//
// Rows of x hold scores, of which log softmax is taken here, or log p itself. Beginnings of total
// -infinity are none, and what stands in their rows is not looked at. A row that holds NaN or
// +infinity, or scores that are all -infinity, gives NaN. The step is counted.
extern "C" __global__ void beam_candidates(const float *x, const float *totals, const int *banned,
                                           int *count, float *values, float *said, int *ids,
                                           int rows, int columns, long long stride, int k,
                                           int before, int beam, int n_banned, int eos,
                                           int normalize) {
    if (blockIdx.x == 0 && threadIdx.x == 0) *count += 1;   // which nobody reads meanwhile
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        const float *scores = x + row * stride;
        float total = totals[row / before * beam + row % before];
        float *own_values = values + row * k, *own_said = said + row * (k + 1);
        int *own_ids = ids + row * k;

        bool lives = total > -infinity();   // and so for all threads of the block
        Candidate mine = first_of_thread(scores, lives ? columns : 0);
        Candidate first = first_of_block(mine);
        float highest = first.value, sum = 1;
        bool fine = first.column != WRONG && (highest > -infinity() || !normalize);
        if (!lives || !fine) {
            float nothing = lives ? not_a_number() : -infinity();
            for (int i = threadIdx.x; i <= k; i += blockDim.x) {
                own_said[i] = nothing;
                if (i < k) own_values[i] = nothing, own_ids[i] = -1;
            }
            continue;
        }
        if (normalize) {
            sum = 0;
            for (int j = threadIdx.x; j < columns; j += blockDim.x)
                sum += __expf(scores[j] - highest);
            sum = block_sum(sum);
        } else {
            highest = 0;
        }
        float log_sum = logf(sum);
        if (threadIdx.x == 0)
            own_said[k] = eos < 0 ? -infinity() : (scores[eos] - highest) - log_sum;
        first_k(scores, columns, k, banned, n_banned, mine, first, [&](int rank, Candidate found) {
            bool exists = found.column != NOWHERE;
            float log_p = exists ? (found.value - highest) - log_sum : -infinity();
            own_said[rank] = log_p;
            own_values[rank] = total + log_p;
            own_ids[rank] = exists ? found.column : -1;
        });
    }
}

// The best `beam` of all continuations of an image's beginnings, of which there are `before`: by
// falling value, of equal ones the first. In the last step the end word follows every beginning.
//
// history (steps, 3, images, beam): which beginning of the image is continued, with which word,
// and the bits of log p of that word; of an image in which a row was NaN, those of NaN. rows: the
// row of each beginning in what was given to beam_candidates. What has ended has total -infinity.
extern "C" __global__ void beam_merge(const float *values, const float *said, const int *ids,
                                      const int *count, float *totals, int *rows, int *words,
                                      int *history, int images, int before, int beam, int k,
                                      int eos, int steps) {
    int step = *count - 1;
    if (step < 0 || step >= steps) return;
    for (long long image = blockIdx.x; image < images; image += gridDim.x) {
        long long first = image * before;   // row
        const float *candidates = values + first * k;
        long long part = (long long)images * beam, at = step * 3 * part + image * beam;

        Candidate mine = first_of_thread(candidates, before * k);
        Candidate best = first_of_block(mine);
        bool fine = best.column != WRONG;

        auto keep = [&](int slot, int parent, int word, float log_p, float total) {
            long long own = image * beam + slot;
            rows[own] = static_cast<int>(first) + parent;
            words[own] = word;
            totals[own] = word == eos ? -infinity() : total;
            history[at + slot] = parent;
            history[at + part + slot] = word;
            history[at + 2 * part + slot] = __float_as_int(fine ? log_p : not_a_number());
        };
        if (step == steps - 1 || !fine) {   // what is not fine is not searched on
            for (int slot = threadIdx.x; slot < beam; slot += blockDim.x) {
                bool exists = slot < before;
                int parent = exists ? slot : 0;
                float log_p = exists ? said[(first + parent) * (k + 1) + k] : -infinity();
                keep(slot, parent, eos < 0 ? 0 : eos, log_p, -infinity());
            }
            continue;
        }
        first_k(candidates, before * k, beam, ids, 0, mine, best, [&](int slot, Candidate found) {
            if (found.column == NOWHERE || found.value == -infinity())
                return keep(slot, 0, 0, -infinity(), -infinity());
            int parent = found.column / k, rank = found.column % k;
            keep(slot, parent, ids[first * k + found.column],
                 said[(first + parent) * (k + 1) + rank], found.value);
        });
    }
}
