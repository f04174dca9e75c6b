// For kernel files, which use no C++ library: raise an Error from outside their object.
#pragma once
#include <stdint.h>

namespace engine {

// A phrase of an error, printf-style: Text("%d dimensions", n), or just "at least one array".
struct Text {
  char s[256];
  Text(const char* format, ...) __attribute__((format(printf, 2, 3)));
};

[[noreturn]] void raise_value(const char* op, const char* argument, const Text& expected, const Text& got);
[[noreturn]] void raise_index(const char* op, const char* argument, const Text& expected, const Text& got);

// Checks that all n indices lie in [0, limit); the error names the first that does not, and its position.
// `ignore` (INT64_MIN: none) is allowed too.
void check_indices(const char* op, const char* arg, const int64_t* ids, int64_t n, int64_t limit,
                   int64_t ignore = INT64_MIN);
// Checks that cu_seqlens (n + 1 numbers) starts at 0, never falls, and ends at total.
void check_cu_seqlens(const char* op, const char* arg, const int32_t* cu, int64_t n, int64_t total);
// Checks that `ends` (n numbers) never fall and lie in [0, total].
void check_ends(const char* op, const char* arg, const int32_t* ends, int64_t n, int64_t total);

} // namespace engine
