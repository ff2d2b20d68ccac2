#include "samples.h"

#include <float.h>
#include <math.h>

#include "contract.h"

/* Short names for values in the scope `s`; what has items closes with END. */
#define END NULL
#define BOOL(x) value_integer(s, KRPC_TYPE_BOOL, (x))
#define I8(x) value_integer(s, KRPC_TYPE_I8, (x))
#define I16(x) value_integer(s, KRPC_TYPE_I16, (x))
#define I32(x) value_integer(s, KRPC_TYPE_I32, (x))
#define I64(x) value_integer(s, KRPC_TYPE_I64, (x))
#define DBL(x) value_double(s, (x))
#define STR(literal) value_bytes(s, KRPC_BYTES("" literal, sizeof(literal) - 1))
#define BIN STR
#define ITEMS(...) ((struct value *[]){__VA_ARGS__})
#define LIST(type, ...) value_items(s, KRPC_TYPE_LIST, 0, KRPC_TYPE_##type, ITEMS(__VA_ARGS__))
#define SET(type, ...) value_items(s, KRPC_TYPE_SET, 0, KRPC_TYPE_##type, ITEMS(__VA_ARGS__))
#define MAP(key, type, ...) value_items(s, KRPC_TYPE_MAP, KRPC_TYPE_##key, KRPC_TYPE_##type, ITEMS(__VA_ARGS__))
#define RECORD(...) value_items(s, KRPC_TYPE_STRUCT, 0, 0, ITEMS(__VA_ARGS__))
#define F(id, value) value_field((id), (value))

enum { RED = 1, GREEN = 2, NEGATIVE = -5, LARGE = INT32_MAX };

#define OPT_DEF_I32 82

static struct value *pair(struct scope *s, struct value *key, int64_t value)
{
    return RECORD(F(1, key), F(2, I64(value)), END);
}

struct value *full_types(struct scope *s)
{
    return RECORD(
        F(1, BOOL(true)), F(2, I8(-7)), F(3, I16(1234)), F(4, I32(-123456)), F(5, I64((INT64_C(1) << 40) + 5)),
        F(6, DBL(3.141592653589793)), F(7, STR("h\xc3\xa9llo, \xe4\xb8\x96\xe7\x95\x8c \xf0\x9f\x8e\x89")),
        F(8, BIN("\0\xff\x80\x01")), F(9, I32(NEGATIVE)), F(10, pair(s, STR("k"), -1)),
        F(11, RECORD(F(3, pair(s, STR("in a union"), 9)), END)),
        F(12, LIST(STRING, STR(""), STR("a"), STR("b"), END)),
        F(13, SET(I32, I32(3), I32(-1), I32(2), END)),
        F(14, MAP(STRING, I64, STR(""), I64(0), STR("one"), I64(1), STR("min"), I64(INT64_MIN), END)),
        F(15, LIST(LIST, LIST(I32, END), LIST(I32, I32(1), END), LIST(I32, I32(2), I32(3), END), END)),
        F(16, MAP(I32, LIST,
                  I32(-1), LIST(STRUCT, END),
                  I32(1), LIST(STRUCT, pair(s, STR("x"), 1), pair(s, STR("y"), 2), END), END)),
        F(17, LIST(MAP, MAP(STRING, SET, END),
                   MAP(STRING, SET, STR("s"), SET(STRING, STR("b"), STR("a"), END),
                       STR("empty"), SET(STRING, END), END), END)),
        F(18, MAP(I32, STRING, I32(RED), STR("red"), I32(NEGATIVE), STR("negative"), END)),
        F(19, LIST(BOOL, BOOL(true), BOOL(false), BOOL(true), END)),
        F(20, LIST(DOUBLE, DBL(0), DBL(-1.5), DBL(1e300), END)),
        F(21, LIST(STRING, BIN(""), BIN("\xff"), BIN("blob"), END)),
        F(22, MAP(STRING, MAP,
                  STR("row"), MAP(STRING, I32, STR("a"), I32(1), STR("b"), I32(-2), END),
                  STR("none"), MAP(STRING, I32, END), END)),
        F(23, LIST(I32, I32(LARGE), I32(RED), END)),
        F(24, LIST(STRUCT, RECORD(F(1, STR("t")), END), RECORD(F(2, I64(-3)), END),
                   RECORD(F(4, LIST(I32, I32(1), I32(2), END)), END), END)),

        F(40, STR("required")), F(41, I32(41)), F(42, LIST(STRING, STR("r"), END)),

        F(60, BOOL(false)), F(61, I8(0)), F(62, I16(-2)), F(63, I32(0)), F(64, I64(4)), F(65, DBL(-0.5)),
        F(66, STR("")), F(67, BIN("")), F(68, I32(GREEN)), F(69, pair(s, STR(""), 0)), F(70, LIST(I64, END)),
        F(71, MAP(STRING, STRING, STR("a"), STR(""), END)), F(72, SET(STRING, STR("one"), END)),

        F(80, I32(43)), F(81, STR("not default")), F(OPT_DEF_I32, I32(8)), F(83, LIST(I32, END)), F(84, I32(RED)),
        F(85, BOOL(false)),

        F(INT16_MAX, RECORD(F(1, I32(1)),
                            F(3, LIST(STRUCT, RECORD(F(1, I32(2)), F(3, LIST(STRUCT, END)), END),
                                      RECORD(F(1, I32(3)), F(2, RECORD(F(1, I32(4)), END)), END), END)), END)),
        F(100, RECORD(F(1, I32(5)), F(2, RECORD(F(1, I32(6)), END)), END)), END);
}

