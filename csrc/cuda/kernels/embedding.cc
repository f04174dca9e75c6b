// Not written yet.
#include "cuda/launch.h"
#pragma GCC diagnostic ignored "-Wunused-parameter"

namespace engine::cuda {
#define KERNEL(family, name, group, params, signature, contract)    \
  template <class T>                                                \
  void name params {                                                \
    throw Error(ErrorKind::runtime, "[" #name "] not written yet"); \
  }
#include "families/embedding.def"
#undef KERNEL
} // namespace engine::cuda

#define FAMILY embedding
#include "cuda/instances.h"
