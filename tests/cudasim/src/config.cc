#include "config.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "checker.h"

namespace cudasim {

Config config;

namespace {

const char* variable(const char* name) {
  const char* value = getenv(name);
  return value && *value ? value : nullptr;
}

bool is(const char* name, const char* expected) {
  const char* value = variable(name);
  return value && !strcmp(value, expected);
}

} // namespace

void read_launch_config() {
  const bool checked_before = config.check;
  config.check = !is("CUDASIM_CHECK", "0");
  config.plain = is("CUDASIM_CHECK", "plain");
  config.profile = is("CUDASIM_PROFILE", "1");
  config.lazy = is("CUDASIM_ASYNC", "lazy");
  config.order = is("CUDASIM_ORDER", "reverse")  ? Order::kReverse
                 : is("CUDASIM_ORDER", "random") ? Order::kRandom
                                                 : Order::kForward;
  const char* seed = variable("CUDASIM_SEED");
  config.seed = seed ? strtoull(seed, nullptr, 0) : Config().seed;
  const char* budget = variable("CUDASIM_BUDGET");
  config.budget = budget ? u64(strtod(budget, nullptr)) : Config().budget;
  if (config.check && !checked_before) assume_all_written();
}

void read_device_config() {
  if (const char* value = variable("CUDASIM_CAPABILITY")) {
    int major = 8;
    int minor = 0;
    sscanf(value, "%d.%d", &major, &minor);
    config.capability = major * 10 + minor;
  }
  if (const char* value = variable("CUDASIM_DRIVER")) config.driver = atoi(value);
  if (const char* value = variable("CUDASIM_DEVICES")) config.devices = atoi(value);
  if (const char* value = variable("CUDASIM_MEMORY")) config.memory = strtoull(value, nullptr, 0) << 20;
}

} // namespace cudasim
