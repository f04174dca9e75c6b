// Dense products: matmul over broadcast batches, linear layers with the ops before and after their products, and
// products of groups of rows.
//
// All of them fill in a GemmProduct (device/gemm_product.cuh) and run it. Here it is decided which kernel does: by how
// operands are stored and multiplied, by the direction in which they have no gaps, and by the size of its tile.
#include <algorithm>
#include <memory>
#include <type_traits>

#include "cuda/axes.h"
#include "cuda/device/gemm_product.cuh"
#include "cuda/launch.h"
#include "cuda/precision.h"

namespace engine::cuda {
namespace {

enum Gelu : int32_t { kNoGelu, kErf, kTanh };
Gelu gelu_of(bool tanh) { return tanh ? kTanh : kErf; }

constexpr int64_t kDepthBytes = 64; // of k, that a step of a kernel takes
// k is cut into parts so that about this many tiles of 128 × 128 are computed, each of at least so many steps. A matter
// of shapes only: results have the same bits on every device.
constexpr int64_t kWantedTiles = 128, kPartSteps = 16;
constexpr int64_t kMostBlocks = 0x7fffffff;

int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
GemmProduct product(int64_t m, int64_t n, int64_t k, GemmOperand a, GemmOperand b, T* c, int64_t c_row) {
  GemmProduct q{};
  q.m = m, q.n = n, q.k = k;
  q.a = a, q.b = b;
  q.c = c, q.c_row = c_row;
  q.batch.count = q.summed.count = 1;
  return q;
}
GemmOperand operand(const void* data, int64_t outer, int64_t depth) { return {data, outer, depth, 0, 0}; }

void push(GemmBatch& batch, int64_t size, int64_t a, int64_t b, int64_t c) {
  const int64_t d = batch.ndim++;
  batch.count *= size;
  batch.shape[d] = size, batch.a[d] = a, batch.b[d] = b, batch.c[d] = c;
}

// Whether every address of which these are a part is a multiple of `bytes`.
template <class T>
bool aligned(const GemmProduct& q, int64_t bytes, const void* data, int64_t row, const int64_t (GemmBatch::*step)[6]) {
  int64_t parts = int64_t(reinterpret_cast<intptr_t>(data)) | row * int64_t(sizeof(T));
  for (const GemmBatch* batch : {&q.batch, &q.summed})
    for (int64_t d = 0; d < batch->ndim; d++) parts |= (batch->*step)[d] * int64_t(sizeof(T));
  return parts % bytes == 0;
}

// Decides in which direction an operand is copied: across k (true) or along it, and how many bytes at a time.
enum class Direction { any, along, across };
template <class T>
bool orient(const GemmProduct& q, GemmOperand& o, int64_t size, const int64_t (GemmBatch::*step)[6], Direction must) {
  auto width = [&](bool outer) {
    const bool gaps = outer ? o.outer != 1 && size > 1 : o.depth != 1 && q.k > 1;
    const int64_t row = outer ? (q.k > 1 ? o.depth : 0) : (size > 1 ? o.outer : 0);
    if (gaps) return 0;
    for (int bytes : {16, 4})
      if (aligned<T>(q, bytes, o.data, row, step)) return bytes;
    return int(sizeof(T));
  };
  const int along = width(false), across = width(true);
  const bool outer = must == Direction::any ? across > along : must == Direction::across;
  o.width = std::max(outer ? across : along, int(sizeof(T)));
  // What is beyond a single row is not read, but its address must be aligned like any other.
  if (outer ? q.k == 1 : size == 1) (outer ? o.depth : o.outer) = 0;
  return outer;
}

// The kernels of one way to multiply, by the orientation of A and B and by their tiles.
struct Kernels {
  Kernel all[3][2];
  Kernels(const char* image, const std::string& math)
      : all{{{image, name(math, "nn", 64)}, {image, name(math, "nn", 128)}},
            {{image, name(math, "nt", 64)}, {image, name(math, "nt", 128)}},
            {{image, name(math, "tn", 64)}, {image, name(math, "tn", 128)}}} {}
  static std::string name(const std::string& math, const char* layout, int span) {
    return "gemm_" + math + "_" + layout + "_" + std::to_string(span);
  }
};
template <class T>
const Kernels& kernels() {
  static const Kernels bf16("gemm_bf16", "bf16"), f32("gemm_fp32", "f32"), tf32("gemm_tf32", "tf32"),
      mixed("gemm_mixed", "mixed");
  if (std::is_same_v<T, BFloat16>) return bf16;
  switch (matmul_precision()) {
    case Precision::high:
      return tf32;
    case Precision::medium:
      return mixed;
    default:
      return f32;
  }
}

// How many rows of tiles there are: of groups of rows, at most.
int64_t tile_rows(const GemmProduct& q, int64_t span) {
  return q.grouped == GemmGrouped::rows ? q.m / span + q.groups + 1 : div_up(q.m, span);
}

// Whether tiles of 128 × 128 take less time than tiles of 64 × 64: what the busiest multiprocessor computes, at the
// rates that the two reach: equal by FFMA; tensor cores are kept waiting by small tiles for about twice as long, by
// what is read and issued for each product (docs/cuda.md, "Performance model").
bool large_tiles(const GemmProduct& q, int64_t repeats, bool fma) {
  const int64_t processors = current_device().multiprocessors;
  const int64_t large = div_up(tile_rows(q, 128) * div_up(q.n, 128) * repeats, processors) * 4;
  const int64_t small = div_up(tile_rows(q, 64) * div_up(q.n, 64) * repeats, processors);
  return large <= (fma ? small : small * 2);
}

template <class T>
void run(GemmProduct& q) {
  if (q.m == 0 || q.batch.count == 0 || (q.n == 0 && !q.row_sums)) return;
  // Copies go across the dimension that groups begin anywhere in: along it they would not be aligned.
  const bool across = q.row_sums || q.grouped == GemmGrouped::depth;
  const Direction must = across                           ? Direction::across
                         : q.grouped == GemmGrouped::rows ? Direction::along
                                                          : Direction::any;
  const bool a_outer = orient<T>(q, q.a, q.m, &GemmBatch::a, must);
  // There are no kernels for A across and B along k: B is then copied element by element.
  const bool b_outer = orient<T>(q, q.b, q.n, &GemmBatch::b, a_outer ? Direction::across : Direction::any);
  const int64_t four = 4 * sizeof(T);
  q.wide = aligned<T>(q, four, q.c, q.c_row, &GemmBatch::c) && aligned<T>(q, four, q.activated, 0, &GemmBatch::c) &&
           aligned<T>(q, four, q.bias, 0, &GemmBatch::c);

  const int64_t depth = q.grouped == GemmGrouped::depth ? div_up(q.k, q.groups) : q.k; // of a group, on average
  const int64_t steps = div_up(depth * int64_t(sizeof(T)), kDepthBytes) * q.summed.count;
  const int64_t columns = std::max<int64_t>(1, q.n); // no columns: A's rows may still be wanted
  const int64_t tiles = div_up(q.m, 128) * div_up(columns, 128) * q.batch.count;
  q.parts = int32_t(std::max<int64_t>(1, std::min(kWantedTiles / tiles, steps / kPartSteps)));
  std::unique_ptr<Scratch> partial;
  if (q.parts > 1) {
    const int64_t sums = q.batch.count * q.m * q.n + (q.row_sums ? q.m : 0);
    partial = std::make_unique<Scratch>(size_t(q.parts * sums) * sizeof(float));
    q.partial = partial->data<float>();
  }

  const bool fma = std::is_same_v<T, float> && matmul_precision() == Precision::highest;
  const bool large = q.a.width == 16 && q.b.width == 16 && large_tiles(q, q.batch.count * q.parts, fma);
  const int64_t span = large ? 128 : 64;
  q.tiles_m = int32_t(tile_rows(q, span)), q.tiles_n = int32_t(div_up(columns, span));
  const int64_t in_one = int64_t(q.tiles_m) * q.tiles_n, at_once = std::max<int64_t>(1, kMostBlocks / in_one);
  const Kernel& kernel = kernels<T>().all[a_outer ? 2 : !b_outer][large];
  for (q.first = 0; q.first < q.batch.count; q.first += at_once) {
    const int64_t count = std::min(at_once, q.batch.count - q.first);
    launch(kernel, {unsigned(count * in_one), unsigned(q.parts)}, {large && fma ? 256u : 128u},
           (large ? 49152 : 32768) + unsigned(sizeof(GemmPlace)), q);
  }
  if (q.parts > 1) {
    static const Kernel combine("gemm_parts", named<T>("gemm_combine"));
    launch(combine, {busy_blocks(q.batch.count * q.m * div_up(columns, 4), 256), q.row_sums ? 2u : 1u}, {256}, 0, q);
  }
}

// y (*, m, n) = input (*, m, k) · other (*, k, n). Dimensions of * that y repeats (stride 0) are summed over.
template <class T>
void batched(const Param& y, T* c, const Param& input, const T* a, const Param& other, const T* b, bool accumulate) {
  GemmProduct q = product<T>(y.size(-2), y.size(-1), input.size(-1), operand(a, input.stride(-2), input.stride(-1)),
                             operand(b, other.stride(-1), other.stride(-2)), c, y.stride(-2));
  q.accumulate = accumulate;
  // From the innermost dimension: one that goes on where rows (of A and C, with the same B) or k end makes them longer.
  bool longer_rows = true, longer_k = true;
  for (int d = y.ndim() - 3; d >= 0; d--) {
    const int64_t size = y.size(d), sa = input.stride(d), sb = other.stride(d), sc = y.stride(d);
    if (size == 1) continue;
    if (sc == 0) {
      if (longer_k && sa == q.k * q.a.depth && sb == q.k * q.b.depth) {
        q.k *= size;
        continue;
      }
      longer_k = false;
      push(q.summed, size, sa, sb, 0);
    } else {
      if (longer_rows && sb == 0 && sa == q.m * q.a.outer && sc == q.m * q.c_row) {
        q.m *= size;
        continue;
      }
      longer_rows = false;
      push(q.batch, size, sa, sb, sc);
    }
  }
  // The kernels' innermost dimension comes last.
  for (GemmBatch* batch : {&q.batch, &q.summed})
    for (int64_t* x : {batch->shape, batch->a, batch->b, batch->c}) std::reverse(x, x + batch->ndim);
  if (q.summed.count == 0) q.k = 0, q.summed.count = 1; // an empty sum
  run<T>(q);
}

// y = input · weightᵀ [+ bias]
template <class T>
GemmProduct forward(In input, In weight, Opt bias, T* y) {
  const int64_t k = weight.size(1), n = weight.size(0);
  GemmProduct q = product<T>(input.rows(), n, k, operand(input.data<T>(), k, 1),
                             operand(weight.data<T>(), weight.stride(0), weight.stride(1)), y, n);
  q.bias = bias.data<T>();
  return q;
}

// dinput = dy · weight
template <class T>
GemmProduct backward(const T* dy, In weight, Out dinput) {
  const int64_t n = weight.size(0), k = weight.size(1);
  return product<T>(dinput.rows(), k, n, operand(dy, n, 1),
                    operand(weight.data<T>(), weight.stride(1), weight.stride(0)), dinput.data<T>(), k);
}

// The dimension of the product whose groups end at `offs`.
void group(GemmProduct& q, GemmGrouped grouped, In offs) {
  static const int site = fault_site("grouped_mm", "offs", Wrong::ends);
  q.grouped = grouped;
  q.groups = int32_t(offs.numel()), q.ends = offs.data<int32_t>();
  q.faults = faults(), q.site = site;
}

} // namespace

template <class T>
void matmul(In input, In other, Out y) {
  batched(y, y.data<T>(), input, input.data<T>(), other, other.data<T>(), false);
}

template <class T>
void matmul_integers(In input, In other, Out y) {
  static const Kernel kernel("gemm_integers", "matmul_integers");
  View a = *y.v, b = *y.v; // seen by the elements of y
  for (int d = 0; d < y.ndim(); d++) {
    a.strides[d] = d == y.ndim() - 1 ? 0 : input.stride(d);
    b.strides[d] = d == y.ndim() - 2 ? 0 : other.stride(d);
  }
  const int64_t n = y.numel();
  launch(kernel, {blocks(n, 256)}, {256}, 0, axes_of<2>({&a, &b}), input.data<int64_t>(), input.stride(-1),
         other.data<int64_t>(), other.stride(-2), input.size(-1), n, y.data<int64_t>());
}

template <class T>
void matmul_into(InOut y, In input, In other, bool accumulate) {
  if (y.size(-1) > 1 && y.stride(-1) != 1)
    throw Error(ErrorKind::value, "matmul_into", "y", "rows without gaps",
                "column stride " + std::to_string(y.stride(-1)));
  batched(y, y.data<T>(), input, input.data<T>(), other, other.data<T>(), accumulate);
}

template <class T>
void linear(In input, In weight, Opt bias, Out y) {
  GemmProduct q = forward(input, weight, bias, y.data<T>());
  run<T>(q);
}

template <class T>
void linear_gelu(In input, In weight, Opt bias, bool tanh, bool keep, Out y, Out z) {
  GemmProduct q = forward<T>(input, weight, bias, keep ? z.data<T>() : nullptr);
  q.activated = y.data<T>();
  q.gelu = gelu_of(tanh);
  run<T>(q);
}

template <class T>
void linear_backward_input(In dy, In weight, Out dinput) {
  GemmProduct q = backward(dy.data<T>(), weight, dinput);
  run<T>(q);
}

template <class T>
void linear_gelu_backward(In dy, In z, In weight, bool tanh, Out dinput, Out dz) {
  static const Kernel kernel("gemm_parts", named<T>("gemm_gelu_backward"));
  launch(kernel, {busy_blocks(dy.numel() * sizeof(T), 16 * 256)}, {256}, 0, dy.data<T>(), z.data<T>(), dz.data<T>(),
         dy.numel(), int(gelu_of(tanh)));
  GemmProduct q = backward<T>(dz.data<T>(), weight, dinput);
  run<T>(q);
}

// dweight = dyᵀ · input, dbias = the sum of dy's rows
template <class T>
void linear_backward_weight(In dy, In input, Out dweight, Out dbias) {
  const int64_t n = dy.size(-1), k = input.size(-1);
  GemmProduct q =
      product<T>(n, k, dy.rows(), operand(dy.data<T>(), 1, n), operand(input.data<T>(), 1, k), dweight.data<T>(), k);
  q.row_sums = dbias.data<T>();
  run<T>(q);
}

// y's rows of group g = mat_a's · mat_b[g]
template <class T>
void grouped_mm(In mat_a, In mat_b, In offs, Out y) {
  const int64_t k = mat_a.size(1), n = y.size(1);
  GemmProduct q = product<T>(mat_a.size(0), n, k, operand(mat_a.data<T>(), k, 1),
                             operand(mat_b.data<T>(), mat_b.stride(2), mat_b.stride(1)), y.data<T>(), n);
  group(q, GemmGrouped::rows, offs);
  push(q.batch, std::max(q.groups, 1), 0, mat_b.stride(0), 0);
  q.batch.count = 1;
  run<T>(q);
}

// dmat_b[g] = (mat_a's rows of group g)ᵀ · dy's
template <class T>
void grouped_mm_backward_mat_b(In mat_a, In dy, In offs, Out dmat_b) {
  const int64_t k = mat_a.size(1), n = dy.size(1);
  GemmProduct q =
      product<T>(k, n, mat_a.size(0), operand(mat_a.data<T>(), 1, k), operand(dy.data<T>(), 1, n), dmat_b.data<T>(), n);
  group(q, GemmGrouped::depth, offs);
  push(q.batch, q.groups, 0, 0, k * n);
  run<T>(q);
}

} // namespace engine::cuda

#define FAMILY gemm
#include "cuda/instances.h"
