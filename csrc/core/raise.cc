#include "core/raise.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/errors.h"

namespace engine {

static std::string formatted(const char* format, va_list args) {
  char text[512];
  vsnprintf(text, sizeof text, format, args);
  return text;
}

void raise_value(const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::string text = formatted(format, args);
  va_end(args);
  throw Error(ErrorKind::value, text);
}

void raise_index(const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::string text = formatted(format, args);
  va_end(args);
  throw Error(ErrorKind::index, text);
}

void check_indices(const char* op, const char* arg, const int64_t* ids, int64_t n, int64_t limit, int64_t ignore) {
  for (int64_t i = 0; i < n; i++)
    if ((ids[i] < 0 || ids[i] >= limit) && ids[i] != ignore)
      raise_index("[%s] %s: expected every index in [0, %lld), got %lld at position %lld", op, arg, (long long)limit,
                  (long long)ids[i], (long long)i);
}

void check_cu_seqlens(const char* op, const char* arg, const int32_t* cu, int64_t n, int64_t total) {
  if (cu[0] != 0) raise_value("[%s] %s: expected to start at 0, got %d", op, arg, cu[0]);
  for (int64_t i = 0; i < n; i++)
    if (cu[i + 1] < cu[i])
      raise_value("[%s] %s: expected numbers that never fall, got %d after %d at position %lld", op, arg, cu[i + 1],
                  cu[i], (long long)(i + 1));
  if (cu[n] != total)
    raise_value("[%s] %s: expected to end at the number of tokens %lld, got %d", op, arg, (long long)total, cu[n]);
}
void check_ends(const char* op, const char* arg, const int32_t* ends, int64_t n, int64_t total) {
  for (int64_t i = 0; i < n; i++)
    if (ends[i] < (i ? ends[i - 1] : 0) || ends[i] > total)
      raise_value("[%s] %s: expected ends that rise within [0, %lld], got %d at position %lld", op, arg,
                  (long long)total, ends[i], (long long)i);
}

} // namespace engine
