# Every bench/*.c is a program of its own; it may measure private parts, so it links the objects.
ch_sources(programs ${PROJECT_SOURCE_DIR}/bench/*.c)
foreach(source IN LISTS programs)
  cmake_path(GET source STEM name)
  add_executable(bench_${name} ${source})
  set_target_properties(bench_${name} PROPERTIES
    OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
  target_include_directories(bench_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(bench_${name} PRIVATE ${CHAT_CORE_PARTS} ${CHAT_CLIENT_PARTS} ${CHAT_SERVER_PARTS})
endforeach()
