// Runs the threads of a launch as fibers, one at a time; says when they wait for what cannot come.
//
// A fiber runs until it waits: at __syncthreads, in a shuffle, at the barrier of the grid. When
// all others have had their turn, whoever has company is let go. Nobody is interrupted elsewhere,
// so a race is not seen here by chance; three orders of turns show some by a wrong result, and
// ThreadSanitizer, told below who has waited for whom, shows all that were run.
//
// Never compiled with -fsanitize=thread: what the simulator does itself is no part of the kernel.
#include "scheduler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <vector>

#include "cusim.h"

#ifdef CUSIM_THREAD_SANITIZER
extern "C" {
void *__tsan_get_current_fiber();
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *address);
void __tsan_release(void *address);
}
#endif
#ifdef CUSIM_ADDRESS_SANITIZER
extern "C" {
void __sanitizer_start_switch_fiber(void **fake_stack, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack, const void **bottom, size_t *size);
}
#endif

namespace cusim {

Thread *current;
uint3 block_size, grid_size;

namespace {

constexpr size_t STACK = 128 * 1024;
enum State { NOT_STARTED, READY, AT_BARRIER, IN_WARP, AT_GRID, DONE };

// A stack and the place where it stands still. One fiber runs several threads, one after another,
// as long as they need not wait: then a thread costs no more than a call.
struct Fiber {
    ucontext_t context;
    jmp_buf place;
    bool started = false;
    char *stack;
    void *fake_stack = nullptr;
};

struct Block;

struct Runner : Thread {
    Block *home;
    State state = NOT_STARTED;
    Fiber *fiber = nullptr;
    const char *file;                // of the barrier
    int line;
    unsigned mask;                   // of the operation of the warp, with
    int operation;
    unsigned long long value;        // what this lane brings, and
    unsigned long long seen[32];     // what all brought
    unsigned came = 0, others_came;  // how often, modulo 2, this one and the others came
    char order[2];                   // addresses that stand for "what came before" in reports
    void *sanitizer = nullptr;
};

struct Block {
    std::vector<Runner> runners;
    std::map<const void *, void *> shared;
    void *dynamic = nullptr;
    int generation = 0;              // how many barriers have been passed
    char order[2];
};

const Entry *entry;
void **arguments;
Launch launch;
char *message;
int message_size;
bool failed;

std::vector<Block> blocks;           // those that are there at once
std::vector<Runner *> turns;
size_t next_turn;
ucontext_t scheduler;
jmp_buf scheduler_place;
std::vector<Fiber *> idle;
int grid_generation;
char grid_order[2], launch_start, launch_end;
unsigned long long random_state;

// ---- what sanitizers are told

void *scheduler_sanitizer;
const void *scheduler_stack;
size_t scheduler_stack_size;

#ifdef CUSIM_THREAD_SANITIZER
void comes_after(char *address) { __tsan_acquire(address); }
void comes_before(char *address) { __tsan_release(address); }
// 1: to switch is no order between the two.
void tell_switch(void *to) { __tsan_switch_to_fiber(to, 1); }
#else
void comes_after(char *) {}
void comes_before(char *) {}
void tell_switch(void *) {}
#endif

// While a fiber calls into the simulator, what it does to the simulator's memory is the scheduler's
// doing: else the simulator itself would be reported for its races.
struct AsScheduler {
    AsScheduler() { tell_switch(scheduler_sanitizer); }
    ~AsScheduler();
};

// Straight from the system, not by malloc: sanitizers then know nothing of who wrote there before.
void *fresh_memory(size_t bytes) {
    long address = syscall(SYS_mmap, nullptr, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == -1) {
        perror("simulator: no memory");
        exit(70);
    }
    return (void *)address;
}

// ---- memory that a block shares

std::vector<void *> shared_memory;
std::vector<std::pair<void *, size_t>> mapped;

// Every byte is 0xff: as a float or bfloat16 it is NaN, so what was never written shows.
void *poisoned(size_t bytes) {
#ifdef CUSIM_THREAD_SANITIZER
    // Each block has addresses of its own: two blocks with one address would look like a race.
    bytes = (bytes + 4095) & ~size_t(4095);
    char *memory = (char *)fresh_memory(bytes);
    mapped.push_back({memory, bytes});
#else
    char *memory = (char *)malloc(bytes);   // AddressSanitizer guards both of its ends
    shared_memory.push_back(memory);
#endif
    for (volatile char *p = memory; p < memory + bytes; p++) *p = (char)0xff;
    return memory;
}

void free_shared_memory() {
    for (void *memory : shared_memory) free(memory);
    for (auto &[memory, bytes] : mapped) syscall(SYS_munmap, memory, bytes);
    shared_memory.clear();
    mapped.clear();
}

// ---- turns

Runner *running() { return static_cast<Runner *>(current); }

AsScheduler::~AsScheduler() { tell_switch(running()->sanitizer); }

void complain(const char *format, ...) {
    if (failed) return;
    failed = true;
    va_list values;
    va_start(values, format);
    int used = vsnprintf(message, message_size, format, values);
    va_end(values);
    if (current && used < message_size)
        snprintf(message + used, message_size - used, " (kernel %s, block %u,%u,%u, thread %u,%u,%u)",
                 entry->name, current->block.x, current->block.y, current->block.z,
                 current->index.x, current->index.y, current->index.z);
}

void to_scheduler(void **fake_stack) {
#ifdef CUSIM_ADDRESS_SANITIZER
    __sanitizer_start_switch_fiber(fake_stack, scheduler_stack, scheduler_stack_size);
#endif
    tell_switch(scheduler_sanitizer);
#ifdef CUSIM_PLAIN   // a jump is some thirty times faster, as it does not ask the system for signals
    if (!_setjmp(running()->fiber->place)) _longjmp(scheduler_place, 1);
#else
    swapcontext(&running()->fiber->context, &scheduler);
#endif
}

void wait(State state) {
    Fiber *fiber = running()->fiber;
    running()->state = state;
    to_scheduler(&fiber->fake_stack);
#ifdef CUSIM_ADDRESS_SANITIZER
    __sanitizer_finish_switch_fiber(fiber->fake_stack, nullptr, nullptr);
#endif
}

void fiber_main() {
#ifdef CUSIM_ADDRESS_SANITIZER
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_size);
#endif
    Fiber *fiber = running()->fiber;
    for (;;) {
        comes_after(&launch_start);
        entry->call(arguments);
        comes_before(&launch_end);
        running()->state = DONE;
#ifndef CUSIM_THREAD_SANITIZER   // for which every thread needs a fiber of its own
        if (!failed && next_turn < turns.size() && turns[next_turn]->state == NOT_STARTED) {
            Runner *next = turns[next_turn++];
            next->fiber = fiber;
            current = next;
            continue;
        }
#endif
        break;
    }
#ifdef CUSIM_THREAD_SANITIZER   // for which a stack that is used again would look like a race
    AsScheduler as_scheduler;
    mapped.push_back({fiber->stack, STACK});
#else
    idle.push_back(fiber);
#endif
    to_scheduler(nullptr);
}

void start(Runner *runner) {
    Fiber *fiber;
    if (idle.empty()) {
        fiber = new Fiber;
        fiber->stack = (char *)fresh_memory(STACK);
        mprotect(fiber->stack, 4096, PROT_NONE);   // whoever needs more stack stops here
    } else {
        fiber = idle.back();
        idle.pop_back();
    }
    runner->fiber = fiber;
    fiber->started = false;
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = STACK;
    fiber->context.uc_link = nullptr;
    makecontext(&fiber->context, fiber_main, 0);
#ifdef CUSIM_THREAD_SANITIZER
    runner->sanitizer = __tsan_create_fiber(0);
#endif
}

void give_turn(Runner *runner) {
    if (runner->state == NOT_STARTED) start(runner);
    runner->state = READY;
    current = runner;
#ifdef CUSIM_ADDRESS_SANITIZER
    void *fake_stack;
    __sanitizer_start_switch_fiber(&fake_stack, runner->fiber->stack, STACK);
#endif
    tell_switch(runner->sanitizer);
#ifdef CUSIM_PLAIN
    if (!_setjmp(scheduler_place)) {
        if (runner->fiber->started) _longjmp(runner->fiber->place, 1);
        runner->fiber->started = true;
        setcontext(&runner->fiber->context);
    }
#else
    swapcontext(&scheduler, &runner->fiber->context);
#endif
#ifdef CUSIM_ADDRESS_SANITIZER
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

unsigned random_below(unsigned bound) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % bound;
}

template <typename T>
void shuffle_randomly(std::vector<T> &items) {
    for (size_t i = items.size(); i > 1; i--) std::swap(items[i - 1], items[random_below(i)]);
}

// ---- who may go on

// Let go the lanes of one operation of a warp, if all whom its mask names have come to it.
bool release_warp(Block &block, Runner &one) {
    int first = one.number & ~31, count = (int)block.runners.size();
    for (int lane = 0; lane < 32; lane++) {
        if (!(one.mask >> lane & 1)) continue;
        if (first + lane >= count) {
            current = &one;
            complain("the mask of a warp operation names lane %d, but the block has %d threads; a "
                     "multiple of 32 is needed", lane, count);
            return false;
        }
        Runner &other = block.runners[first + lane];
        if (other.state == DONE || other.state == AT_BARRIER) {
            current = &one;
            complain("the mask of a warp operation names lane %d, which %s", lane,
                     other.state == DONE ? "has returned" : "waits at __syncthreads");
            return false;
        }
        if (other.state != IN_WARP || other.operation != one.operation || other.mask != one.mask)
            return false;
    }
    for (int lane = 0; lane < 32; lane++) {
        if (!(one.mask >> lane & 1)) continue;
        Runner &member = block.runners[first + lane];
        member.state = READY;
        member.others_came = 0;
        for (int other = 0; other < 32; other++) {
            if (!(one.mask >> other & 1)) continue;
            member.seen[other] = block.runners[first + other].value;
            member.others_came |= (block.runners[first + other].came & 1) << other;
        }
    }
    return true;
}

bool release_barrier(Block &block) {
    size_t here = 0, done = 0;
    Runner *one = nullptr;
    for (Runner &runner : block.runners) {
        done += runner.state == DONE;
        if (runner.state != AT_BARRIER) continue;
        here++;
        current = &runner;
        if (one && (one->line != runner.line || one->file != runner.file)) {
            complain("divergent barrier: threads of one block wait at different __syncthreads, "
                     "lines %d and %d", one->line, runner.line);
            return false;
        }
        one = &runner;
    }
    if (here == 0 || here + done < block.runners.size()) return false;
    if (done) {
        complain("divergent barrier: %zu threads wait at __syncthreads in line %d, %zu have "
                 "returned", here, one->line, done);
        return false;
    }
    for (Runner &runner : block.runners) runner.state = READY;
    block.generation++;
    return true;
}

bool release_grid() {
    for (Runner *runner : turns)
        if (runner->state != AT_GRID) return false;
    for (Runner *runner : turns) runner->state = READY;
    grid_generation++;
    return true;
}

void complain_of_deadlock() {
    int counts[6] = {};
    for (Runner *runner : turns) {
        counts[runner->state]++;
        if (runner->state != DONE) current = runner;
    }
    complain("deadlock: %d threads wait at __syncthreads, %d in a warp operation, %d for the grid, "
             "%d have returned", counts[AT_BARRIER], counts[IN_WARP], counts[AT_GRID],
             counts[DONE]);
}

// Run the blocks that are there at once until all threads have returned.
void run_blocks() {
    turns.clear();
    for (Block &block : blocks)
        for (Runner &runner : block.runners) turns.push_back(&runner);
    if (launch.order == 1) std::reverse(turns.begin(), turns.end());
    for (;;) {
        if (launch.order == 2) shuffle_randomly(turns);
        bool progress = false;
        for (next_turn = 0; next_turn < turns.size();) {
            Runner *runner = turns[next_turn++];
            if (runner->state != READY && runner->state != NOT_STARTED) continue;
            progress = true;
            give_turn(runner);
            if (failed) return;
        }
        bool all_done = true;
        for (Block &block : blocks) {
            for (Runner &runner : block.runners) {
                if (runner.state == IN_WARP) progress |= release_warp(block, runner);
                all_done &= runner.state == DONE;
            }
            if (!failed) progress |= release_barrier(block);
        }
        if (!failed && !all_done) progress |= release_grid();
        if (!failed && !all_done && !progress) complain_of_deadlock();
        if (failed || all_done) return;
    }
}

void make_blocks(const std::vector<unsigned> &numbers) {
    const unsigned *b = launch.block, *g = launch.grid;
    blocks.resize(numbers.size());
    for (size_t i = 0; i < numbers.size(); i++) {
        Block &block = blocks[i];
        block.runners.assign(b[0] * b[1] * b[2], Runner{});
        block.shared.clear();
        block.dynamic = launch.shared ? poisoned(launch.shared) : nullptr;
        block.generation = 0;
        unsigned n = numbers[i];
        for (unsigned t = 0; t < block.runners.size(); t++) {
            Runner &runner = block.runners[t];
            runner.home = &block;
            runner.number = (int)t;
            runner.block = {n % g[0], n / g[0] % g[1], n / g[0] / g[1]};
            runner.index = {t % b[0], t / b[0] % b[1], t / b[0] / b[1]};
        }
    }
}

void forget_blocks() {
#ifdef CUSIM_THREAD_SANITIZER
    for (Block &block : blocks)
        for (Runner &runner : block.runners)
            if (runner.sanitizer) __tsan_destroy_fiber(runner.sanitizer);
#else
    free_shared_memory();
#endif
}

}   // namespace

