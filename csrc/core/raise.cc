#include "core/raise.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/errors.h"

namespace engine {

Text::Text(const char* format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(s, sizeof s, format, args);
  va_end(args);
}

void raise_value(const char* op, const char* argument, const Text& expected, const Text& got) {
  throw Error(ErrorKind::value, op, argument, expected.s, got.s);
}

void raise_index(const char* op, const char* argument, const Text& expected, const Text& got) {
  throw Error(ErrorKind::index, op, argument, expected.s, got.s);
}

void check_indices(const char* op, const char* arg, const int64_t* ids, int64_t n, int64_t limit, int64_t ignore) {
  for (int64_t i = 0; i < n; i++)
    if ((ids[i] < 0 || ids[i] >= limit) && ids[i] != ignore)
      raise_index(op, arg, Text("every index in [0, %lld)", (long long)limit),
                  Text("%lld at position %lld", (long long)ids[i], (long long)i));
}

void check_cu_seqlens(const char* op, const char* arg, const int32_t* cu, int64_t n, int64_t total) {
  if (cu[0] != 0) raise_value(op, arg, "to start at 0", Text("%d", cu[0]));
  for (int64_t i = 0; i < n; i++)
    if (cu[i + 1] < cu[i])
      raise_value(op, arg, "numbers that never fall",
                  Text("%d after %d at position %lld", cu[i + 1], cu[i], (long long)(i + 1)));
  if (cu[n] != total)
    raise_value(op, arg, Text("to end at the number of tokens %lld", (long long)total), Text("%d", cu[n]));
}

void check_ends(const char* op, const char* arg, const int32_t* ends, int64_t n, int64_t total) {
  for (int64_t i = 0; i < n; i++)
    if (ends[i] < (i ? ends[i - 1] : 0) || ends[i] > total)
      raise_value(op, arg, Text("ends that rise within [0, %lld]", (long long)total),
                  Text("%d at position %lld", ends[i], (long long)i));
}

} // namespace engine
