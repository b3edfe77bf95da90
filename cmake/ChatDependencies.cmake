# Third parties, by the names that pkg-config knows. The two lists also end in the installed .pc files and the CMake package.
set(CHAT_CLIENT_MODULES libprotobuf-c libsodium sqlite3 openssl libwebsockets)
set(CHAT_SERVER_MODULES libprotobuf-c libsodium sqlite3 openssl libwebsockets libuv libjwt jansson)

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_program(PROTOC_C protoc-c REQUIRED)

set(modules ${CHAT_CLIENT_MODULES} ${CHAT_SERVER_MODULES})
list(REMOVE_DUPLICATES modules)
foreach(module IN LISTS modules)
  pkg_check_modules(${module} REQUIRED QUIET IMPORTED_TARGET ${module})
endforeach()

list(TRANSFORM CHAT_CLIENT_MODULES PREPEND PkgConfig:: OUTPUT_VARIABLE CHAT_CLIENT_DEPENDENCIES)
list(TRANSFORM CHAT_SERVER_MODULES PREPEND PkgConfig:: OUTPUT_VARIABLE CHAT_SERVER_DEPENDENCIES)
list(APPEND CHAT_CLIENT_DEPENDENCIES Threads::Threads)
list(APPEND CHAT_SERVER_DEPENDENCIES Threads::Threads)
