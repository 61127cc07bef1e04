# cmake -DSOURCE=DIR -DTEMPLATE=version.cpp.in -DOUTPUT=version.cpp -DPROJECT_VERSION=X -P WriteGitRevision.cmake
# Run at every build, so that a program names the sources it was built from; the file changes only with them.
execute_process(COMMAND git -C ${SOURCE} rev-parse --short=12 HEAD
                OUTPUT_VARIABLE SHINE_GIT_REVISION OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  set(SHINE_GIT_REVISION unknown)
else()
  execute_process(COMMAND git -C ${SOURCE} diff --quiet HEAD RESULT_VARIABLE changed ERROR_QUIET)
  if(NOT changed EQUAL 0)
    string(APPEND SHINE_GIT_REVISION "-changed")
  endif()
endif()
configure_file(${TEMPLATE} ${OUTPUT} @ONLY)
