# The core for pages, Workers and Node: every floor that needs no operating system, linked with what JavaScript may call.
# web/tabtensor.js loads the result and gives `instantiateWasm` itself, which is why no host but the web has to be named here.
file(GLOB doors CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/wasm/*.c
  ${CMAKE_SOURCE_DIR}/src/transport/message_port.c ${CMAKE_SOURCE_DIR}/src/transport/websocket_browser.c)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/exports)
file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/exports exported REGEX "^[a-z]")
list(TRANSFORM exported PREPEND _)
list(JOIN exported , exported)

if(NOT doors)
  return() # the floors alone still show whether they compile
endif()

# What a page loads has to be small, and most of it runs once a command or less: that is compiled for size. Kernels stay as the build type says (-O3),
# and what every op goes through is compiled for speed too.
set(hot base/alloc base/buffer base/map tensor/shape tensor/strided tensor/tensor
  ops/elementwise ops/infer_common ops/inplace ops/matrix ops/op ops/optimizer ops/promote
  chain/backward chain/graph chain/head chain/hook chain/local chain/node chain/pointer chain/variable wasm/handles wasm/tensors
  wire/command_run worker/call worker/execute worker/object_store worker/stream worker/worker)
list(TRANSFORM hot REPLACE "(.+)" "${CMAKE_SOURCE_DIR}/src/\\1.c")
set_source_files_properties(${hot} PROPERTIES COMPILE_OPTIONS -O2)
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/wasm/memory.c PROPERTIES COMPILE_OPTIONS "-O2;-fno-builtin;-mbulk-memory")

# With threads is a build of its own: what a page loads when it has shared memory and asks for them (web/core.js chooses).
if(TT_THREADS)
  set(core tabtensor_threads)
else()
  set(core tabtensor_core)
endif()
add_library(tt_exports OBJECT ${doors})
foreach(target tt_base tt_tensor tt_ops tt_chain tt_wire tt_prelude tt_cjson tt_nn tt_numpy tt_worker tt_virtual tt_exports)
  target_compile_options(${target} PRIVATE -Oz)
endforeach()
foreach(floor virtual worker nn numpy chain wire prelude ops kernels tensor base)
  if(TARGET tt_${floor})
    target_link_libraries(tt_exports PUBLIC tt_${floor})
  endif()
endforeach()

# The float32 tiles and exponentials once more, with a fused multiply-add: relaxed SIMD, which not every engine has. Linked first, they stand before those of the kernels' library.
add_library(tt_relaxed OBJECT ${CMAKE_SOURCE_DIR}/src/kernels/exponential_f32.c ${CMAKE_SOURCE_DIR}/src/kernels/tile_f32.c)
target_link_libraries(tt_relaxed PUBLIC tt_flags)
target_compile_options(tt_relaxed PRIVATE -mrelaxed-simd -fno-slp-vectorize)

# The stack's setting was renamed; older names are refused by newer versions.
if(EMSCRIPTEN_VERSION VERSION_LESS 3.1.27)
  set(stack_setting TOTAL_STACK)
else()
  set(stack_setting STACK_SIZE)
endif()

set(core_link_options
  -O3
  -sMODULARIZE
  -sEXPORT_ES6
  -sENVIRONMENT=web,worker
  -sALLOW_MEMORY_GROWTH
  -sMAXIMUM_MEMORY=4GB
  -s${stack_setting}=1MB
  -sFILESYSTEM=0
  -sINVOKE_RUN=0
  -sINCOMING_MODULE_JS_API=instantiateWasm,host
  -sTEXTDECODER=2
  -Wno-pthreads-mem-growth
  --no-entry)

ask_emscripten(BINARYEN_ROOT binaryen_root)
foreach(tool wasm-split wasm-dis wasm-as wasm-opt)
  find_program(TT_${tool} ${tool} HINTS ${binaryen_root}/bin NO_CMAKE_FIND_ROOT_PATH REQUIRED)
endforeach()
find_program(TT_NODE node NO_CMAKE_FIND_ROOT_PATH REQUIRED)
set(here ${CMAKE_CURRENT_LIST_DIR})
set(web ${CMAKE_SOURCE_DIR}/web/core)
set(linked ${CMAKE_BINARY_DIR}/linked)
file(GLOB scripts CONFIGURE_DEPENDS ${here}/*.js ${here}/tour/*.js)
set(to_web ${TT_NODE} ${here}/to_web.js ${TT_wasm-split} ${TT_wasm-dis} ${TT_wasm-as} ${TT_wasm-opt} ${web})
list(APPEND core_link_options -sEXPORTED_FUNCTIONS=${exported} -lwebsocket.js --profiling-funcs)

if(TT_THREADS)
  # Whole. The objects of the other one stand before the libraries' own.
  add_executable(${core})
  add_executable(${core}_relaxed $<TARGET_OBJECTS:tt_relaxed>)
  foreach(name ${core} ${core}_relaxed)
    target_link_libraries(${name} PRIVATE tt_exports)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${linked} SUFFIX .js LINK_DEPENDS "${here}/exports;${scripts}")
    target_link_options(${name} PRIVATE ${core_link_options})
    add_custom_command(TARGET ${name} POST_BUILD COMMAND ${to_web} $<TARGET_FILE:${name}> VERBATIM)
  endforeach()
  add_dependencies(${core}_relaxed ${core})
else()
  # In parts, of functions and of data. Where data goes has to be known when it is linked: so there is a core before those, made in a second, for a tour.
  set(objects $<TARGET_OBJECTS:tt_begin>)
  foreach(library exports virtual worker nn numpy chain wire cjson prelude ops kernels tensor base)
    list(APPEND objects $<TARGET_OBJECTS:tt_${library}>)
  endforeach()
  add_library(tt_begin OBJECT ${here}/regions/begin.c)
  add_executable(${core}_tour ${objects} $<TARGET_OBJECTS:tt_kernels_plain>)
  set_target_properties(${core}_tour PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${linked} SUFFIX .js LINK_DEPENDS ${here}/exports)
  target_link_options(${core}_tour PRIVATE ${core_link_options} -O1)
  ask_emscripten(CACHE emscripten_cache)
  set(system_libraries libc.a libdlmalloc.a libcompiler_rt.a)
  list(TRANSFORM system_libraries PREPEND ${emscripten_cache}/sysroot/lib/wasm32-emscripten/)
  add_custom_command(OUTPUT ${linked}/placed/${core}.objects ${linked}/placed/${core}_relaxed.objects
    DEPENDS ${core}_tour ${scripts} ${objects} $<TARGET_OBJECTS:tt_kernels_plain> $<TARGET_OBJECTS:tt_relaxed>
    COMMAND ${TT_NODE} ${here}/place_data.js ${TT_wasm-split} ${web} ${linked}/placed $<TARGET_FILE:${core}_tour> ${system_libraries}
      --common ${objects} --of ${core} $<TARGET_OBJECTS:tt_kernels_plain> --of ${core}_relaxed $<TARGET_OBJECTS:tt_relaxed> $<TARGET_OBJECTS:tt_kernels_plain>
    COMMAND_EXPAND_LISTS VERBATIM)
  add_custom_target(tt_placed DEPENDS ${linked}/placed/${core}.objects)

  set(max_inlined 20) # in binaryen's instructions; place_data.js has it in bytes
  foreach(name ${core} ${core}_relaxed)
    add_executable(${name} ${here}/regions/end.c)
    add_dependencies(${name} tt_placed)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${linked} SUFFIX .js LINK_DEPENDS ${linked}/placed/${name}.objects)
    # What is called from one place alone is made a part of it when the parts have been told apart (to_web.js): it may be of another part than its caller.
    target_link_options(${name} PRIVATE @${linked}/placed/${name}.objects ${core_link_options}
      -sBINARYEN_EXTRA_PASSES=--one-caller-inline-max-function-size=${max_inlined})
  endforeach()
  add_custom_command(OUTPUT ${linked}/split DEPENDS ${core} ${core}_relaxed ${scripts}
    COMMAND ${to_web} --split $<TARGET_FILE:${core}>
    COMMAND ${to_web} --split $<TARGET_FILE:${core}_relaxed>
    COMMAND ${CMAKE_COMMAND} -E touch ${linked}/split VERBATIM)
  add_custom_target(tt_split ALL DEPENDS ${linked}/split)
endif()

if(TT_THREADS)
  return() # the drivers that follow have no use for them
endif()

# The ops alone, as tests/oracle/driver.js serves them to the comparison with PyTorch.
add_executable(oracle_driver ${CMAKE_SOURCE_DIR}/tests/oracle/driver.c)
target_include_directories(oracle_driver PRIVATE ${CMAKE_SOURCE_DIR}/tests/c)
target_link_libraries(oracle_driver PRIVATE tt_ops tt_cjson)
target_link_options(oracle_driver PRIVATE ${core_link_options}
  -sEXPORTED_FUNCTIONS=_malloc,_free,_oracle_begin,_oracle_table,_oracle_line)

# NumPy's functions for tests/oracle/compare_numpy.py, served in the same way.
add_executable(numpy_driver ${CMAKE_SOURCE_DIR}/tests/oracle/numpy_driver.c)
target_link_libraries(numpy_driver PRIVATE tt_numpy tt_cjson)
target_link_options(numpy_driver PRIVATE ${core_link_options}
  -sEXPORTED_FUNCTIONS=_malloc,_free,_oracle_begin,_oracle_table,_oracle_line)
