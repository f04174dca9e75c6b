// Settings from the environment. Those of a launch are read again at every call, those of the device at cuInit.
#pragma once
#include "types.h"

namespace cudasim {

enum class Order { kForward, kReverse, kRandom };

struct Config {
  // of a launch
  bool check = true;    // CUDASIM_CHECK=1|0|plain    the memory and race checker
  bool plain = false;   //   plain: without its fast paths, which are tested against it
  bool profile = false; // CUDASIM_PROFILE=0|1        counters of each instruction
  bool lazy = false;    // CUDASIM_ASYNC=eager|lazy   lazy: work in streams runs only when something waits for it
  Order order = Order::kForward; // CUDASIM_ORDER=forward|reverse|random   in which the warps of a block take turns
  u64 seed = 1;                  // CUDASIM_SEED               of the random order
  u64 budget = 2000000000;       // CUDASIM_BUDGET             warp instructions that a launch may execute
  // of the device
  int capability = 80;                // CUDASIM_CAPABILITY=8.0
  int driver = 13000;                 // CUDASIM_DRIVER=13000   what cuDriverGetVersion says; bounds the PTX version
  int devices = 1;                    // CUDASIM_DEVICES
  size_t memory = size_t(4096) << 20; // CUDASIM_MEMORY=4096    MiB, of all devices together
};

extern Config config;

void read_launch_config();
void read_device_config();

} // namespace cudasim
