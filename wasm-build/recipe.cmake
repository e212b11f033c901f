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
  ops/elementwise ops/infer_common ops/inplace ops/op ops/optimizer ops/promote
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
foreach(tool wasm-split wasm-dis wasm-as)
  find_program(TT_${tool} ${tool} HINTS ${binaryen_root}/bin NO_CMAKE_FIND_ROOT_PATH REQUIRED)
endforeach()
find_program(TT_NODE node NO_CMAKE_FIND_ROOT_PATH REQUIRED)
set(to_web ${TT_NODE} ${CMAKE_CURRENT_LIST_DIR}/to_web.js ${TT_wasm-split} ${TT_wasm-dis} ${TT_wasm-as} ${CMAKE_SOURCE_DIR}/web/core)
# One that is loaded in two parts is split where the first one is, which the tour goes through.
set(splits $<$<NOT:$<BOOL:${TT_THREADS}>>:--split>)

# tt_core(name LINKED... ): a core of everything, and of objects that stand before the libraries' own.
function(tt_core name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE tt_exports)
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/linked
    SUFFIX .js
    LINK_DEPENDS "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/exports;${CMAKE_CURRENT_FUNCTION_LIST_DIR}/to_web.js;${CMAKE_CURRENT_FUNCTION_LIST_DIR}/sections.js;${CMAKE_CURRENT_FUNCTION_LIST_DIR}/instructions.js;${CMAKE_CURRENT_FUNCTION_LIST_DIR}/stand_ins.js;${CMAKE_CURRENT_FUNCTION_LIST_DIR}/tour/tour.js")
  target_link_options(${name} PRIVATE ${core_link_options} -sEXPORTED_FUNCTIONS=${exported} -lwebsocket.js --profiling-funcs)
  add_custom_command(TARGET ${name} POST_BUILD COMMAND ${to_web} ${splits} $<TARGET_FILE:${name}> VERBATIM)
endfunction()
tt_core(${core})
tt_core(${core}_relaxed $<TARGET_OBJECTS:tt_relaxed>)
add_dependencies(${core}_relaxed ${core})

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
