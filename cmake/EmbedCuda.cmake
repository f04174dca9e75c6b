# embed_cuda(<target> PTX <cc> CUBINS <cc>... SOURCES <file.cu>...)
# Compiles each .cu file (device code only) to PTX text, that to machine code for each architecture, and puts all of it
# into the target's read-only data by .incbin. The target sees images.inc: one IMAGE(<family>, ptx|cubin, <cc>) a file.
# nvcc and ptxas are run as plain commands, so that they run in parallel; enable_language(CUDA) would test for a runtime
# library that nothing here needs.
# Packs a file for embedding: text and tables of machine code shrink to a fifth.
macro(pack file)
  add_custom_command(OUTPUT ${file}.z COMMAND ${Python_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/tools/pack.py ${file} ${file}.z
                     DEPENDS ${file} ${CMAKE_CURRENT_SOURCE_DIR}/tools/pack.py COMMENT "pack ${file}")
  list(APPEND files ${file}.z)
endmacro()

function(embed_cuda target)
  cmake_parse_arguments(A "" "PTX" "CUBINS;SOURCES" ${ARGN})
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/csrc/cuda/device/*.*h)
  set(dir ${CMAKE_CURRENT_BINARY_DIR}/cuda_images)
  file(MAKE_DIRECTORY ${dir})
  set(strip ${CMAKE_CURRENT_SOURCE_DIR}/cmake/StripPaths.cmake)
  set(images)
  set(files)
  foreach(source IN LISTS A_SOURCES)
    get_filename_component(name ${source} NAME_WE)
    set(ptx ${dir}/${name}_${A_PTX}.ptx)
    set(plain ${dir}/${name}_plain.ptx)
    # -lineinfo: reports of the simulator name source lines. Relative names keep machine paths out of the text.
    add_custom_command(OUTPUT ${ptx} ${plain}
      COMMAND ${NVCC_EXECUTABLE} ${NVCC_FLAGS} -std=c++17 -O3 -ptx -lineinfo -arch=compute_${A_PTX} --Werror all-warnings -Icsrc -o ${ptx} ${source}
      COMMAND ${CMAKE_COMMAND} -DFILE=${ptx} -DPLAIN=${plain} -P ${strip}
      WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source} ${headers} ${strip}
      COMMENT "nvcc ${name}" VERBATIM)
    list(APPEND images "IMAGE(${name}, ptx, ${A_PTX})")
    pack(${ptx})
    foreach(cc IN LISTS A_CUBINS)
      set(cubin ${dir}/${name}_${cc}.cubin)
      # A spill is an error. What ptxas says of registers and shared memory is kept beside the cubin.
      add_custom_command(OUTPUT ${cubin}
        COMMAND ${PTXAS_EXECUTABLE} -O3 -arch=sm_${cc} -v --warn-on-spills --warning-as-error ${plain} -o ${cubin} 2> ${cubin}.log || ( cat ${cubin}.log && false )
        DEPENDS ${plain} COMMENT "ptxas ${name} sm_${cc}")
      list(APPEND images "IMAGE(${name}, cubin, ${cc})")
      pack(${cubin})
    endforeach()
  endforeach()
  list(JOIN images "\n" text)
  file(CONFIGURE OUTPUT ${dir}/images.inc CONTENT "@text@\n" @ONLY)
  set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/cmake/images.S TARGET_DIRECTORY ${target}
                              PROPERTIES OBJECT_DEPENDS "${files}" INCLUDE_DIRECTORIES ${dir})
  target_include_directories(${target} PRIVATE ${dir})
endfunction()
