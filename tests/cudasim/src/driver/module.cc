// Modules, functions, launches.
#include "../module.h"

#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "../execute.h"
#include "../report.h"
#include "limits.h"
#include "state.h"

using namespace cudasim;

namespace {

void write_log(unsigned count, const CUjit_option* options, void** values, const std::string& text) {
  char* buffer = nullptr;
  size_t size = 0;
  for (unsigned k = 0; k < count; ++k) {
    if (options[k] == CU_JIT_ERROR_LOG_BUFFER) buffer = static_cast<char*>(values[k]);
    if (options[k] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) size = size_t(values[k]);
  }
  if (buffer && size) snprintf(buffer, size, "%s", text.c_str());
}

bool is_machine_code(const void* image) {
  constexpr u32 kFatbinMagic = 0xba55ed50u;
  u32 magic;
  memcpy(&magic, image, sizeof magic);
  return magic == kFatbinMagic || !memcmp(image,
                                          "\x7f"
                                          "ELF",
                                          4);
}

Kernel* find_kernel(CUfunction function) {
  Kernel* kernel = reinterpret_cast<Kernel*>(function);
  return driver.kernels.count(kernel) ? kernel : nullptr;
}

} // namespace

CUresult cuModuleLoadDataEx(CUmodule* out, const void* image, unsigned count, CUjit_option* options, void** values) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(out && image, CUDA_ERROR_INVALID_VALUE);
  auto refuse = [&](CUresult code, const std::string& why) {
    write_log(count, options, values, why);
    return code;
  };
  if (is_machine_code(image)) return refuse(CUDA_ERROR_NO_BINARY_FOR_GPU, "cudasim executes PTX only");
  try {
    auto loaded = std::make_unique<CUmod_st>();
    loaded->module = read_module(static_cast<const char*>(image), config.capability);
    if (loaded->module->ptx_version > newest_ptx())
      return refuse(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "this PTX version is newer than the driver");
    for (const auto& [name, kernel] : loaded->module->kernels) driver.kernels.insert(kernel.get());
    *out = loaded.release();
    driver.modules.insert(*out);
    return CUDA_SUCCESS;
  } catch (const TargetError& e) {
    return refuse(CUDA_ERROR_NO_BINARY_FOR_GPU, e.what);
  } catch (const std::exception& e) { return refuse(CUDA_ERROR_INVALID_PTX, e.what()); }
}

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  return cuModuleLoadDataEx(module, image, 0, nullptr, nullptr);
}

CUresult cuModuleUnload(CUmodule module) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(driver.modules.count(module), CUDA_ERROR_INVALID_HANDLE);
  const Status status = drain();
  for (const auto& [name, kernel] : module->module->kernels) driver.kernels.erase(kernel.get());
  driver.modules.erase(module);
  delete module;
  return result(status);
}

