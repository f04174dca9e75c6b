// For kernel files, which use no C++ library: raise an Error, printf-style, from outside their object.
#pragma once
#include <stdint.h>

namespace engine {

[[noreturn]] void raise_value(const char* format, ...) __attribute__((format(printf, 1, 2)));
[[noreturn]] void raise_index(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Checks that all n indices lie in [0, limit); the error names the first that does not and where it stands.
// `ignore` (INT64_MIN: none) is allowed too.
void check_indices(const char* op, const char* arg, const int64_t* ids, int64_t n, int64_t limit,
                   int64_t ignore = INT64_MIN);
// Checks that cu_seqlens (n + 1 numbers) starts at 0, never falls, and ends at total.
void check_cu_seqlens(const char* op, const char* arg, const int32_t* cu, int64_t n, int64_t total);
// Checks that `ends` (n numbers) never fall and lie in [0, total].
void check_ends(const char* op, const char* arg, const int32_t* ends, int64_t n, int64_t total);

} // namespace engine
