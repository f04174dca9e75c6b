// What the kernels of optimizer steps are given, for host and device alike.
#pragma once
#include <stdint.h>

constexpr int64_t kPiece = 8192; // elements of one tensor that a block works on

struct Tensors { // one of the list: parameter, gradient and averages, elements and where its pieces begin
  void *p, *m, *v;
  const void* g;
  int64_t n, first_piece;
  int32_t line;   // of the table
  int32_t vector; // all are aligned to 16 bytes
};

struct AdamLine {
  float scale, keep, l2, rate1, beta2, rate2, root, eps, step_size;
};
struct SgdLine {
  float lr, decay, scale, momentum, taken;
  int32_t nesterov, first;
};
