// The random state: a seed and the number of calls that drew from it. Numbers come from Philox (cpu/philox.h) as a pure
// function of (seed, call, position), so tiling and threads cannot change them.
#pragma once
#include <stdint.h>

namespace engine {

struct RandomState {
  uint64_t seed;
  uint64_t calls;
};

void manual_seed(uint64_t seed); // calls start at 0 again
RandomState random_state();
void set_random_state(RandomState state);
RandomState next_random(); // the state that one op draws from; counts the call
// From now on this thread has its own state, which the functions above read and write in it.
void separate_random_state(RandomState state);

} // namespace engine
