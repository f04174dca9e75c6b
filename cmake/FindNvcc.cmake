# Finds nvcc and ptxas: NVCC_EXECUTABLE, PTXAS_EXECUTABLE, NVCC_FLAGS, NVCC_VERSION (13000 is CUDA 13.0), or none of them.
# Looked for are CUDACXX, CUDA_PATH, CUDA_HOME, the PATH, the packages nvidia-cuda-nvcc and its companions of the
# running Python (site-packages/nvidia/cu13), and /usr/local/cuda.
execute_process(COMMAND ${Python_EXECUTABLE} -c "import sysconfig; print(sysconfig.get_path('purelib'))"
                OUTPUT_VARIABLE SITE_PACKAGES OUTPUT_STRIP_TRAILING_WHITESPACE)
file(GLOB PYPI_TOOLKITS ${SITE_PACKAGES}/nvidia/cu*)
if(DEFINED ENV{VIRTUAL_ENV})
  file(GLOB more $ENV{VIRTUAL_ENV}/lib/python*/site-packages/nvidia/cu*)
  list(APPEND PYPI_TOOLKITS ${more})
endif()
if(DEFINED ENV{CUDACXX})
  set(NVCC_EXECUTABLE $ENV{CUDACXX} CACHE FILEPATH "the CUDA compiler")
endif()
find_program(NVCC_EXECUTABLE NAMES nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME PATHS ${PYPI_TOOLKITS} /usr/local/cuda PATH_SUFFIXES bin)
if(NVCC_EXECUTABLE)
  get_filename_component(folder ${NVCC_EXECUTABLE} DIRECTORY)
  find_program(PTXAS_EXECUTABLE NAMES ptxas HINTS ${folder})
  execute_process(COMMAND ${NVCC_EXECUTABLE} --version OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(PTXAS_EXECUTABLE AND text MATCHES "release ([0-9]+)\\.([0-9]+)")
    math(EXPR NVCC_VERSION "${CMAKE_MATCH_1} * 1000 + ${CMAKE_MATCH_2} * 10")
  endif()
endif()
