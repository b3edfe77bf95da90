# A part is a folder of src/ as an OBJECT library, with a view: a folder of links that holds only the headers which the
# part may see. Headers are included as "core/ids.h", "client/brain/outbox.h", <chat/chat.h>; what is not in the view
# does not compile. A part whose folder is still empty is an INTERFACE library, so that the others can name it.

# ch_sources(<out> <glob>...): files, followed when they come and go.
function(ch_sources out)
  file(GLOB files CONFIGURE_DEPENDS ${ARGN})
  set(${out} ${files} PARENT_SCOPE)
endfunction()

# ch_view(<out> <name> [PUBLIC header...] [FOLDERS folder-of-src...] [FILES file-of-src...])
function(ch_view out name)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "PUBLIC;FOLDERS;FILES")
  set(view ${PROJECT_BINARY_DIR}/view/${name})
  foreach(header IN LISTS arg_PUBLIC)
    ch_link(${PROJECT_SOURCE_DIR}/include/chat/${header} ${view}/chat/${header})
  endforeach()
  foreach(path IN LISTS arg_FOLDERS arg_FILES)
    ch_link(${PROJECT_SOURCE_DIR}/src/${path} ${view}/${path})
  endforeach()
  set(${out} ${view} PARENT_SCOPE)
endfunction()

function(ch_link original link)
  cmake_path(GET link PARENT_PATH folder)
  file(MAKE_DIRECTORY ${folder})
  file(CREATE_LINK ${original} ${link} SYMBOLIC)
endfunction()

# ch_part(<name> [VIEW dir] [SOURCES file...] [LINK target...])
function(ch_part name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "VIEW" "SOURCES;LINK")
  if(NOT arg_SOURCES)
    add_library(${name} INTERFACE)
    return()
  endif()
  add_library(${name} OBJECT ${arg_SOURCES})
  if(arg_VIEW)
    target_include_directories(${name} PRIVATE ${arg_VIEW})
  endif()
  target_link_libraries(${name} PUBLIC ${arg_LINK})
endfunction()

# ch_objects(<out> <part>...): the object files of those parts that have any.
function(ch_objects out)
  set(objects "")
  foreach(part IN LISTS ARGN)
    get_target_property(type ${part} TYPE)
    if(type STREQUAL "OBJECT_LIBRARY")
      list(APPEND objects $<TARGET_OBJECTS:${part}>)
    endif()
  endforeach()
  set(${out} ${objects} PARENT_SCOPE)
endfunction()