// ---- what kernels call

void *shared(const void *variable, unsigned long long bytes) {
    AsScheduler as_scheduler;
    void *&memory = running()->home->shared[variable];
    if (!memory) memory = poisoned(bytes);
    return memory;
}

void *dynamic_shared() {
    if (!running()->home->dynamic) fail("dynamic shared memory is used, but the launch gave none");
    return running()->home->dynamic;
}

// Whoever comes to a barrier releases, whoever leaves it acquires. The next barrier has the other
// of two addresses: a thread that is early there must not be taken for one that came here.
void wait_for_block(const char *file, int line) {
    Runner *me = running();
    char *order = &me->home->order[me->home->generation & 1];
    me->file = file;
    me->line = line;
    comes_before(order);
    wait(AT_BARRIER);
    comes_after(order);
}

void wait_for_grid() {
    if (!launch.cooperative) fail("GRID_SYNC in a launch that is not cooperative");
    char *order = &grid_order[grid_generation & 1];
    comes_before(order);
    wait(AT_GRID);
    comes_after(order);
}

const unsigned long long *exchange(unsigned mask, int operation, unsigned long long value) {
    Runner *me = running();
    if (!(mask >> (me->number & 31) & 1)) fail("a lane is not in the mask of its own operation");
    me->mask = mask;
    me->operation = operation;
    me->value = value;
    me->came++;
    comes_before(&me->order[me->came & 1]);
    wait(IN_WARP);
    Runner *first = &me->home->runners[me->number & ~31];
    for (int lane = 0; lane < 32; lane++)
        if (mask >> lane & 1) comes_after(&first[lane].order[me->others_came >> lane & 1]);
    return me->seen;
}

