// The groups of element types that rows name (csrc/kernels/list.h), on the device: bfloat16 where the CPU has float64.
// FOR_FLOAT(M, a, b) is M(float, f32, a, b) M(bf16, bf16, a, b): an element type, and the suffix of its kernels' names.
// Plain C++, compiled by both sides; each has types bf16 and f16.
#pragma once
#include <stdint.h>

#define FOR_INTEGER(M, ...) M(int32_t, i32, ##__VA_ARGS__) M(int64_t, i64, ##__VA_ARGS__) M(uint8_t, u8, ##__VA_ARGS__)
#define FOR_F32(M, ...) M(float, f32, ##__VA_ARGS__)
#define FOR_FLOAT(M, ...) FOR_F32(M, ##__VA_ARGS__) M(bf16, bf16, ##__VA_ARGS__)
#define FOR_WIDE(M, ...) FOR_FLOAT(M, ##__VA_ARGS__) M(int64_t, i64, ##__VA_ARGS__)
#define FOR_REAL(M, ...) FOR_FLOAT(M, ##__VA_ARGS__) FOR_INTEGER(M, ##__VA_ARGS__)
#define FOR_WHOLE(M, ...) FOR_INTEGER(M, ##__VA_ARGS__) M(bool, bool, ##__VA_ARGS__)
#define FOR_LOGIC(M, ...) FOR_REAL(M, ##__VA_ARGS__) M(bool, bool, ##__VA_ARGS__)
#define FOR_ALL(M, ...) FOR_LOGIC(M, ##__VA_ARGS__) M(f16, f16, ##__VA_ARGS__)
#define FOR_STORED FOR_ALL // int8 and int16 stay on the CPU
