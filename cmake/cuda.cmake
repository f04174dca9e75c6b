# The extension engine._cuda: host code, and the device code of each family embedded as data.
include(cmake/EmbedCuda.cmake)
enable_language(ASM)
set(ENGINE_CUBINS 80 90 100 120 CACHE STRING "architectures to embed machine code for; others compile the PTX at load")

file(GLOB CUDA_HOST CONFIGURE_DEPENDS csrc/cuda/*.cc csrc/cuda/kernels/*.cc)
list(FILTER CUDA_HOST EXCLUDE REGEX abi_check)
file(GLOB CUDA_DEVICE CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} csrc/cuda/kernels/*.cu)

pybind11_add_module(_cuda NO_EXTRAS ${CUDA_HOST} cmake/images.S)
target_include_directories(_cuda PRIVATE csrc ${CMAKE_BINARY_DIR})
target_compile_definitions(_cuda PRIVATE ENGINE_CUDA_TOOLKIT=${NVCC_VERSION})
target_compile_options(_cuda PRIVATE ${ENGINE_PLAIN_PATHS})
target_link_libraries(_cuda PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
embed_cuda(_cuda PTX 80 CUBINS ${ENGINE_CUBINS} SOURCES ${CUDA_DEVICE})

# Our declarations of the driver API against NVIDIA's, at compile time. nvcc may be a wrapper: it is asked where they are.
execute_process(COMMAND ${NVCC_EXECUTABLE} ${NVCC_FLAGS} --dryrun -c x.cu ERROR_VARIABLE dryrun OUTPUT_QUIET)
string(REGEX MATCH "INCLUDES=\"-I([^\"]+)\"" _ "${dryrun}")
string(STRIP "${CMAKE_MATCH_1}" include_folder)
find_path(CUDA_H_FOLDER cuda.h HINTS ${include_folder} NO_DEFAULT_PATH)
if(CUDA_H_FOLDER)
  add_library(cuda_abi_check OBJECT csrc/cuda/abi_check.cc)
  target_include_directories(cuda_abi_check PRIVATE csrc ${CUDA_H_FOLDER})
endif()

install(TARGETS _cuda DESTINATION engine)
if(NOT SKBUILD)
  set_target_properties(_cuda PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_SOURCE_DIR}/python/engine)
endif()
