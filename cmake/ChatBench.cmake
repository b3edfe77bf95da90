pkg_check_modules(expat REQUIRED QUIET IMPORTED_TARGET expat)
# Every bench/*.c is a program of its own; it may measure private parts, so it links the objects (the client as others do: both have private names alike). What they share (bench/engine: sockets, frames, time, figures) and what
# the load generator is made of (bench/protocol, bench/workload), or the programs about the store (bench/store), are a library: a new protocol is a new file and a line in list.c.
ch_sources(shared ${PROJECT_SOURCE_DIR}/bench/engine/*.c ${PROJECT_SOURCE_DIR}/bench/protocol/*.c ${PROJECT_SOURCE_DIR}/bench/workload/*.c
  ${PROJECT_SOURCE_DIR}/bench/store/*.c)
add_library(bench_parts STATIC ${shared})
target_include_directories(bench_parts PUBLIC ${PROJECT_SOURCE_DIR}/bench ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
target_link_libraries(bench_parts PUBLIC PkgConfig::openssl PkgConfig::jansson PkgConfig::expat m)

ch_sources(programs ${PROJECT_SOURCE_DIR}/bench/*.c)
add_custom_target(bench)
foreach(source IN LISTS programs)
  cmake_path(GET source STEM name)
  add_executable(bench_${name} ${source})
  set_target_properties(bench_${name} PROPERTIES
    OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
  target_link_libraries(bench_${name} PRIVATE bench_parts ${CHAT_CORE_PARTS} ${CHAT_SERVER_PARTS} chat_client)
  add_dependencies(bench bench_${name})
endforeach()
