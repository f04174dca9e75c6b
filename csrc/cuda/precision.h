// How products of float32 are computed on a device; core/device.h keeps the setting, and hands it over.
#pragma once
#include "core/device.h"

namespace engine::cuda {

Precision matmul_precision();
void set_matmul_precision(Precision precision);

} // namespace engine::cuda
