# The kernels of cuda/*.cu, compiled by nvcc to fat binaries and embedded as library lacuna_kernels.
# Without nvcc the library is there and empty. LACUNA_CUDA_ARCHITECTURES: "local" compiles for the
# cards of this machine (none: PTX for one, which the driver compiles), "all" for every card that we
# support, or a list such as "80;90".

set(LACUNA_CUDA AUTO CACHE STRING "Compile the CUDA kernels: AUTO (where nvcc is found), ON or OFF")
set(LACUNA_CUDA_ARCHITECTURES local CACHE STRING "local, all, or a list of architectures")

set(LACUNA_NVCC "")
if(NOT LACUNA_CUDA STREQUAL "OFF" AND NOT CMAKE_CROSSCOMPILING AND NOT APPLE)
  find_program(LACUNA_NVCC_PROGRAM nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME PATH_SUFFIXES bin
    PATHS /usr/local/cuda)
  if(LACUNA_NVCC_PROGRAM)
    execute_process(COMMAND ${LACUNA_NVCC_PROGRAM} --version OUTPUT_VARIABLE nvccVersion
      RESULT_VARIABLE nvccFailed ERROR_QUIET)
    string(REGEX MATCH "release ([0-9]+)\\.([0-9]+)" matched "${nvccVersion}")
    set(nvccMajor "${CMAKE_MATCH_1}")
    set(nvccMinor "${CMAKE_MATCH_2}")
    if(NOT nvccFailed AND matched AND nvccMajor GREATER_EQUAL 13)
      set(LACUNA_NVCC ${LACUNA_NVCC_PROGRAM})
      get_filename_component(nvccFolder ${LACUNA_NVCC} DIRECTORY)
      find_program(LACUNA_BIN2C bin2c HINTS ${nvccFolder} REQUIRED)
    endif()
  endif()
  if(NOT LACUNA_NVCC)
    set(why "no nvcc of CUDA 13.0 or newer was found")
    if(LACUNA_CUDA STREQUAL "ON")
      message(FATAL_ERROR "LACUNA_CUDA=ON, but ${why}.")
    endif()
    message(NOTICE "Built without CUDA kernels: ${why}. LACUNA_CUDA=OFF hides this notice.")
  endif()
endif()

# Sets `flags` (nvcc's) and `text` (for messages) in the caller.
function(lacuna_cuda_targets flags text)
  set(wanted ${LACUNA_CUDA_ARCHITECTURES})
  set(ptx "")
  if(wanted STREQUAL "all")
    set(wanted 75 80 86 89 90 100 120)
    set(ptx 120)
  elseif(wanted STREQUAL "local")
    set(wanted "")
    execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
      OUTPUT_VARIABLE cards RESULT_VARIABLE failed ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT failed)
      string(REGEX MATCHALL "[0-9]+\\.[0-9]+" wanted "${cards}")
      string(REPLACE "." "" wanted "${wanted}")
      list(REMOVE_DUPLICATES wanted)
    endif()
    if(NOT wanted)
      set(ptx 80)
    endif()
  endif()
  set(list "")
  foreach(architecture IN LISTS wanted)
    list(APPEND list -gencode arch=compute_${architecture},code=sm_${architecture})
  endforeach()
  if(ptx)
    list(APPEND list -gencode arch=compute_${ptx},code=compute_${ptx})
    list(APPEND wanted "PTX ${ptx}")
  endif()
  string(REPLACE ";" " " wanted "${wanted}")
  set(${flags} ${list} PARENT_SCOPE)
  set(${text} "${wanted}" PARENT_SCOPE)
endfunction()

set(generated "${CMAKE_CURRENT_BINARY_DIR}/kernels")
set(lacunaModules "")  # lines of modules.cpp
set(lacunaIncludes "")
set(lacunaArchitectures "")
set(lacunaCudaVersion 0)
set(embedded "")
if(LACUNA_NVCC)
  lacuna_cuda_targets(cudaFlags lacunaArchitectures)
  if(LACUNA_WERROR)
    list(APPEND cudaFlags --Werror=all-warnings)
  endif()
  math(EXPR lacunaCudaVersion "${nvccMajor} * 1000 + ${nvccMinor} * 10")
  file(GLOB sources CONFIGURE_DEPENDS cuda/*.cu)
  file(GLOB headers CONFIGURE_DEPENDS cuda/*.h cuda/*.cuh)
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    set(image ${generated}/${name}.fatbin)
    set(needs ${source} ${headers})
    if(CMAKE_GENERATOR MATCHES "Ninja|Makefiles")  # others cannot read dependency files
      set(needs ${source} DEPFILE ${image}.d)
    endif()
    add_custom_command(OUTPUT ${generated}/${name}.inc
      COMMAND ${LACUNA_NVCC} -std=c++20 -fatbin ${cudaFlags} -compress-mode=size
        -I${CMAKE_CURRENT_SOURCE_DIR}/native
        -I${CMAKE_CURRENT_SOURCE_DIR} -MD -MF ${image}.d -MT ${generated}/${name}.inc
        -o ${image} ${source}
      COMMAND ${LACUNA_BIN2C} --const --type longlong --name lacuna_${name} ${image}
        > ${generated}/${name}.inc
      DEPENDS ${needs}
      COMMENT "Compiling kernels of ${name}.cu for ${lacunaArchitectures}" VERBATIM)
    list(APPEND embedded ${generated}/${name}.inc)
    string(APPEND lacunaIncludes "extern \"C\" const unsigned long long lacuna_${name}[];\n")
    string(APPEND lacunaIncludes "#include \"${name}.inc\"\n")
    string(APPEND lacunaModules "    {\"${name}\", lacuna_${name}},\n")
  endforeach()
endif()
configure_file(cuda/modules.cpp.in ${generated}/modules.cpp @ONLY)
add_library(lacuna_kernels STATIC ${generated}/modules.cpp)
set_source_files_properties(${generated}/modules.cpp PROPERTIES OBJECT_DEPENDS "${embedded}")
target_link_libraries(lacuna_kernels PRIVATE lacuna_flags)
