/* Building and reading values by the names of their fields. Names, types and required fields are checked
 * against the IDL; no code is generated. */
#include <krpc.h>
#include <stdio.h>

static void print(const char *before, krpc_str text)
{
    printf("%s%.*s\n", before, (int)text.len, text.ptr);
}

/* What a message may have. */
static void print_fields(const krpc_shape *shape)
{
    static const char *const requiredness[] = {"", "required ", "optional "};
    for (size_t i = 0; i < krpc_shape_field_count(shape); i++) {
        krpc_field_info field = KRPC_FIELD_INFO_INIT;
        krpc_shape_field_at(shape, i, &field);
        printf("%d: %s%.*s %.*s\n", (int)field.id, requiredness[field.requiredness], (int)field.type_name.len,
               field.type_name.ptr, (int)field.name.len, field.name.ptr);
    }
}

/* The status of single steps may be ignored: the first failure sticks, and `finish` reports it. */
static krpc_message *build(const krpc_shape *shape, krpc_error **error)
{
    krpc_writer *w = krpc_writer_new_typed(shape, error);
    krpc_writer_field_name(w, KRPC_STR("text"));
    krpc_writer_string(w, KRPC_STR("hi"));
    krpc_writer_field_name(w, KRPC_STR("at_ms"));
    krpc_writer_i64(w, 1700000000000);
    krpc_writer_field_name(w, KRPC_STR("tags"));
    krpc_writer_list(w, 0, 2); /* 0: elements as in the IDL */
    krpc_writer_string(w, KRPC_STR("a"));
    krpc_writer_string(w, KRPC_STR("b"));
    krpc_writer_field_name(w, KRPC_STR("counts"));
    krpc_writer_map(w, 0, 0, 1);
    krpc_writer_string(w, KRPC_STR("words"));
    krpc_writer_i64(w, 1);
    return krpc_writer_finish(w, error); /* fills in mood, which is not optional */
}

static void read_message(const krpc_message *message, const krpc_shape *shape)
{
    krpc_str text = {NULL, 0}, mood = {NULL, 0}, key = {NULL, 0};
    int64_t number = 0;
    size_t count = 0;
    krpc_reader *r = krpc_reader_new_typed(message, shape, NULL);
    if (krpc_reader_find_name(r, KRPC_STR("counts"), NULL)) { /* in any order */
        krpc_reader_map(r, NULL, NULL, &count);
        for (size_t i = 0; i < count; i++) {
            krpc_reader_string(r, &key);
            krpc_reader_i64(r, &number);
            printf("%.*s = %lld\n", (int)key.len, key.ptr, (long long)number);
        }
    }
    if (krpc_reader_find_name(r, KRPC_STR("text"), NULL))
        krpc_reader_string(r, &text);
    if (krpc_reader_find_name(r, KRPC_STR("mood"), NULL))
        krpc_reader_enum(r, NULL, &mood);
    krpc_error *error = NULL;
    if (krpc_reader_end(r, &error) == KRPC_OK) {
        print("text: ", text);
        print("mood: ", mood);
    } else {
        print("", krpc_error_text(error));
        krpc_error_free(error);
    }
    krpc_reader_free(r);
}

/* What is wrong is said with its place. */
static void mistakes(const krpc_shape *shape)
{
    for (int i = 0; i < 3; i++) {
        krpc_error *error = NULL;
        krpc_writer *w = krpc_writer_new_typed(shape, NULL);
        krpc_writer_field_name(w, i == 0 ? KRPC_STR("textt") : i == 1 ? KRPC_STR("tags") : KRPC_STR("at_ms"));
        if (i == 1)
            krpc_writer_list(w, KRPC_TYPE_I32, 1);
        else
            krpc_writer_i64(w, 1);
        krpc_message *message = krpc_writer_finish(w, &error);
        print("", krpc_error_text(error));
        krpc_error_free(error);
        krpc_message_free(message);
    }
}

int main(void)
{
    krpc_error *error = NULL;
    krpc_idl *idl = krpc_idl_parse_file(KRPC_STR("examples-c/chat.thrift"), NULL, 0, &error);
    krpc_shape *shape = idl == NULL ? NULL : krpc_idl_request(idl, KRPC_STR("Chat/Say"), &error);
    krpc_message *message = shape == NULL ? NULL : build(shape, &error);
    if (message == NULL) {
        print("", krpc_error_text(error));
        krpc_error_free(error);
    } else {
        print_fields(shape);
        read_message(message, shape);
        krpc_message *json = krpc_message_to_json(message, shape, NULL, NULL); /* the same in JSON */
        krpc_bytes bytes = krpc_message_bytes(json);
        printf("%.*s\n", (int)bytes.len, (const char *)bytes.ptr);
        krpc_message_free(json);
        mistakes(shape);
    }
    krpc_message_free(message);
    krpc_shape_free(shape);
    krpc_idl_free(idl);
    return message == NULL ? 1 : 0;
}
