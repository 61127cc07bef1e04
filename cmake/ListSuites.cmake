# cmake -DPROGRAM=FILE -DLABEL=NAME -DLIST=FILE -P ListSuites.cmake: writes a ctest entry for each suite that the program
# names. Tests run side by side: one thread each.
execute_process(COMMAND ${PROGRAM} --gtest_list_tests OUTPUT_VARIABLE listing RESULT_VARIABLE status TIMEOUT 60)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} --gtest_list_tests failed: ${status}")
endif()
string(REGEX MATCHALL "(^|\n)[A-Za-z0-9_/]+\\.[^\n]*" suites "${listing}")
set(entries "")
foreach(line IN LISTS suites)
  string(REGEX REPLACE "^\n?([A-Za-z0-9_/]+)\\..*$" "\\1" suite "${line}")
  string(APPEND entries "add_test([==[${suite}]==] \"${PROGRAM}\" [==[--gtest_filter=${suite}.*]==])\n"
                        "set_tests_properties([==[${suite}]==] PROPERTIES LABELS ${LABEL} TIMEOUT 900\n"
                        "                     ENVIRONMENT OMP_NUM_THREADS=1)\n")
endforeach()
if(entries STREQUAL "")
  message(FATAL_ERROR "${PROGRAM} lists no tests")
endif()
file(WRITE ${LIST} "${entries}")
