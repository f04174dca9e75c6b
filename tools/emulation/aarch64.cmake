# Cross-compiles for aarch64 with what tools/emulation/setup put into the folder ENGINE_AARCH64.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ENGINE_AARCH64) # the checks of the compiler read this file, too

set(CMAKE_CXX_COMPILER ${ENGINE_AARCH64}/tools/bin/aarch64-linux-gnu-g++)
set(CMAKE_SYSROOT ${ENGINE_AARCH64}/root)
set(Python_EXECUTABLE ${ENGINE_AARCH64}/venv/bin/python CACHE FILEPATH "runs under qemu, and says where its headers are")
set(Python_INCLUDE_DIR ${ENGINE_AARCH64}/root/usr/include/python3.11 CACHE PATH "")
