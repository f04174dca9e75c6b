#include "bindings/signature.h"

#include <stdexcept>

namespace engine {

void fail(const Row& row, ErrorKind kind, const std::string& arg, const std::string& expected, const std::string& got) {
  throw Error(kind, row.name, arg, expected, got);
}

void parse(Row& row, const Kind* kinds, int n) {
  auto name_index = [&](const std::string& name) {
    for (size_t i = 0; i < row.names.size(); i++)
      if (row.names[i] == name) return int(i);
    row.names.push_back(name);
    return int(row.names.size()) - 1;
  };
  std::string text = row.signature, word;
  std::vector<std::string> words;
  for (size_t i = 0; i <= text.size(); i++) {
    if (i < text.size() && text[i] != ' ') {
      word += text[i];
      continue;
    }
    if (!word.empty() && word != "->") words.push_back(word);
    word.clear();
  }
  auto bad = [&](const std::string& why) {
    throw std::logic_error(std::string("row ") + row.name + " of csrc/kernels: " + why);
  };
  if (int(words.size()) != n || n > kMaxParams)
    bad("the signature has " + std::to_string(words.size()) + " words for " + std::to_string(n) + " parameters");
  for (int i = 0; i < n; i++) {
    ParamSpec p;
    p.kind = kinds[i];
    std::string w = words[i];
    for (; strchr("@~^!%#", w[0]); w.erase(0, 1)) {
      if (w[0] == '@') p.on_host = true;
      if (w[0] == '~') p.strided = true;
      if (w[0] == '^') p.mix = Mix::promoted;
      if (w[0] == '!') p.must_fit = true;
      if (w[0] == '%') p.mix = Mix::floating;
      if (w[0] == '#') p.mix = Mix::widened;
    }
    size_t open = w.find(is_list(p.kind) ? '{' : '['), colon = w.find(':');
    bool scalar = p.kind == Kind::real || p.kind == Kind::integer || p.kind == Kind::boolean;
    if (scalar != (open == std::string::npos)) bad("word '" + w + "' does not fit its parameter");
    if (colon != std::string::npos) {
      std::string type = w.substr(colon + 1, open - colon - 1);
      p.any_dtype = type == "any";
      p.accumulator = type == "acc";
      p.fixed_dtype = !p.any_dtype && !p.accumulator;
      bool known = !p.fixed_dtype;
      for (int t = 0; t < kNumDTypes; t++)
        if (type == kDTypeName[t]) {
          p.dtype = DType(t);
          known = true;
        }
      if (!known) bad("unknown dtype '" + type + "'");
    }
    p.name = w.substr(0, colon < open ? colon : open);
    if (p.kind == Kind::integer || p.kind == Kind::boolean) p.scalar_name = name_index(p.name);
    if (p.name == "keepdim") row.keepdim = p.scalar_name;
    if (is_list(p.kind)) {
      std::string length = w.substr(open + 1, w.size() - open - 2);
      if (!length.empty()) p.scalar_name = name_index(length);
    } else if (!scalar) {
      std::string dims = w.substr(open + 1, w.size() - open - 2);
      size_t from = 0;
      while (from < dims.size()) {
        size_t comma = dims.find(',', from);
        if (comma == std::string::npos) comma = dims.size();
        std::string d = dims.substr(from, comma - from);
        from = comma + 1;
        if (d == "*") {
          p.star = true;
          p.dims.push_back({Dim::star});
        } else if (d.compare(0, 2, "*-") == 0) {
          p.dims.push_back({Dim::reduced, name_index(d.substr(2))});
        } else if (d == "...") {
          p.broadcast = true;
          p.dims.push_back({Dim::broadcast});
        } else if (isdigit(d[0]))
          p.dims.push_back({Dim::literal, 0, std::stoll(d)});
        else {
          size_t plus = d.find('+');
          p.dims.push_back({Dim::named, name_index(d.substr(0, plus)),
                            plus == std::string::npos ? 0 : std::stoll(d.substr(plus + 1))});
        }
      }
      if (p.star && p.dims[0].what != Dim::star) bad("* must come first");
    }
    if (p.kind != Kind::out) {
      if (row.inputs != i) bad("outputs must come last");
      row.inputs++;
    }
    if (p.mix != Mix::exact && p.kind != Kind::in && p.kind != Kind::opt) bad("only inputs can be converted");
    row.has_lists |= is_list(p.kind);
    row.all_broadcast &= scalar || p.broadcast;
    row.params.push_back(std::move(p));
  }
  if (row.names.size() > size_t(kMaxNames)) bad("too many sizes");
  row.doc = std::string(row.name) + "(";
  for (int i = 0; i < row.inputs; i++) row.doc += (i ? ", " : "") + row.params[i].name;
  row.doc += ")\n\n" + std::string(row.contract) + "\n\n" + row.signature;
}

} // namespace engine
