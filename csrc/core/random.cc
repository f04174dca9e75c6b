#include "core/random.h"

#include <mutex>
#include <optional>

namespace engine {

static std::mutex mutex;
static RandomState current{0, 0};
static thread_local std::optional<RandomState> own;

void manual_seed(uint64_t seed) { set_random_state({seed, 0}); }

void separate_random_state(RandomState state) { own = state; }

RandomState random_state() {
  if (own) return *own;
  std::lock_guard<std::mutex> lock(mutex);
  return current;
}

void set_random_state(RandomState state) {
  if (own) {
    own = state;
    return;
  }
  std::lock_guard<std::mutex> lock(mutex);
  current = state;
}

RandomState next_random() {
  auto next = [](RandomState& state) { return RandomState{state.seed, state.calls++}; };
  if (own) return next(*own);
  std::lock_guard<std::mutex> lock(mutex);
  return next(current);
}

} // namespace engine
