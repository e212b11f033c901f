# Finds Emscripten's own toolchain file: of an emsdk that is activated ($EMSDK), of Debian's package, or of what else is on the PATH.
function(ask_emscripten variable result)
  execute_process(COMMAND ${TT_EM_CONFIG} ${variable} OUTPUT_VARIABLE answer OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  set(${result} "${answer}" PARENT_SCOPE)
endfunction()

find_program(TT_EM_CONFIG em-config HINTS $ENV{EMSDK}/upstream/emscripten)
if(NOT TT_EM_CONFIG)
  message(FATAL_ERROR "Emscripten is not here: there is no em-config on the PATH and EMSDK is not set. "
    "Install it (.scripts/setup does on Debian) or activate an emsdk.")
endif()
ask_emscripten(EMSCRIPTEN_ROOT emscripten_root)

# Debian's optimiser looks for acorn where Debian keeps it only if the Node that runs it is Debian's.
set(emscripten_environment NODE_PATH=/usr/share/nodejs)

# The system libraries are built at first use into a cache. Debian 12 ships them built and frozen; where the cache is not the user's to
# write, the build has its own.
if(NOT DEFINED ENV{EM_CACHE})
  ask_emscripten(FROZEN_CACHE is_frozen)
  ask_emscripten(CACHE emscripten_cache)
  execute_process(COMMAND test -w "${emscripten_cache}" RESULT_VARIABLE is_read_only)
  if(NOT is_frozen STREQUAL "True" AND is_read_only)
    list(APPEND emscripten_environment EM_CACHE=${CMAKE_SOURCE_DIR}/build/emscripten-cache)
  endif()
endif()
foreach(setting ${emscripten_environment})
  string(REGEX MATCH "^([A-Z_]+)=(.*)$" setting ${setting})
  set(ENV{${CMAKE_MATCH_1}} ${CMAKE_MATCH_2})
endforeach()
set(CMAKE_C_COMPILER_LAUNCHER env ${emscripten_environment})
set(CMAKE_C_LINKER_LAUNCHER env ${emscripten_environment})

include(${emscripten_root}/cmake/Modules/Platform/Emscripten.cmake)
