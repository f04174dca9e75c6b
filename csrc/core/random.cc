#include "core/random.h"

#include <mutex>

namespace engine {

static std::mutex mutex;
static RandomState current{0, 0};

void manual_seed(uint64_t seed) { set_random_state({seed, 0}); }

RandomState random_state() {
  std::lock_guard<std::mutex> lock(mutex);
  return current;
}

void set_random_state(RandomState state) {
  std::lock_guard<std::mutex> lock(mutex);
  current = state;
}

RandomState next_random() {
  std::lock_guard<std::mutex> lock(mutex);
  RandomState drawn = current;
  current.calls++;
  return drawn;
}

} // namespace engine