struct value *least_types(struct scope *s)
{
    return RECORD(
        F(1, BOOL(false)), F(2, I8(0)), F(3, I16(0)), F(4, I32(0)), F(5, I64(0)), F(6, DBL(0)), F(7, STR("")),
        F(8, BIN("")), F(9, I32(RED)), F(10, pair(s, STR(""), 0)), F(11, RECORD(F(2, I64(0)), END)),
        F(12, LIST(STRING, END)), F(13, SET(I32, END)), F(14, MAP(STRING, I64, END)), F(15, LIST(LIST, END)),
        F(16, MAP(I32, LIST, END)), F(17, LIST(MAP, END)), F(18, MAP(I32, STRING, END)), F(19, LIST(BOOL, END)),
        F(20, LIST(DOUBLE, END)), F(21, LIST(STRING, END)), F(22, MAP(STRING, MAP, END)), F(23, LIST(I32, END)),
        F(24, LIST(STRUCT, END)), F(40, STR("")), F(41, I32(0)), F(42, LIST(STRING, END)), F(80, I32(42)),
        F(81, STR("default")), F(83, LIST(I32, I32(1), I32(2), I32(3), END)), F(84, I32(GREEN)), F(85, BOOL(true)),
        F(INT16_MAX, RECORD(F(1, I32(0)), END)), F(100, RECORD(F(1, I32(0)), END)), END);
}

struct value *extreme_types(struct scope *s)
{
    struct value *v = least_types(s);
    value_set(s, v, 2, I8(INT8_MIN));
    value_set(s, v, 3, I16(INT16_MIN));
    value_set(s, v, 4, I32(INT32_MIN));
    value_set(s, v, 5, I64(INT64_MIN));
    value_set(s, v, 61, I8(INT8_MAX));
    value_set(s, v, 62, I16(INT16_MAX));
    value_set(s, v, 63, I32(INT32_MAX));
    value_set(s, v, 64, I64(INT64_MAX));
    value_set(s, v, 6, DBL(-0.0));
    value_set(s, v, 65, DBL(DBL_MAX));
    value_set(s, v, 20, LIST(DOUBLE, DBL(INFINITY), DBL(-INFINITY), DBL(4.9406564584124654e-324), DBL(-DBL_MAX), END));
    value_set(s, v, 9, I32(LARGE));
    value_set(s, v, 7, STR("\0\x7f\xc2\x80\xef\xbf\xbf\xf4\x8f\xbf\xbf"));
    value_set(s, v, 8, value_bytes(s, pattern_bytes(s, 300)));

    const int many = 1000;
    struct value *ids = value_empty(s, KRPC_TYPE_SET, 0, KRPC_TYPE_I32, many);
    struct value *strings = value_empty(s, KRPC_TYPE_LIST, 0, KRPC_TYPE_STRING, many);
    struct value *counts = value_empty(s, KRPC_TYPE_MAP, KRPC_TYPE_STRING, KRPC_TYPE_I64, 2 * many);
    for (int i = 0; i < many; i++) {
        krpc_str number = format_str(s, "%d", i), key = format_str(s, "key %d", i);
        value_push(ids, I32(i - 500));
        value_push(strings, value_bytes(s, KRPC_BYTES(number.ptr, number.len)));
        value_push(counts, value_bytes(s, KRPC_BYTES(key.ptr, key.len)));
        value_push(counts, I64(i));
    }
    value_set(s, v, 13, ids);
    value_set(s, v, 12, strings);
    value_set(s, v, 14, counts);

    /* Kitex skips 64 levels deep; the chain stays below that with its envelope. */
    struct value *node = value_get(v, 100);
    for (int i = 0; i < 40; i++) {
        struct value *next = RECORD(F(1, I32(i)), END);
        value_set(s, node, 2, next);
        node = next;
    }
    return v;
}

struct value *unknown_enums(struct scope *s)
{
    struct value *v = least_types(s);
    value_set(s, v, 9, I32(77));
    value_set(s, v, 23, LIST(I32, I32(-1), I32(RED), I32(1000), END));
    return v;
}

void fill_in_defaults(struct scope *s, struct value *all_types)
{
    if (value_get(all_types, OPT_DEF_I32) == NULL)
        value_set(s, all_types, OPT_DEF_I32, I32(7));
}
