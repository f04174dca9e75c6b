// The rows of csrc/kernels as the binding reads them: what each parameter is, and how to call the kernel.
#pragma once
#include <string.h>

#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "core/slots.h"

namespace engine {

enum class Kind : uint8_t { in, opt, inout, out, list, inout_list, real, integer, boolean };

inline bool is_array(Kind k) { return k <= Kind::inout; }
inline bool is_list(Kind k) { return k == Kind::list || k == Kind::inout_list; }

template <class P>
struct kind_of;
template <>
struct kind_of<In> {
  static constexpr Kind value = Kind::in;
};
template <>
struct kind_of<Opt> {
  static constexpr Kind value = Kind::opt;
};
template <>
struct kind_of<InOut> {
  static constexpr Kind value = Kind::inout;
};
template <>
struct kind_of<Out> {
  static constexpr Kind value = Kind::out;
};
template <>
struct kind_of<InList> {
  static constexpr Kind value = Kind::list;
};
template <>
struct kind_of<InOutList> {
  static constexpr Kind value = Kind::inout_list;
};
template <>
struct kind_of<double> {
  static constexpr Kind value = Kind::real;
};
template <>
struct kind_of<int64_t> {
  static constexpr Kind value = Kind::integer;
};
template <>
struct kind_of<bool> {
  static constexpr Kind value = Kind::boolean;
};

constexpr int kMaxParams = 32, kMaxNames = 24;

union Value {
  const View* view;
  List list;
  double real;
  int64_t integer;
};

template <class P>
P as_param(const Value& v) {
  if constexpr (kind_of<P>::value == Kind::real)
    return v.real;
  else if constexpr (kind_of<P>::value == Kind::integer)
    return v.integer;
  else if constexpr (kind_of<P>::value == Kind::boolean)
    return v.integer != 0;
  else if constexpr (kind_of<P>::value == Kind::list || kind_of<P>::value == Kind::inout_list) {
    P p;
    p.views = v.list.views;
    p.count = v.list.count;
    return p;
  } else {
    P p;
    p.v = v.view;
    return p;
  }
}

template <class Params>
struct Caller;
template <class... P>
struct Caller<void(P...)> {
  static constexpr Kind kinds[] = {kind_of<P>::value...};
  template <size_t... I>
  static void apply(void (*fn)(P...), const Value* values, std::index_sequence<I...>) {
    fn(as_param<P>(values[I])...);
  }
  static void call(const void* slots, int dtype, const Value* values) {
    apply(static_cast<const Slots<void(P...)>*>(slots)->by_dtype[dtype], values, std::index_sequence_for<P...>{});
  }
};

struct Dim {
  enum { star, reduced, broadcast, named, literal } what;
  int name = 0;      // index into Row::names
  int64_t value = 0; // the literal, or what is added to the named size
};

// What becomes of an argument's dtype before it reaches the kernel.
enum class Mix : uint8_t { exact, promoted, floating, widened };

struct ParamSpec {
  std::string name;
  Kind kind;
  Mix mix = Mix::exact;
  bool any_dtype = false, fixed_dtype = false, accumulator = false;
  bool on_host = false, strided = false, broadcast = false, star = false;
  bool must_fit = false; // an integer that T cannot hold is an error
  DType dtype = DType::f32;
  int scalar_name = -1; // the size that an integer scalar of this name stands for
  std::vector<Dim> dims;
};

struct Row {
  const char* name;
  const char* signature;
  const char* contract;
  size_t slot;                // offset of the row's Slots in Kernels
  bool available[kNumDTypes]; // on the CPU
  void (*call)(const void* slots, int dtype, const Value* values);
  std::vector<ParamSpec> params;
  std::vector<std::string> names; // sizes bound by name
  int inputs = 0;
  bool has_lists = false, all_broadcast = true;
  int keepdim = -1; // the name of the bool scalar keepdim
  std::string doc;
  PyMethodDef def{};
};

// Fills params, names and doc from the signature; kinds are those of the C++ parameters.
void parse(Row& row, const Kind* kinds, int n);

// Raises "[row] arg: expected X, got Y".
[[noreturn]] void fail(const Row& row, ErrorKind kind, const std::string& arg, const std::string& expected,
                       const std::string& got);

} // namespace engine
