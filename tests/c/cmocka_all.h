/* What cmocka.h wants included before itself. */
#ifndef TT_TESTS_CMOCKA_ALL_H
#define TT_TESTS_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
