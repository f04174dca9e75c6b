// Dense products: matmul over broadcast batches, linear layers with the ops before and after their products, and
// products of groups of rows.
//
// All of them fill in a Product (cpu/product.h) and run it. Transposed operands are strides: y = x · Wᵀ reads W (n, k)
// as B(p, j) = W(j, p), dW = dyᵀ · x reads dy (tokens, n) as A(i, p) = dy(p, i). What belongs to a product is done
// where its operands or results pass through the caches anyway: bias, GELU, GELU's derivative, and the bias's gradient.
#include "core/raise.h"
#include "core/view.h"
#include "cpu/product.h"

namespace engine::ENGINE_ISA {

// y (*, m, n) = input (*, m, k) · other (*, k, n). Dimensions of * that y repeats (stride 0) are summed over.
template <class T>
static void batched(const Param& y, T* c, const Param& input, const T* a, const Param& other, const T* b,
                    bool accumulate) {
  Product<T> q{};
  q.m = y.size(-2);
  q.n = y.size(-1);
  q.k = input.size(-1);
  q.a = {a, input.stride(-2), input.stride(-1)};
  q.b = {b, other.stride(-2), other.stride(-1)};
  q.c = c;
  q.c_row = y.stride(-2);
  q.accumulate = accumulate;
  // From the innermost dimension: one that goes on where rows (of A and C, with the same B) or k end makes them longer.
  Batch batch, summed;
  bool longer_rows = true, longer_k = true;
  for (int d = y.ndim() - 3; d >= 0; d--) {
    const int64_t size = y.size(d), sa = input.stride(d), sb = other.stride(d), sc = y.stride(d);
    if (size == 1) continue;
    if (sc == 0) {
      if (longer_k && sa == q.k * q.a.column && sb == q.k * q.b.row) {
        q.k *= size;
        continue;
      }
      longer_k = false;
      summed.push(size, sa, sb, 0);
    } else {
      if (longer_rows && sb == 0 && sa == q.m * q.a.row && sc == q.m * q.c_row) {
        q.m *= size;
        continue;
      }
      longer_rows = false;
      batch.push(size, sa, sb, sc);
    }
  }
  q.batch = batch;
  if (summed.count > 0)
    q.summed = summed;
  else
    q.k = 0; // an empty sum
  run_product(q);
}

template <class T>
void matmul(In input, In other, Out y) {
  batched(y, y.data<T>(), input, input.data<T>(), other, other.data<T>(), false);
}

// Rows of y one by one, each the sum of other's rows; a row of y stays in the first-level cache.
template <class T>
void matmul_integers(In input, In other, Out y) {
  const int64_t m = y.size(-2), n = y.size(-1), k = input.size(-1);
  const int64_t *a = input.data<int64_t>(), *b = other.data<int64_t>();
  int64_t* c = y.data<int64_t>();
  const int64_t b_row = other.stride(-2), b_column = other.stride(-1);
  parallel_ranges(y.numel() / (n ? n : 1), row_grain(n * k), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const int64_t* row = a + r % m * input.stride(-2);
      const int64_t* matrix = b;
      for (int64_t d = y.ndim() - 3, rest = r / m; d >= 0; d--) {
        row += rest % y.size(int(d)) * input.stride(int(d));
        matrix += rest % y.size(int(d)) * other.stride(int(d));
        rest /= y.size(int(d));
      }
      uint64_t* to = reinterpret_cast<uint64_t*>(c + r * n);
      for (int64_t j = 0; j < n; j++) to[j] = 0;
      for (int64_t p = 0; p < k; p++) {
        const uint64_t factor = uint64_t(row[p * input.stride(-1)]);
        const int64_t* from = matrix + p * b_row;
        if (b_column == 1)
          for (int64_t j = 0; j < n; j++) to[j] += factor * uint64_t(from[j]);
        else
          for (int64_t j = 0; j < n; j++) to[j] += factor * uint64_t(from[j * b_column]);
      }
    }
  });
}

template <class T>
void matmul_into(InOut y, In input, In other, bool accumulate) {
  if (y.size(-1) > 1 && y.stride(-1) != 1)
    raise_value("matmul_into", "y", "rows without gaps", Text("column stride %lld", (long long)y.stride(-1)));
  batched(y, y.data<T>(), input, input.data<T>(), other, other.data<T>(), accumulate);
}

