// One call of a kernel: its arguments read, checked, converted and laid out, its outputs allocated.
#pragma once
#include <deque>
#include <memory>

#include "bindings/signature.h"
#include "core/promote.h"

namespace engine {

// A Python number in the place of a 0-dim array.
struct Number {
  bool is_float, is_bool;
  double real;
  int64_t integer;
  alignas(8) char element[8]; // as the row's T
};

// Up to kMaxParams Arrays, of which a call makes only a few: nothing is paid for the others.
class MadeArrays {
 public:
  MadeArrays() {}
  MadeArrays(const MadeArrays&) = delete;
  ~MadeArrays() {
    for (uint32_t left = made_; left; left &= left - 1) (*this)[__builtin_ctz(left)].~Array();
  }
  void set(int i, Array&& a) {
    if (has(i))
      (*this)[i] = std::move(a);
    else
      new (memory_[i]) Array(std::move(a));
    made_ |= 1u << i;
  }
  bool has(int i) const { return made_ >> i & 1; }
  Array& operator[](int i) { return *reinterpret_cast<Array*>(memory_[i]); }

 private:
  uint32_t made_ = 0;
  alignas(Array) char memory_[kMaxParams][sizeof(Array)];
};

struct Call {
  const Row& row;
  PyObject* const* args;
  const Array* arrays[kMaxParams];
  MadeArrays made;         // converted or contiguous copies of arguments, and outputs
  uint32_t has_number = 0; // bit i: argument i is a Python number
  Number numbers[kMaxParams];
  View views[kMaxParams];
  Value values[kMaxParams];
  int64_t sizes[kMaxNames];
  bool bound[kMaxNames] = {};
  const Array* star = nullptr; // whose leading dimensions * stands for
  int star_dims = 0;
  int64_t broadcast_shape[kMaxDims];
  int broadcast_dims = -1;
  int dtype = -1;  // in which the kernel runs
  int narrow = -1; // the row's T, if it has no kernel: those arguments and results are converted (computed_in)
  int device = kCpu;
  const Kernels* table = nullptr; // of the device, where it is not the CPU

  Call(const Row& r, PyObject* const* a) : row(r), args(a) {
    if (row.has_lists) lists.reset(new ListOfArrays[kMaxParams]);
  }

  void read_arguments();
  void bind_shape(int i);
  void bind_broadcast();
  void lay_out(int i);
  void make_output(int i);
  void write_back();
  void separate_overlaps();
  // Nothing would be written, but an array has so many rows of no elements that the loop over them would not end.
  bool is_vast_and_empty() const;
  std::string expected_shape(const ParamSpec& p) const;
  int64_t broadcast_size() const {
    int64_t n = 1;
    for (int k = 0; k < broadcast_dims; k++) n *= broadcast_shape[k];
    return n;
  }

  struct ListOfArrays {
    std::vector<const Array*> arrays;
    std::vector<View> views;
    std::deque<Array> made;
  };
  std::unique_ptr<ListOfArrays[]> lists;
  int list_length = -1;
  void read_list(int i);
  void lay_out_list(int i);
  void find_device();
  void check_device(const ParamSpec& p, const Array& a, const std::string& name) const;
  void take_dtype(const ParamSpec& p, const Array& a);
  bool available(int t) const;
  bool decide(int t);
  DType decided() const { return DType(narrow < 0 ? dtype : narrow); }
  bool is_narrow(const Array& a) const { return narrow >= 0 && int(a.dtype) == narrow; }
  DType accumulator() const { return computed_in(DType(dtype)); }
  [[noreturn]] void refuse_dtype(const ParamSpec& p, DType got) const;
  bool read_number(int i);
  void mix_dtypes();
  void write_number(int i);
};

} // namespace engine
