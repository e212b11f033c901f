/* rules: the functions that numpy.def names, declared from the table itself. */
#ifndef TT_NUMPY_RULES_H
#define TT_NUMPY_RULES_H

#include "numpy/call.h"

#define TT_NUMPY(name, signature, rule, op, flags, domain) tt_numpy_rule rule;
#include "numpy/numpy.def"
#undef TT_NUMPY

#endif
