/* ../idl/interop.thrift in C, as a code generator would write it, as far as it is not AllTypes (see value.h).
 *
 * The args and the result of a method are structs. Nearly all of them have one field: 1 is the argument, 0
 * the return value. So one function of each type serves both. */
#ifndef CONTRACT_H
#define CONTRACT_H

#include "scope.h"

#define SERVER_NAME "interop.server"
#define CLIENT_NAME "interop.client"

enum { ARGUMENT = 1, RETURN_VALUE = 0 };

/* Req and Res. */
struct note {
    krpc_str message;
    bool has_payload;
    krpc_bytes payload;
};

struct echo_error {
    int32_t code;
    krpc_str message;
};

struct other_error {
    krpc_str reason;
    size_t detail_count;
    krpc_str details[4];
};

/* map<string, string> */
struct string_map {
    size_t count;
    struct string_pair {
        krpc_str key, value;
    } *pairs;
};

/* What Fail answers. */
#define DECLARED_FIELD 1
#define DECLARED_CODE 1001
#define DECLARED_TEXT "declared"
#define OTHER_FIELD 2
#define OTHER_REASON "declared2"
#define BIZ_CODE 404
#define BIZ_TEXT "not found"
#define BIZ_EXTRA_COUNT 2
extern const struct string_pair biz_extra[BIZ_EXTRA_COUNT];
#define TRANS_CODE 9001
#define TRANS_TEXT "own code"
#define PLAIN_TEXT "plain error"
#define MAX_BIG_BYTES (64 << 20)
/* Meta answers to this key with the caller's timeout in ms, 0 if it is not told. */
#define TELL_TIMEOUT "TELL_TIMEOUT"

/* Structs with one field; the message is owned by the scope. They never fail, as what they write is right. */
krpc_message *write_string(struct scope *s, int16_t id, krpc_str value);
krpc_message *write_binary(struct scope *s, int16_t id, krpc_bytes value);
krpc_message *write_i32(struct scope *s, int16_t id, int32_t value);
krpc_message *write_i64(struct scope *s, int16_t id, int64_t value);
krpc_message *write_note(struct scope *s, int16_t id, const struct note *value);
krpc_message *write_string_map(struct scope *s, int16_t id, const struct string_map *value);
krpc_message *write_add_args(struct scope *s, int64_t a, int64_t b);

/* Bare structs, as krpc_request_throw takes them. */
krpc_message *write_echo_error(struct scope *s, const struct echo_error *value);
krpc_message *write_other_error(struct scope *s, const struct other_error *value);

/* Their counterparts. False, with the reason in the scope, if the message is malformed or lacks the field.
 * Views last as long as the scope. */
bool read_string(struct scope *s, const krpc_message *message, int16_t id, krpc_str *value);
bool read_binary(struct scope *s, const krpc_message *message, int16_t id, krpc_bytes *value);
bool read_i32(struct scope *s, const krpc_message *message, int16_t id, int32_t *value);
bool read_i64(struct scope *s, const krpc_message *message, int16_t id, int64_t *value);
bool read_note(struct scope *s, const krpc_message *message, int16_t id, struct note *value);
bool read_string_map(struct scope *s, const krpc_message *message, int16_t id, struct string_map *value);
bool read_add_args(struct scope *s, const krpc_message *message, int64_t *a, int64_t *b);
bool read_echo_error(struct scope *s, const krpc_message *message, struct echo_error *value);
bool read_other_error(struct scope *s, const krpc_message *message, struct other_error *value);

/* `len` bytes, owned by the scope, in which a shift, a cut or a repeat shows. */
krpc_bytes pattern_bytes(struct scope *s, size_t len);

/* Text made as by printf, owned by the scope. */
krpc_str format_str(struct scope *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool str_equal(krpc_str a, krpc_str b);
bool bytes_equal(krpc_bytes a, krpc_bytes b);

#endif
