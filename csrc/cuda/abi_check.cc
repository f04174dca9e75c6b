// Compiled (never linked) where a CUDA toolkit is present: driver_api.h against NVIDIA's own <cuda.h>.
// Types are compared after enums became int and handles void*, which is what the calling convention sees.
#include <cstddef>
#include <type_traits>
namespace ours {
#include "cuda/driver_api.h"
}
#include <cuda.h>

template <class T, bool E = std::is_enum<T>::value>
struct Abi {
  typedef T type;
};
template <class T>
struct Abi<T, true> {
  typedef int type;
  static_assert(sizeof(T) == sizeof(int), "enum size");
};
template <class T>
struct Abi<T*, false> {
  typedef std::remove_cv_t<T> U;
  typedef std::conditional_t<
      std::is_class<U>::value || std::is_void<U>::value, void*,
      std::conditional_t<std::is_const<T>::value, const typename Abi<U>::type*, typename Abi<U>::type*>>
      type;
};
template <class R, class... A>
struct Abi<R (*)(A...), false> {
  typedef typename Abi<R>::type (*type)(typename Abi<A>::type...);
};
constexpr bool same(const char* a, const char* b) { return *a == *b && (!*a || same(a + 1, b + 1)); }
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
// cuEventElapsedTime: CUDA 13 maps it to _v2, which drivers before 12.8 lack; the first version stays exported.
#define FUNCTION(member, symbol, params)                                                             \
  namespace ours {                                                                                   \
  typedef CUresult(*type_##symbol) params;                                                           \
  }                                                                                                  \
  static_assert(std::is_same<Abi<ours::type_##symbol>::type, Abi<decltype(&::member)>::type>::value, \
                TEXT(symbol) ": parameters differ from cuda.h");                                     \
  static_assert(same(#symbol, TEXT(member)) || same(#symbol, "cuEventElapsedTime"),                  \
                TEXT(symbol) ": cuda.h uses another version");
CUDA_DRIVER_API(FUNCTION, FUNCTION)
#define VALUE(name) static_assert((int)ours::name == (int)::name, #name)
VALUE(CUDA_SUCCESS);
VALUE(CUDA_ERROR_INVALID_VALUE);
VALUE(CUDA_ERROR_OUT_OF_MEMORY);
VALUE(CUDA_ERROR_NOT_INITIALIZED);
VALUE(CUDA_ERROR_NO_DEVICE);
VALUE(CUDA_ERROR_INVALID_DEVICE);
VALUE(CUDA_ERROR_INVALID_IMAGE);
VALUE(CUDA_ERROR_INVALID_CONTEXT);
VALUE(CUDA_ERROR_NO_BINARY_FOR_GPU);
VALUE(CUDA_ERROR_INVALID_PTX);
VALUE(CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
VALUE(CUDA_ERROR_INVALID_HANDLE);
VALUE(CUDA_ERROR_NOT_FOUND);
VALUE(CUDA_ERROR_NOT_READY);
VALUE(CUDA_ERROR_ILLEGAL_ADDRESS);
VALUE(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
VALUE(CUDA_ERROR_LAUNCH_TIMEOUT);
VALUE(CUDA_ERROR_ASSERT);
VALUE(CUDA_ERROR_MISALIGNED_ADDRESS);
VALUE(CUDA_ERROR_LAUNCH_FAILED);
VALUE(CUDA_ERROR_NOT_SUPPORTED);
VALUE(CUDA_ERROR_UNKNOWN);
VALUE(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
VALUE(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
VALUE(CU_DEVICE_ATTRIBUTE_WARP_SIZE);
VALUE(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
VALUE(CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING);
VALUE(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
VALUE(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
VALUE(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
VALUE(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
VALUE(CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED);
VALUE(CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
VALUE(CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
VALUE(CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES);
VALUE(CU_FUNC_ATTRIBUTE_NUM_REGS);
VALUE(CU_FUNC_ATTRIBUTE_PTX_VERSION);
VALUE(CU_FUNC_ATTRIBUTE_BINARY_VERSION);
VALUE(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
VALUE(CU_JIT_ERROR_LOG_BUFFER);
VALUE(CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
VALUE(CU_MEMPOOL_ATTR_RELEASE_THRESHOLD);
VALUE(CU_STREAM_DEFAULT);
VALUE(CU_STREAM_NON_BLOCKING);
VALUE(CU_EVENT_DEFAULT);
VALUE(CU_EVENT_DISABLE_TIMING);