void fail(const char *what) {
    {
        AsScheduler as_scheduler;
        complain("%s", what);
    }
    wait(DONE);   // and never comes back
}

}   // namespace cusim

using namespace cusim;

extern "C" int cusim_launch(const char *name, const Launch *how, void **values, const int *sizes,
                            int count, char *text, int text_size) {
    message = text;
    message_size = text_size;
    failed = false;
    current = nullptr;
    entry = nullptr;
    for (int i = 0; i < cusim_entry_count; i++)
        if (!strcmp(cusim_entries[i].name, name)) entry = &cusim_entries[i];
    if (!entry) return complain("no kernel %s", name), 1;
    if (count != entry->count)
        return complain("%s takes %d arguments, got %d", name, entry->count, count), 1;
    for (int i = 0; i < count; i++)
        if (sizes[i] != entry->sizes[i])
            return complain("argument %d of %s takes %d bytes, got %d", i, name, entry->sizes[i],
                            sizes[i]), 1;
    launch = *how;
    arguments = values;
    block_size = {how->block[0], how->block[1], how->block[2]};
    grid_size = {how->grid[0], how->grid[1], how->grid[2]};
    random_state = how->seed * 2654435769ull + 88172645463325252ull;
    grid_generation = 0;

#ifdef CUSIM_THREAD_SANITIZER
    scheduler_sanitizer = __tsan_get_current_fiber();
#endif
    comes_before(&launch_start);
    std::vector<unsigned> numbers(how->grid[0] * how->grid[1] * how->grid[2]);
    for (unsigned i = 0; i < numbers.size(); i++) numbers[i] = i;
    if (how->order == 1) std::reverse(numbers.begin(), numbers.end());
    if (how->order == 2) shuffle_randomly(numbers);
    if (how->cooperative) {
        make_blocks(numbers);
        run_blocks();
        forget_blocks();
    } else {
        for (unsigned number : numbers) {
            make_blocks({number});
            run_blocks();
            forget_blocks();
            if (failed) break;
        }
    }
    comes_after(&launch_end);
    free_shared_memory();
    return failed;
}
