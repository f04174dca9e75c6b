// The thread pool. Work is given as n chunks; idle threads claim them one by one from a shared counter, so a busy core
// never holds the others. Who runs which chunk never changes a result: chunks write disjoint outputs.
//
// Several Python threads may call at once: the pool serves one of them, the others run their chunks themselves.
// A chunk that calls run_chunks runs the inner chunks itself. After fork the child starts its own workers at first use.
#pragma once
#include <stdint.h>

namespace engine {

// Calls fn(context, i) for every i in [0, n), on up to num_threads() threads; returns when all are done.
// An exception in a chunk is rethrown here after the others have ended.
void run_chunks(int64_t n, void (*fn)(void* context, int64_t i), void* context);

int num_threads();
void set_num_threads(int64_t n); // n >= 1
int default_num_threads();       // ENGINE_NUM_THREADS, else min(affinity, cgroup quota)

} // namespace engine
