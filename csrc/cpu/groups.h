// The groups of element types that rows name (csrc/kernels/list.h), on the CPU. FOR_FLOAT(M, a, b) is M(float, a, b)
// M(double, a, b).
#pragma once
#include "core/dtype.h"

#define FOR_F32(M, ...) M(float, ##__VA_ARGS__)
#define FOR_FLOAT(M, ...) FOR_F32(M, ##__VA_ARGS__) M(double, ##__VA_ARGS__)
#define FOR_WIDE(M, ...) FOR_FLOAT(M, ##__VA_ARGS__) M(int64_t, ##__VA_ARGS__)
#define FOR_REAL(M, ...) \
  FOR_FLOAT(M, ##__VA_ARGS__) M(int32_t, ##__VA_ARGS__) M(int64_t, ##__VA_ARGS__) M(uint8_t, ##__VA_ARGS__)
#define FOR_WHOLE(M, ...) \
  M(int32_t, ##__VA_ARGS__) M(int64_t, ##__VA_ARGS__) M(uint8_t, ##__VA_ARGS__) M(bool, ##__VA_ARGS__)
#define FOR_LOGIC(M, ...) FOR_REAL(M, ##__VA_ARGS__) M(bool, ##__VA_ARGS__)
#define FOR_ALL(M, ...) FOR_LOGIC(M, ##__VA_ARGS__) M(BFloat16, ##__VA_ARGS__) M(Float16, ##__VA_ARGS__)
#define FOR_STORED(M, ...) FOR_ALL(M, ##__VA_ARGS__) M(int8_t, ##__VA_ARGS__) M(int16_t, ##__VA_ARGS__)
