// Registers operations that work on each lane alone: a name, and a lambda of the operands.
#pragma once
#include <string>

#include "../execute.h"
#include "../opcodes.h"

namespace cudasim {

template <class D, class A, class Op>
void unary(Registry& r, const std::string& name, Op) {
  r.arithmetic[name] = {+[](Warp& w, const Instruction& i, u32 mask) {
                          D* d = lanes<D>(w, i.out[0]);
                          const A* a = lanes<A>(w, i.in[0]);
                          each_lane(mask, [=](int l) { d[l] = Op{}(a[l]); });
                        },
                        {sizeof(A)}};
}

template <class D, class A, class B, class Op>
void binary(Registry& r, const std::string& name, Op) {
  r.arithmetic[name] = {+[](Warp& w, const Instruction& i, u32 mask) {
                          D* d = lanes<D>(w, i.out[0]);
                          const A* a = lanes<A>(w, i.in[0]);
                          const B* b = lanes<B>(w, i.in[1]);
                          each_lane(mask, [=](int l) { d[l] = Op{}(a[l], b[l]); });
                        },
                        {sizeof(A), sizeof(B)}};
}

template <class D, class A, class B, class C, class Op>
void ternary(Registry& r, const std::string& name, Op) {
  r.arithmetic[name] = {+[](Warp& w, const Instruction& i, u32 mask) {
                          D* d = lanes<D>(w, i.out[0]);
                          const A* a = lanes<A>(w, i.in[0]);
                          const B* b = lanes<B>(w, i.in[1]);
                          const C* c = lanes<C>(w, i.in[2]);
                          each_lane(mask, [=](int l) { d[l] = Op{}(a[l], b[l], c[l]); });
                        },
                        {sizeof(A), sizeof(B), sizeof(C)}};
}

template <class D, class A, class B, class C, class E, class Op>
void quaternary(Registry& r, const std::string& name, Op) {
  r.arithmetic[name] = {+[](Warp& w, const Instruction& i, u32 mask) {
                          D* d = lanes<D>(w, i.out[0]);
                          const A* a = lanes<A>(w, i.in[0]);
                          const B* b = lanes<B>(w, i.in[1]);
                          const C* c = lanes<C>(w, i.in[2]);
                          const E* e = lanes<E>(w, i.in[3]);
                          each_lane(mask, [=](int l) { d[l] = Op{}(a[l], b[l], c[l], e[l]); });
                        },
                        {sizeof(A), sizeof(B), sizeof(C), sizeof(E)}};
}

// Registers whose size is only known when the statement is read.
inline u64 load_register(Warp& w, int offset, int size, int lane) {
  switch (size) {
    case 1:
      return lanes<u8>(w, offset)[lane];
    case 2:
      return lanes<u16>(w, offset)[lane];
    case 4:
      return lanes<u32>(w, offset)[lane];
    default:
      return lanes<u64>(w, offset)[lane];
  }
}

inline void store_register(Warp& w, int offset, int size, int lane, u64 value) {
  switch (size) {
    case 1:
      lanes<u8>(w, offset)[lane] = u8(value);
      break;
    case 2:
      lanes<u16>(w, offset)[lane] = u16(value);
      break;
    case 4:
      lanes<u32>(w, offset)[lane] = u32(value);
      break;
    default:
      lanes<u64>(w, offset)[lane] = value;
  }
}

} // namespace cudasim
