// One warp each: what ldmatrix and mma.sync put into which register of which lane; and small kernels for the checker.
#include <cstdint>
#define KERNEL extern "C" __global__ void

// in: 32 rows of 8 16-bit numbers; out: register r of lane l at out[32 * r + l]
__device__ uint32_t row_address(uint16_t* rows, const uint16_t* in) {
  for (int k = 0; k < 8; ++k) rows[threadIdx.x * 8 + k] = in[threadIdx.x * 8 + k];
  __syncthreads();
  return (uint32_t)__cvta_generic_to_shared(rows + threadIdx.x * 8);
}

#define LDMATRIX_X1(name, form)                                                             \
  KERNEL name(const uint16_t* in, uint32_t* out) {                                          \
    __shared__ __align__(16) uint16_t rows[256];                                            \
    uint32_t r, s = row_address(rows, in);                                                  \
    asm volatile("ldmatrix.sync.aligned.m8n8." form ".b16 {%0}, [%1];" : "=r"(r) : "r"(s)); \
    out[threadIdx.x] = r;                                                                   \
  }
#define LDMATRIX_X2(name, form)                                                                               \
  KERNEL name(const uint16_t* in, uint32_t* out) {                                                            \
    __shared__ __align__(16) uint16_t rows[256];                                                              \
    uint32_t r[2], s = row_address(rows, in);                                                                 \
    asm volatile("ldmatrix.sync.aligned.m8n8." form ".b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(s)); \
    for (int k = 0; k < 2; ++k) out[32 * k + threadIdx.x] = r[k];                                             \
  }
#define LDMATRIX_X4(name, form)                                                 \
  KERNEL name(const uint16_t* in, uint32_t* out) {                              \
    __shared__ __align__(16) uint16_t rows[256];                                \
    uint32_t r[4], s = row_address(rows, in);                                   \
    asm volatile("ldmatrix.sync.aligned.m8n8." form ".b16 {%0,%1,%2,%3}, [%4];" \
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])               \
                 : "r"(s));                                                     \
    for (int k = 0; k < 4; ++k) out[32 * k + threadIdx.x] = r[k];               \
  }
LDMATRIX_X1(ldmatrix_x1, "x1.shared")
LDMATRIX_X1(ldmatrix_x1_trans, "x1.trans.shared")
LDMATRIX_X2(ldmatrix_x2, "x2.shared")
LDMATRIX_X2(ldmatrix_x2_trans, "x2.trans.shared")
LDMATRIX_X4(ldmatrix_x4, "x4.shared")
LDMATRIX_X4(ldmatrix_x4_trans, "x4.trans.shared")

// a, b, c, d: register r of lane l at [32 * r + l]
#define MMA_4_2(name, form)                                                                                         \
  KERNEL name(const uint32_t* a, const uint32_t* b, const float* c, float* d) {                                     \
    int l = threadIdx.x;                                                                                            \
    float r[4];                                                                                                     \
    asm volatile("mma.sync.aligned." form " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"              \
                 : "=f"(r[0]), "=f"(r[1]), "=f"(r[2]), "=f"(r[3])                                                   \
                 : "r"(a[l]), "r"(a[32 + l]), "r"(a[64 + l]), "r"(a[96 + l]), "r"(b[l]), "r"(b[32 + l]), "f"(c[l]), \
                   "f"(c[32 + l]), "f"(c[64 + l]), "f"(c[96 + l]));                                                 \
    for (int k = 0; k < 4; ++k) d[32 * k + l] = r[k];                                                               \
  }
#define MMA_2_1(name, form)                                                                                          \
  KERNEL name(const uint32_t* a, const uint32_t* b, const float* c, float* d) {                                      \
    int l = threadIdx.x;                                                                                             \
    float r[4];                                                                                                      \
    asm volatile("mma.sync.aligned." form " {%0,%1,%2,%3}, {%4,%5}, {%6}, {%7,%8,%9,%10};"                           \
                 : "=f"(r[0]), "=f"(r[1]), "=f"(r[2]), "=f"(r[3])                                                    \
                 : "r"(a[l]), "r"(a[32 + l]), "r"(b[l]), "f"(c[l]), "f"(c[32 + l]), "f"(c[64 + l]), "f"(c[96 + l])); \
    for (int k = 0; k < 4; ++k) d[32 * k + l] = r[k];                                                                \
  }
MMA_4_2(mma_bf16_m16n8k16, "m16n8k16.row.col.f32.bf16.bf16.f32")
MMA_4_2(mma_f16_m16n8k16, "m16n8k16.row.col.f32.f16.f16.f32")
MMA_4_2(mma_tf32_m16n8k8, "m16n8k8.row.col.f32.tf32.tf32.f32")
MMA_2_1(mma_bf16_m16n8k8, "m16n8k8.row.col.f32.bf16.bf16.f32")
MMA_2_1(mma_f16_m16n8k8, "m16n8k8.row.col.f32.f16.f16.f32")
MMA_2_1(mma_tf32_m16n8k4, "m16n8k4.row.col.f32.tf32.tf32.f32")

KERNEL strided_shared(float* out, int stride) {
  __shared__ float s[33 * 32];
  s[threadIdx.x * stride] = 1;
  __syncwarp();
  out[threadIdx.x] = s[threadIdx.x * stride];
}

#define ELEMENTS(bits)                               \
  KERNEL in_place_##bits(uint##bits##_t* x, int n) { \
    int i = blockIdx.x * blockDim.x + threadIdx.x;   \
    if (i < n) x[i] += 1;                            \
  }                                                  \
  KERNEL from_neighbour_##bits(uint##bits##_t* x) { x[threadIdx.x] = x[threadIdx.x + 1]; }
ELEMENTS(8)
ELEMENTS(16)
ELEMENTS(32)
ELEMENTS(64)

// n floats by cp.async of 16 bytes each, zeros after them
KERNEL copy_ragged(const float* in, float* out, int n) {
  __shared__ __align__(16) float s[128];
  int first = threadIdx.x * 4, left = n - first, bytes = left < 0 ? 0 : left < 4 ? left * 4 : 16;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"((uint32_t)__cvta_generic_to_shared(s + first)),
               "l"(in + (left > 0 ? first : 0)), "r"(bytes));
  asm volatile("cp.async.wait_all;");
  for (int k = 0; k < 4; ++k) out[first + k] = s[first + k];
}
