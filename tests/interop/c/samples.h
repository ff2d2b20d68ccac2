/* Values of AllTypes, the same as in ../kitex/values.go. */
#ifndef SAMPLES_H
#define SAMPLES_H

#include "value.h"

/* Every field is set, except the two that must stay unset. */
struct value *full_types(struct scope *s);

/* Only what has to be there: zero values, empty containers, no optional field, defaults as they are. */
struct value *least_types(struct scope *s);

/* The ends of the ranges, special doubles, long containers and deep nesting. */
struct value *extreme_types(struct scope *s);

/* Enum numbers that the IDL does not have. */
struct value *unknown_enums(struct scope *s);

/* An optional field with a default may be left out when it has that value, as Kitex does. Fills it in. */
void fill_in_defaults(struct scope *s, struct value *all_types);

#endif
