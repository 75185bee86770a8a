// Between what is made of a .cu file, scheduler.cpp and host.cpp: the list of kernels, the launch.
#pragma once

struct Entry {
    const char *name;
    void (*call)(void **arguments);
    int count;               // of parameters
    const int *sizes;        // of each, in bytes, as the compiler sees it
};
extern const Entry cusim_entries[];
extern const int cusim_entry_count;

struct Launch {
    unsigned grid[3], block[3];
    unsigned long long shared;   // bytes of dynamic shared memory
    int cooperative;             // all blocks are there at once, and may wait for each other
    int order;                   // in which threads take turns: 0 forward, 1 reverse, 2 random
    unsigned seed;
};

// Return 0, or 1 with the reason in `message`.
extern "C" int cusim_launch(const char *name, const Launch *launch, void **arguments,
                            const int *sizes, int count, char *message, int message_size);
