# Third parties, by the names that pkg-config knows. The two lists also end in the installed .pc files and the CMake package.
set(CHAT_CLIENT_MODULES libprotobuf-c libsodium sqlite3 openssl libwebsockets)
set(CHAT_SERVER_MODULES libprotobuf-c libsodium sqlite3 openssl libuv libjwt jansson)

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_program(PROTOC_C protoc-c REQUIRED)

set(modules ${CHAT_CLIENT_MODULES} ${CHAT_SERVER_MODULES})
list(REMOVE_DUPLICATES modules)
foreach(module IN LISTS modules)
  pkg_check_modules(${module} REQUIRED QUIET IMPORTED_TARGET ${module})
endforeach()

# What a backend needs that is built only where it is there: src/backend/NAME, else src/backend/absent/NAME.c, which says so when it is asked for.
set(CHAT_OPTIONAL_BACKENDS directory_redis)
set(directory_redis_module hiredis)
set(CHAT_ABSENT_BACKENDS "")
foreach(backend IN LISTS CHAT_OPTIONAL_BACKENDS)
  pkg_check_modules(${${backend}_module} QUIET IMPORTED_TARGET ${${backend}_module})
  if(${${backend}_module}_FOUND)
    list(APPEND CHAT_SERVER_MODULES ${${backend}_module})
  else()
    message(STATUS "No ${${backend}_module}: without ${backend}")
    list(APPEND CHAT_ABSENT_BACKENDS ${backend})
  endif()
endforeach()
# Its .pc file asks for large files; its headers have nothing that this would change, and what tests put before the C library's calls must not be renamed.
if(hiredis_FOUND)
  set_target_properties(PkgConfig::hiredis PROPERTIES INTERFACE_COMPILE_OPTIONS "")
endif()
# hiredis has TLS from 1.0 on, as a library of its own.
pkg_check_modules(hiredis_ssl QUIET IMPORTED_TARGET hiredis_ssl)
if(hiredis_FOUND AND hiredis_ssl_FOUND)
  list(APPEND CHAT_SERVER_MODULES hiredis_ssl)
endif()

list(TRANSFORM CHAT_CLIENT_MODULES PREPEND PkgConfig:: OUTPUT_VARIABLE CHAT_CLIENT_DEPENDENCIES)
list(TRANSFORM CHAT_SERVER_MODULES PREPEND PkgConfig:: OUTPUT_VARIABLE CHAT_SERVER_DEPENDENCIES)
list(APPEND CHAT_CLIENT_DEPENDENCIES Threads::Threads)
list(APPEND CHAT_SERVER_DEPENDENCIES Threads::Threads)
