#include "text.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <stdexcept>

#include "binder.h"

namespace cudasim {

void fail(u32 line, const std::string& what) {
  throw std::runtime_error("PTX line " + std::to_string(line) + ": " + what);
}

void blank_comments(std::string& text) {
  const size_t size = text.size();
  for (size_t k = text.find_first_of("/\""); k < size; k = text.find_first_of("/\"", k)) {
    if (text[k] == '"') {
      k = std::min(text.find('"', k + 1), size - 1) + 1;
      continue;
    }
    const char next = k + 1 < size ? text[k + 1] : 0;
    size_t end = k + 1;
    if (next == '/') {
      end = std::min(text.find('\n', k), size);
    } else if (next == '*') {
      end = std::min(text.find("*/", k + 2), size - 2) + 2;
    } else {
      ++k;
      continue;
    }
    for (; k < end; ++k)
      if (text[k] != '\n') text[k] = ' ';
  }
}

void Cursor::skip_space() {
  for (; *at == ' ' || (*at >= '\t' && *at <= '\r'); ++at) line += *at == '\n';
}

bool Cursor::starts_with(std::string_view word) const {
  if (strncmp(at, word.data(), word.size()) != 0) return false;
  const char next = at[word.size()];
  return !isalnum(u8(next)) && next != '_';
}

std::string_view Cursor::rest_of_line() {
  const char* begin = at;
  while (*at && *at != '\n') ++at;
  return trim({begin, size_t(at - begin)});
}

namespace {

// Characters that mean nothing to Cursor::until.
struct PlainCharacters {
  bool is[256] = {};
  constexpr PlainCharacters() {
    for (int c = 0; c < 256; ++c)
      is[c] = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 128;
    for (char c : {' ', '\t', '%', '_', '.', ',', '$'}) is[u8(c)] = true;
  }
};
constexpr PlainCharacters kPlain;

bool contains(std::string_view stops, char c) {
  for (char stop : stops)
    if (stop == c) return true;
  return false;
}

} // namespace

std::string_view Cursor::until(std::string_view stops, bool braces_nest, char* stop) {
  const char* begin = at;
  int depth = 0;
  for (;; ++at) {
    const char c = *at;
    if (kPlain.is[u8(c)]) continue; // most of all
    if (c == 0) {
      *stop = 0;
      return trim({begin, size_t(at - begin)});
    }
    if (c == '"') {
      do ++at;
      while (*at && *at != '"');
      if (!*at) --at;
      continue;
    }
    if (c == ':' && at[1] == ':') {
      ++at;
      continue;
    }
    line += c == '\n';
    if (!depth && contains(stops, c)) {
      *stop = c;
      return trim({begin, size_t(at++ - begin)});
    }
    depth += c == '(' || c == '[' || (braces_nest && c == '{');
    depth -= c == ')' || c == ']' || (braces_nest && c == '}');
  }
}

void Cursor::skip_braces() {
  int depth = 0;
  for (; *at; ++at) {
    switch (*at) {
      case '\n':
        ++line;
        break;
      case '{':
        ++depth;
        break;
      case '}':
        if (--depth == 0) {
          ++at;
          return;
        }
        break;
    }
  }
}

Declaration parse_declaration(std::string_view text) {
  Declaration d;
  const size_t equals = text.find('=');
  if (equals != text.npos) d.initialiser = trim(text.substr(equals + 1));
  text = trim(text.substr(0, equals));
  bool aligned = false;
  std::string_view word;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(" \t\n"), text.size());
    word = text.substr(0, end);
    text = trim(text.substr(end));
    if (word == ".align") {
      d.alignment = u32(parse_integer(text));
      aligned = true;
      text = trim(text.substr(std::min(text.find_first_of(" \t"), text.size())));
    } else if (word == ".pred" || (word[0] == '.' && word.find_first_of("0123456789") != word.npos)) {
      d.element = u32(size_of_type(word.substr(1)));
    }
  }
  if (word.empty() || word[0] == '.') throw std::runtime_error("a declaration without a name");
  const size_t bracket = std::min(word.find('['), word.size());
  d.name = word.substr(0, bracket);
  for (size_t b = bracket; b < word.size(); b = std::min(word.find('[', b + 1), word.size()))
    d.count *= word[b + 1] == ']' ? 0 : parse_integer(word.substr(b + 1, word.find(']', b) - b - 1));
  if (!aligned) d.alignment = d.element;
  return d;
}

} // namespace cudasim
