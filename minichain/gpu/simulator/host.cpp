// A program around one launch, for AddressSanitizer and ThreadSanitizer, which want a process of
// their own. Standard input tells what to launch, in words, and then holds the arrays; standard
// output gets the arrays back. machine.py is the other side.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vector>

#include "scheduler.h"

// A word at one place holds the address of another; a place is a buffer and an offset in it.
struct Moved {
    int buffer, of_buffer;
    unsigned long long offset, of_offset, before;

    unsigned long long *word(std::vector<char *> &buffers) {
        return (unsigned long long *)(buffers[buffer] + offset);
    }
};

static void need(bool good) {
    if (good) return;
    fprintf(stderr, "simulator: what came on standard input is not a launch\n");
    exit(65);
}

int main() {
    char name[256];
    Launch launch;
    unsigned *g = launch.grid, *b = launch.block;
    int buffer_count, count, moved_count;
    need(scanf("%255s %u %u %u %u %u %u %llu %d %d %u %d %d %d", name, g, g + 1, g + 2, b, b + 1,
               b + 2, &launch.shared, &launch.cooperative, &launch.order, &launch.seed,
               &buffer_count, &count, &moved_count) == 14);
    std::vector<char *> buffers(buffer_count);
    std::vector<unsigned long long> lengths(buffer_count), values(count);
    for (auto &length : lengths) need(scanf("%llu", &length) == 1);
    std::vector<int> sizes(count), of_buffer(count);   // -1: a number, not an array
    for (int i = 0; i < count; i++)
        need(scanf("%d %d %llu", &sizes[i], &of_buffer[i], &values[i]) == 3);
    std::vector<Moved> moved(moved_count);
    for (auto &m : moved)
        need(scanf("%d %llu %d %llu", &m.buffer, &m.offset, &m.of_buffer, &m.of_offset) == 4);
    need(getchar() == '\n');
    // Each array has a block of memory of exactly its length, so that a step beyond is noticed.
    for (int i = 0; i < buffer_count; i++) {
        buffers[i] = (char *)malloc(lengths[i]);
        need(fread(buffers[i], 1, lengths[i], stdin) == lengths[i]);
    }
    for (auto &m : moved) {
        m.before = *m.word(buffers);
        *m.word(buffers) = (unsigned long long)buffers[m.of_buffer] + m.of_offset;
    }
    std::vector<void *> arguments(count);
    for (int i = 0; i < count; i++) {
        if (of_buffer[i] >= 0) values[i] += (unsigned long long)buffers[of_buffer[i]];
        arguments[i] = &values[i];   // the low bytes come first, on all machines that run this
    }
    char message[1024];
    if (cusim_launch(name, &launch, arguments.data(), sizes.data(), count, message,
                     sizeof message)) {
        fprintf(stderr, "simulator: %s\n", message);
        return 3;
    }
    for (auto &m : moved) *m.word(buffers) = m.before;
    for (int i = 0; i < buffer_count; i++) {
        fwrite(buffers[i], 1, lengths[i], stdout);
        free(buffers[i]);
    }
    return 0;
}
