# tt_cjson for WebAssembly, where there is no package of it: the source that .scripts/setup fetched, or a folder of the user's.
set(TT_CJSON_SOURCE_DIR $ENV{TT_CJSON_SOURCE_DIR} CACHE PATH "Folder with cJSON.c and cJSON.h")
set(cjson_source_dir ${TT_CJSON_SOURCE_DIR})
if(NOT cjson_source_dir)
  set(cjson_source_dir ${CMAKE_SOURCE_DIR}/build/cjson)
endif()
if(NOT EXISTS ${cjson_source_dir}/cJSON.c)
  message(FATAL_ERROR "There is no cJSON.c in ${cjson_source_dir}. Run .scripts/setup, or set TT_CJSON_SOURCE_DIR to a folder that has it.")
endif()

# Installed, the header is <cjson/cJSON.h>; the source tree has it at its top.
configure_file(${cjson_source_dir}/cJSON.h ${CMAKE_BINARY_DIR}/include/cjson/cJSON.h COPYONLY)
add_library(tt_cjson STATIC ${cjson_source_dir}/cJSON.c)
target_include_directories(tt_cjson SYSTEM PUBLIC ${CMAKE_BINARY_DIR}/include)
# How src/base/number.h reads numbers is as good, and less to load. It recurses once a level, and a tab's stack is small. Nothing of ours nests deeper (PROTOCOL.md).
target_compile_definitions(tt_cjson PRIVATE CJSON_NESTING_LIMIT=32 strtod=tt_number_read)
