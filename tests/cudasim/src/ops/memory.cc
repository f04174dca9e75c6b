// Loads and stores.
#include <cstring>
#include <type_traits>

#include "../binder.h"
#include "../config.h"
#include "../memory.h"
#include "access.h"
#include "arithmetic.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace cudasim {

namespace {

template <class U>
U load_from(u64 address) {
  U value;
  memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
  return value;
}

template <class U>
void store_to(u64 address, U value) {
  memcpy(reinterpret_cast<void*>(address), &value, sizeof value);
}

#ifdef __SSE2__
// Four 16-byte rows become four columns and back: vectors of four words are the most frequent wide accesses.
void transpose(__m128 (&rows)[4]) { _MM_TRANSPOSE4_PS(rows[0], rows[1], rows[2], rows[3]); }

void load_four_words(Warp& w, const Instruction& i, const Reach& reach) {
  for (int l = 0; l < kLanes; l += 4) {
    __m128 rows[4];
    for (int k = 0; k < 4; ++k) rows[k] = _mm_loadu_ps(reinterpret_cast<const float*>(reach.at[l + k]));
    transpose(rows);
    for (int k = 0; k < 4; ++k)
      if (i.out[k] >= 0) _mm_store_ps(lanes<f32>(w, i.out[k]) + l, rows[k]);
  }
}

void store_four_words(Warp& w, const Instruction& i, const Reach& reach) {
  for (int l = 0; l < kLanes; l += 4) {
    __m128 rows[4];
    for (int k = 0; k < 4; ++k) rows[k] = _mm_load_ps(lanes<f32>(w, i.in[1 + k]) + l);
    transpose(rows);
    for (int k = 0; k < 4; ++k) _mm_storeu_ps(reinterpret_cast<float*>(reach.at[l + k]), rows[k]);
  }
}
constexpr bool kHaveTranspose = true;
#else
void load_four_words(Warp&, const Instruction&, const Reach&) {}
void store_four_words(Warp&, const Instruction&, const Reach&) {}
constexpr bool kHaveTranspose = false;
#endif

// All lanes, registers as wide as the elements.
template <class U>
void load_all(Warp& w, const Instruction& i, const Reach& reach) {
  if (kHaveTranspose && sizeof(U) == 4 && i.count == 4) return load_four_words(w, i, reach);
  for (int k = 0; k < i.count; ++k) {
    if (i.out[k] < 0) continue;
    U* d = lanes<U>(w, i.out[k]);
    if (i.count == 1 && reach.row) {
      memcpy(d, reinterpret_cast<const void*>(reach.at[0]), kLanes * sizeof(U));
    } else {
      for (int l = 0; l < kLanes; ++l) d[l] = load_from<U>(reach.at[l] + k * sizeof(U));
    }
  }
}

template <class U>
void load(Warp& w, const Instruction& i, u32 mask) {
  const Reach reach(w, i, mask, u32(sizeof(U) * i.count));
  if (config.profile) count_access(i, reach);
  const u32 allowed = permitted(w, i.range, i, reach, i.flags, Access::kRead);
  if (allowed == kAllLanes && i.register_size == sizeof(U)) return load_all<U>(w, i, reach);
  for (u32 left = mask; left; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    const bool ok = allowed >> lane & 1;
    for (int k = 0; k < i.count; ++k) {
      if (i.out[k] < 0) continue;
      const U value = ok ? load_from<U>(reach.at[lane] + k * sizeof(U)) : U(~u64(0));
      const u64 wide = i.flags & kSigned ? u64(s64(std::make_signed_t<U>(value))) : u64(value);
      store_register(w, i.out[k], i.register_size, lane, wide);
    }
  }
}

template <class U>
void store_all(Warp& w, const Instruction& i, const Reach& reach) {
  if (kHaveTranspose && sizeof(U) == 4 && i.count == 4) return store_four_words(w, i, reach);
  for (int k = 0; k < i.count; ++k) {
    const U* s = lanes<U>(w, i.in[1 + k]);
    if (i.count == 1 && reach.row) {
      memcpy(reinterpret_cast<void*>(reach.at[0]), s, kLanes * sizeof(U));
    } else {
      for (int l = 0; l < kLanes; ++l) store_to<U>(reach.at[l] + k * sizeof(U), s[l]);
    }
  }
}

template <class U>
void store(Warp& w, const Instruction& i, u32 mask) {
  const Reach reach(w, i, mask, u32(sizeof(U) * i.count));
  if (config.profile) count_access(i, reach);
  u32 allowed = permitted(w, i.range, i, reach, i.flags, Access::kWrite);
  if (allowed == kAllLanes && i.register_size == sizeof(U)) return store_all<U>(w, i, reach);
  for (; allowed; allowed &= allowed - 1) {
    const int lane = __builtin_ctz(allowed);
    for (int k = 0; k < i.count; ++k)
      store_to<U>(reach.at[lane] + k * sizeof(U), U(load_register(w, i.in[1 + k], i.register_size, lane)));
  }
}

// Kernel parameters: of one size and place for all lanes, nothing to check but an index into an array of them.
template <class U>
void load_parameter(Warp& w, const Instruction& i, u32 mask) {
  const u64* base = lanes<u64>(w, i.in[0]);
  each_lane(mask, [&](int lane) {
    const u64 address = base[lane] + u64(i.immediate);
    const bool inside = address - u64(parameter_buffer) < kParameterBytes;
    for (int k = 0; k < i.count; ++k) {
      if (i.out[k] < 0) continue;
      const U value = inside ? load_from<U>(address + k * sizeof(U)) : U(~u64(0));
      const u64 wide = i.flags & kSigned ? u64(s64(std::make_signed_t<U>(value))) : u64(value);
      store_register(w, i.out[k], i.register_size, lane, wide);
    }
  });
}

// .param variables of a call: registers of any size, immediate2 bytes a lane.
void load_slot(Warp& w, const Instruction& i, u32 mask) {
  each_lane(mask, [&](int lane) {
    const u8* slot = w.registers + i.in[0] + lane * i.immediate2 + i.immediate;
    for (int k = 0; k < i.count; ++k) memcpy(w.registers + i.out[k] + lane * i.size, slot + k * i.size, i.size);
  });
}

void store_slot(Warp& w, const Instruction& i, u32 mask) {
  each_lane(mask, [&](int lane) {
    u8* slot = w.registers + i.in[0] + lane * i.immediate2 + i.immediate;
    for (int k = 0; k < i.count; ++k) memcpy(slot + k * i.size, w.registers + i.in[1 + k] + lane * i.size, i.size);
  });
}

Operation load_of(int size, bool parameter) {
  switch (size) {
    case 1:
      return parameter ? load_parameter<u8> : load<u8>;
    case 2:
      return parameter ? load_parameter<u16> : load<u16>;
    case 4:
      return parameter ? load_parameter<u32> : load<u32>;
    case 8:
      return parameter ? load_parameter<u64> : load<u64>;
    default:
      return nullptr;
  }
}

Operation store_of(int size) {
  switch (size) {
    case 1:
      return store<u8>;
    case 2:
      return store<u16>;
    case 4:
      return store<u32>;
    case 8:
      return store<u64>;
    default:
      return nullptr;
  }
}

std::string_view first_element(std::string_view text) {
  if (text[0] != '{') return text;
  return trim(text.substr(1, text.find_first_of(",}") - 1));
}

// "[slot+8]" of a call's variable
bool bind_slot(Binder& b, Instruction& i, std::string_view text) {
  std::string_view inside = text.substr(1, text.rfind(']') - 1);
  const size_t plus = inside.find('+');
  const Symbol* slot = b.find_slot(inside.substr(0, plus));
  if (!slot) return false;
  i.in[0] = slot->offset;
  i.immediate2 = slot->size;
  i.immediate = plus == inside.npos ? 0 : parse_integer(inside.substr(plus + 1));
  return true;
}

void bind_load(Binder& b, Instruction& i, const Opcode& op) {
  b.need(2);
  i.size = u8(op.type_size);
  i.count = u8(b.vector(i.out, b.operands[0], i.size, 4));
  i.register_size = u8(b.register_size(first_element(b.operands[0]), i.size));
  if (op.type()[0] == 's') i.flags |= kSigned;
  const bool parameter = op.has("param");
  if (parameter && bind_slot(b, i, b.operands[1])) {
    i.run = load_slot;
    return;
  }
  b.address(i, b.operands[1], op.space());
  i.run = load_of(i.size, parameter);
  if (!i.run) b.unknown("size of");
}

void bind_store(Binder& b, Instruction& i, const Opcode& op) {
  b.need(2);
  i.size = u8(op.type_size);
  i.count = u8(b.vector(i.in + 1, b.operands[1], i.size, 4));
  i.register_size = u8(b.register_size(first_element(b.operands[1]), i.size));
  if (op.has("param") && bind_slot(b, i, b.operands[0])) {
    i.run = store_slot;
    return;
  }
  b.address(i, b.operands[0], op.space());
  i.run = store_of(i.size);
  if (!i.run) b.unknown("size of");
}

} // namespace

void register_memory(Registry& r) {
  r.add("ld", bind_load);
  r.add("ldu", bind_load);
  r.add("st", bind_store);
}

} // namespace cudasim
