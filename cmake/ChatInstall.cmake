# Headers, libraries, programs, pkg-config files, CMake package.
include(CMakePackageConfigHelpers)

install(DIRECTORY include/chat DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The .pc files find the rest from where they are, so an installed tree can be moved.
file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" up ${up})
set(CHAT_PC_PREFIX "\${pcfiledir}/${up}")
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/chat)
set(installed "")
foreach(side client server)
  if(NOT TARGET chat_${side})
    continue()
  endif()
  install(TARGETS chat_${side} chat_${side}_static EXPORT chatTargets)
  list(APPEND installed ${side})

  string(TOUPPER ${side} SIDE)
  # Our archive beside the shared libraries of others. Not Requires.private: "pkg-config --static" would then also ask for what
  # their archives need, which is not always installed.
  set(CHAT_PC_LIBS_PRIVATE "")
  foreach(module IN LISTS CHAT_${SIDE}_MODULES)
    list(APPEND CHAT_PC_LIBS_PRIVATE ${${module}_LDFLAGS})
  endforeach()
  list(REMOVE_DUPLICATES CHAT_PC_LIBS_PRIVATE)
  list(JOIN CHAT_PC_LIBS_PRIVATE " " CHAT_PC_LIBS_PRIVATE)
  configure_file(cmake/chat-${side}.pc.in ${PROJECT_BINARY_DIR}/chat-${side}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/chat-${side}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

foreach(program chatd chat)
  if(TARGET ${program})
    install(TARGETS ${program})
  endif()
endforeach()

if(installed)
  set(CHAT_PACKAGE_MODULES ${CHAT_CLIENT_MODULES} ${CHAT_SERVER_MODULES})
  list(REMOVE_DUPLICATES CHAT_PACKAGE_MODULES)
  configure_package_config_file(cmake/chatConfig.cmake.in ${PROJECT_BINARY_DIR}/chatConfig.cmake
    INSTALL_DESTINATION ${package_dir})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/chatConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/chatConfig.cmake ${PROJECT_BINARY_DIR}/chatConfigVersion.cmake
    DESTINATION ${package_dir})
  install(EXPORT chatTargets NAMESPACE chat:: DESTINATION ${package_dir})
endif()
