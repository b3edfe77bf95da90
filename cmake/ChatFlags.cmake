# Compiler settings of everything in this tree.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(THREADS_PREFER_PTHREAD_FLAG ON)

if(NOT CMAKE_BUILD_TYPE AND PROJECT_IS_TOP_LEVEL)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Debug or RelWithDebInfo" FORCE)
endif()
# A broken invariant stops the program in every build: assert() stays on, and ch_assert() never looks at NDEBUG.
foreach(config RELEASE RELWITHDEBINFO MINSIZEREL)
  string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${config} "${CMAKE_C_FLAGS_${config}}")
endforeach()

# Same value everywhere, so a file may also state it itself. What is beyond POSIX is asked for in the file that needs it.
add_compile_definitions(_POSIX_C_SOURCE=200809L)

add_compile_options(
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wnested-externs
  -Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wcast-align -Wredundant-decls -Winit-self
  -fno-semantic-interposition -fno-common -fno-strict-aliasing -fstack-protector-strong)
if(CHAT_WERROR)
  add_compile_options(-Werror)
endif()

if(CHAT_SANITIZE)
  # -O1 halves the time of the tests; gcc's "maybe uninitialized" guesses wrong in instrumented code.
  add_compile_options(-fsanitize=${CHAT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=${CHAT_SANITIZE})
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
endif()
if(CHAT_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "CHAT_FUZZ needs clang; this is ${CMAKE_C_COMPILER_ID}")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(CHAT_ANALYZE)
  # Inlining shows it more of a call than its summary does.
  add_compile_options(-fanalyzer -O1)
endif()
if(CHAT_COVERAGE)
  # Threads count as well: a counter that loses an update may even come out negative.
  add_compile_options(--coverage -fprofile-update=atomic -O0)
  add_link_options(--coverage)
endif()
add_link_options(-Wl,--as-needed -Wl,-z,relro,-z,now)
