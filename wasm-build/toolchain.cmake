# Finds Emscripten's own toolchain file: Debian's package, an emsdk that is activated ($EMSDK), or whatever emcc is on the PATH.
if(NOT DEFINED EMSCRIPTEN_ROOT_PATH)
  if(DEFINED ENV{EMSDK})
    set(EMSCRIPTEN_ROOT_PATH $ENV{EMSDK}/upstream/emscripten)
  else()
    find_program(TT_EM_CONFIG em-config)
    if(NOT TT_EM_CONFIG)
      message(FATAL_ERROR "Emscripten is not here: there is no em-config on the PATH and EMSDK is not set. "
        "Install it (.scripts/setup does on Debian) or activate an emsdk.")
    endif()
    execute_process(COMMAND ${TT_EM_CONFIG} EMSCRIPTEN_ROOT OUTPUT_VARIABLE EMSCRIPTEN_ROOT_PATH
      OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  endif()
endif()
include(${EMSCRIPTEN_ROOT_PATH}/cmake/Modules/Platform/Emscripten.cmake)
