/* Thrift values as a tree, for AllTypes: it says on its own what it is, so one function writes, reads, compares
 * or prints any type. */
#ifndef VALUE_H
#define VALUE_H

#include "scope.h"

struct value {
    int32_t type; /* a krpc_type */
    int16_t id;   /* of a field of a struct */
    int64_t integer; /* bool and all integers */
    double real;
    krpc_bytes bytes;
    int32_t key_type, element_type;
    /* Fields, elements, or keys and values in turn. */
    size_t count;
    struct value **items;
};

/* Values, owned by the scope. Lists of items end with NULL. */
struct value *value_integer(struct scope *s, int32_t type, int64_t integer);
struct value *value_double(struct scope *s, double real);
struct value *value_bytes(struct scope *s, krpc_bytes bytes);
struct value *value_items(struct scope *s, int32_t type, int32_t key_type, int32_t element_type,
                          struct value *const *items);

/* An empty list, set or map with room for `capacity` items, and its growth. */
struct value *value_empty(struct scope *s, int32_t type, int32_t key_type, int32_t element_type, size_t capacity);
void value_push(struct value *container, struct value *item);

/* Fields of a struct: NULL if it is not there; set replaces. */
struct value *value_get(const struct value *record, int16_t id);
struct value *value_field(int16_t id, struct value *value);
void value_set(struct scope *s, struct value *record, int16_t id, struct value *value);

/* One struct as a field of an otherwise empty one, and back. */
krpc_message *write_value(struct scope *s, int16_t id, const struct value *record);
bool read_value(struct scope *s, const krpc_message *message, int16_t id, struct value **record);

/* Whether two structs are equal: sets and maps in any order, doubles bit by bit. Names the first field that
 * differs. */
bool same_record(struct scope *s, const struct value *got, const struct value *want);

#endif