// y = input · weightᵀ [+ bias]
template <class T>
static Product<T> forward(In input, In weight, Opt bias, T* y) {
  const int64_t m = input.rows(), k = weight.size(1), n = weight.size(0);
  Product<T> q{};
  q.m = m;
  q.n = n;
  q.k = k;
  q.a = {input.data<T>(), k, 1};
  q.b = {weight.data<T>(), weight.stride(1), weight.stride(0)};
  q.c = y;
  q.c_row = n;
  q.bias = bias.data<T>();
  return q;
}

template <class T>
void linear(In input, In weight, Opt bias, Out y) {
  run_product(forward(input, weight, bias, y.data<T>()));
}

template <class T>
void linear_gelu(In input, In weight, Opt bias, bool tanh, bool keep, Out y, Out z) {
  Product<T> q = forward(input, weight, bias, keep ? z.data<T>() : y.data<T>());
  q.activated = y.data<T>();
  q.gelu = tanh ? Gelu::tanh : Gelu::erf;
  run_product(q);
}

// dinput = dy · weight
template <class T>
static Product<T> backward(const T* dy, In weight, Out dinput) {
  const int64_t n = weight.size(0), k = weight.size(1);
  Product<T> q{};
  q.m = dinput.rows();
  q.n = k;
  q.k = n;
  q.a = {dy, n, 1};
  q.b = {weight.data<T>(), weight.stride(0), weight.stride(1)};
  q.c = dinput.data<T>();
  q.c_row = k;
  return q;
}

template <class T>
void linear_backward_input(In dy, In weight, Out dinput) {
  run_product(backward(dy.data<T>(), weight, dinput));
}

template <class T>
void linear_gelu_backward(In dy, In z, In weight, bool tanh, Out dinput, Out dz) {
  Product<T> q = backward<T>(dz.data<T>(), weight, dinput);
  q.dactivated = dy.data<T>();
  q.z = z.data<T>();
  q.gelu = tanh ? Gelu::tanh : Gelu::erf;
  run_product(q);
}

// dweight = dyᵀ · input, dbias = the sum of dy's rows
template <class T>
void linear_backward_weight(In dy, In input, Out dweight, Out dbias) {
  const int64_t n = dy.size(-1), k = input.size(-1);
  Product<T> q{};
  q.m = n;
  q.n = k;
  q.k = dy.rows();
  q.a = {dy.data<T>(), 1, n};
  q.b = {input.data<T>(), k, 1};
  q.c = dweight.data<T>();
  q.c_row = k;
  q.row_sums = dbias.data<T>();
  run_product(q);
}

// y's rows of group g = mat_a's · mat_b[g]
template <class T>
void grouped_mm(In mat_a, In mat_b, In offs, Out y) {
  const int64_t t = mat_a.size(0), k = mat_a.size(1), groups = offs.size(0), n = y.size(1);
  const int32_t* ends = offs.data<int32_t>();
  check_ends("grouped_mm", "offs", ends, groups, t);
  run_products<T>(groups, [&](int64_t g) {
    const int64_t begin = g ? ends[g - 1] : 0;
    Product<T> q{};
    q.m = ends[g] - begin;
    q.n = n;
    q.k = k;
    q.a = {mat_a.data<T>() + begin * k, k, 1};
    q.b = {mat_b.data<T>() + g * mat_b.stride(0), mat_b.stride(1), mat_b.stride(2)};
    q.c = y.data<T>() + begin * n;
    q.c_row = n;
    return q;
  });
  T* behind = y.data<T>() + (groups ? ends[groups - 1] : 0) * n;
  parallel_ranges(y.data<T>() + t * n - behind, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) behind[i] = 0;
  });
}

// dmat_b[g] = (mat_a's rows of group g)ᵀ · dy's
template <class T>
void grouped_mm_backward_mat_b(In mat_a, In dy, In offs, Out dmat_b) {
  const int64_t k = mat_a.size(1), n = dy.size(1);
  const int32_t* ends = offs.data<int32_t>();
  check_ends("grouped_mm", "offs", ends, offs.size(0), mat_a.size(0));
  run_products<T>(offs.size(0), [&](int64_t g) {
    const int64_t begin = g ? ends[g - 1] : 0;
    Product<T> q{};
    q.m = k;
    q.n = n;
    q.k = ends[g] - begin;
    q.a = {mat_a.data<T>() + begin * k, 1, k};
    q.b = {dy.data<T>() + begin * n, n, 1};
    q.c = dmat_b.data<T>() + g * k * n;
    q.c_row = n;
    return q;
  });
}

} // namespace engine::ENGINE_ISA

#define FAMILY gemm
#include "cpu/instances.h"
