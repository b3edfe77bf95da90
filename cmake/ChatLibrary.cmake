# ch_library(<name> PARTS part... SHARED_CORE part... MODULES pkg-config-target...)
#
# Makes <name> (shared) and <name>_static. Both hold the core's objects. In the shared library they are hidden by the
# linker. An archive has no such thing, so its objects are first merged into one, and what is hidden becomes local:
# only then can a program link the client's and the server's archive side by side.
function(ch_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "OUTPUT" "PARTS;SHARED_CORE;MODULES")
  ch_objects(objects ${arg_PARTS} ${arg_SHARED_CORE})
  ch_objects(core_objects ${arg_SHARED_CORE})
  if(NOT objects)
    return()
  endif()

  add_library(${name} SHARED ${objects})
  set_target_properties(${name} PROPERTIES
    OUTPUT_NAME ${arg_OUTPUT} LINKER_LANGUAGE C VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
  target_link_libraries(${name} PRIVATE ${arg_MODULES})
  if(NOT CHAT_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()

  set(merged ${CMAKE_CURRENT_BINARY_DIR}/${arg_OUTPUT}.o)
  set(merge ${PROJECT_SOURCE_DIR}/cmake/merge_objects.sh)
  add_custom_command(
    OUTPUT ${merged}
    COMMAND ${CMAKE_COMMAND} -E env LD=${CMAKE_LINKER} OBJCOPY=${CMAKE_OBJCOPY} sh ${merge} ${merged} ${objects} -- ${core_objects}
    DEPENDS ${objects} ${core_objects} ${merge}
    COMMENT "Merging ${arg_OUTPUT}.o"
    VERBATIM COMMAND_EXPAND_LISTS)
  add_library(${name}_static STATIC ${merged})
  set_source_files_properties(${merged} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  set_target_properties(${name}_static PROPERTIES OUTPUT_NAME ${arg_OUTPUT} LINKER_LANGUAGE C)
  target_link_libraries(${name}_static PRIVATE ${arg_MODULES})

  foreach(target ${name} ${name}_static)
    string(REPLACE "chat_" "" export_name ${target})
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${export_name})
    target_include_directories(${target} INTERFACE
      $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    add_library(chat::${export_name} ALIAS ${target})
  endforeach()
endfunction()