// Here the kernel's body is read: text that is no PTX shows now, where a real driver refuses the module.
CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(driver.modules.count(module), CUDA_ERROR_INVALID_HANDLE);
  const auto it = module->module->kernels.find(name);
  CUDASIM_REQUIRE(it != module->module->kernels.end(), CUDA_ERROR_NOT_FOUND);
  try {
    read_kernel(*it->second);
  } catch (const std::exception& e) {
    report_host("invalid-ptx", "%s: %s", name, e.what());
    return CUDA_ERROR_INVALID_PTX;
  }
  *function = reinterpret_cast<CUfunction>(it->second.get());
  return CUDA_SUCCESS;
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr* pointer, size_t* bytes, CUmodule module, const char* name) {
  CUDASIM_ENTER(Context);
  CUDASIM_REQUIRE(driver.modules.count(module), CUDA_ERROR_INVALID_HANDLE);
  const auto it = module->module->globals.find(name);
  CUDASIM_REQUIRE(it != module->module->globals.end(), CUDA_ERROR_NOT_FOUND);
  if (pointer) *pointer = CUdeviceptr(it->second.address);
  if (bytes) *bytes = it->second.size;
  return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction function) {
  CUDASIM_ENTER(Context);
  const Kernel* kernel = find_kernel(function);
  CUDASIM_REQUIRE(kernel, CUDA_ERROR_INVALID_HANDLE);
  switch (int(attribute)) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *value = int(kernel->max_threads);
      break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      *value = int(kernel->shared_bytes);
      break;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
      *value = int(kernel->local_bytes);
      break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
      *value = int(kernel->module->target);
      break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      *value = int(kernel->max_dynamic_shared);
      break;
    default:
      return CUDA_ERROR_NOT_SUPPORTED; // registers: ptxas decides
  }
  return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  CUDASIM_ENTER(Context);
  Kernel* kernel = find_kernel(function);
  CUDASIM_REQUIRE(kernel, CUDA_ERROR_INVALID_HANDLE);
  CUDASIM_REQUIRE(attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, CUDA_ERROR_NOT_SUPPORTED);
  CUDASIM_REQUIRE(value >= 0 && value + int(kernel->shared_bytes) <= shared_limit(), CUDA_ERROR_INVALID_VALUE);
  kernel->max_dynamic_shared = u32(value);
  return CUDA_SUCCESS;
}

CUresult cuFuncGetParamInfo(CUfunction function, size_t index, size_t* offset, size_t* size) {
  CUDASIM_ENTER(Context);
  const Kernel* kernel = find_kernel(function);
  CUDASIM_REQUIRE(kernel, CUDA_ERROR_INVALID_HANDLE);
  CUDASIM_REQUIRE(index < kernel->parameters.size(), CUDA_ERROR_INVALID_VALUE);
  if (offset) *offset = kernel->parameters[index].offset;
  if (size) *size = kernel->parameters[index].size;
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                        unsigned bz, unsigned dynamic_shared, CUstream stream, void** arguments, void** extra) {
  CUDASIM_ENTER(Context);
  Kernel* kernel = find_kernel(function);
  CUDASIM_REQUIRE(kernel && is_stream(stream), CUDA_ERROR_INVALID_HANDLE);
  CUDASIM_REQUIRE(!extra, CUDA_ERROR_NOT_SUPPORTED);
  const char* name = kernel->name.c_str();
  const u64 count = u64(bx) * by * bz;
  const bool grid_fits = gx && gy && gz && gx <= unsigned(kMaxGridX) && gy <= kMaxGridYZ && gz <= kMaxGridYZ;
  if (!grid_fits || !count || count > kMaxThreads || bz > kMaxBlockZ) {
    report_host("launch", "%s: grid %u,%u,%u block %u,%u,%u", name, gx, gy, gz, bx, by, bz);
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!arguments && !kernel->parameters.empty()) {
    report_host("launch", "%s: no arguments, %zu expected", name, kernel->parameters.size());
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (count > kernel->max_threads) {
    report_host("launch", "%s: %u threads a block, __launch_bounds__ says %u", name, u32(count), kernel->max_threads);
    return CUDA_ERROR_INVALID_VALUE;
  }
  const bool shared_fits = dynamic_shared + kernel->shared_bytes <= u32(shared_limit());
  if (dynamic_shared > kernel->max_dynamic_shared || !shared_fits) {
    report_host("launch", "%s: %u bytes of dynamic and %u of static shared memory; allowed dynamic %u, device %d", name,
                dynamic_shared, kernel->shared_bytes, kernel->max_dynamic_shared, shared_limit());
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!kernel->unsupported.empty()) return CUDA_ERROR_NOT_SUPPORTED;
  std::vector<u8> parameters(kernel->parameter_bytes + 16); // copied now, as the driver does
  for (size_t k = 0; k < kernel->parameters.size(); ++k)
    memcpy(parameters.data() + kernel->parameters[k].offset, arguments[k], kernel->parameters[k].size);
  return result(
      enqueue(stream, [=] { return launch(*kernel, {gx, gy, gz}, {bx, by, bz}, dynamic_shared, parameters); }));
}
