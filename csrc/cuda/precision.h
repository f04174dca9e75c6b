// How products of float32 are computed: torch.set_float32_matmul_precision's three.
#pragma once

namespace engine::cuda {

enum class Precision {
  highest, // float32 throughout (FFMA)
  high,    // operands rounded to tf32 (10 bits of mantissa), tensor cores, float32 sums
  medium   // operands rounded to bfloat16, tensor cores, float32 sums
};

Precision matmul_precision();
void set_matmul_precision(Precision precision);

} // namespace engine::cuda
