// Walking through PTX text whose comments have become spaces.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "types.h"

namespace cudasim {

// ".align 4 .b8 name[64] = {…}"
struct Declaration {
  std::string name;
  u32 alignment = 1;
  u32 element = 1; // bytes
  s64 count = 1;
  std::string initialiser;
  s64 bytes() const { return element * count; }
};

// Throws std::runtime_error if it is none.
Declaration parse_declaration(std::string_view text);

void blank_comments(std::string& text);
[[noreturn]] void fail(u32 line, const std::string& what);

struct Cursor {
  const char* at;
  u32 line = 1;

  void skip_space();
  bool starts_with(std::string_view word) const; // and the word ends there
  std::string_view rest_of_line();
  // Up to the first of the characters in `stops` that is outside quotes, brackets and parentheses (and braces, if they
  // nest in it); goes past it and says which it was, 0 at the end of the text.
  std::string_view until(std::string_view stops, bool braces_nest, char* stop);
  void skip_braces(); // from '{' past its '}'
};

} // namespace cudasim
