/*
 * plus_is_minus: the smallest tensor kind. On it add means subtract and sub means add; all other ops are what they are.
 *
 * It shows that a kind overrides one op and inherits the rest: copy this file to write another.
 */
#ifndef TT_CHAIN_PLUS_IS_MINUS_H
#define TT_CHAIN_PLUS_IS_MINUS_H

#include "chain/node.h"

extern const tt_kind tt_kind_plus_is_minus;

#endif
