/* Every wrong pointer that a host may pass: another type, freed, borrowed, or no handle at all. And the
 * counts: krpc_live_handles, krpc_runtime_report. */
#include "check.h"

#include <pthread.h>

static krpc_message *message_of(const char *text)
{
    return krpc_message_copy(KRPC_ENCODING_THRIFT_BINARY, KRPC_BYTES(text, strlen(text) + 1), NULL);
}

/* Tries a pointer as a message; the error must name the parameter and the reason. */
static void refused(const void *pointer, const char *reason)
{
    krpc_error *error = NULL;
    size_t live = krpc_live_handles();
    CHECK(krpc_message_join((const krpc_message *)pointer, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, "message: is ");
    CHECK(krpc_message_join((const krpc_message *)pointer, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, reason);
    CHECK(krpc_message_size((const krpc_message *)pointer) == 0);
    krpc_message_free((krpc_message *)(uintptr_t)pointer);
    CHECK(krpc_live_handles() == live);
}

static void other_types(void)
{
    krpc_message *message = message_of("");
    krpc_metainfo *info = krpc_metainfo_new();
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_reader *reader = krpc_reader_new(message, NULL);
    krpc_error *error = NULL;
    CHECK(krpc_live_handles() == 4);
    refused(info, "message: is not a krpc_message");
    refused(writer, "message: is not a krpc_message");
    refused(reader, "message: is not a krpc_message");

    /* The other way round: a message is none of these. */
    CHECK(krpc_metainfo_set((krpc_metainfo *)(void *)message, 1, KRPC_STR("k"), KRPC_STR("v"), &error) ==
          KRPC_STATUS_INVALID_ARGUMENT);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, "metainfo: is not a krpc_metainfo");
    CHECK(krpc_writer_i32((krpc_writer *)(void *)message, 1) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK(krpc_writer_finish((krpc_writer *)(void *)message, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, "writer: is not a krpc_writer");
    CHECK(krpc_reader_end((krpc_reader *)(void *)message, &error) == KRPC_STATUS_INVALID_ARGUMENT);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, "reader: is not a krpc_reader");
    CHECK(krpc_reader_new((krpc_message *)(void *)info, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, "message: is not a krpc_message");
    krpc_metainfo_free((krpc_metainfo *)(void *)message);
    krpc_error_free((krpc_error *)(void *)message);
    krpc_writer_free((krpc_writer *)(void *)reader);
    krpc_reader_free((krpc_reader *)(void *)writer);
    CHECK(krpc_live_handles() == 4 && krpc_message_size(message) == 1);

    krpc_reader_free(reader);
    krpc_writer_free(writer);
    krpc_metainfo_free(info);
    krpc_message_free(message);
}

static void no_handles(void)
{
    /* The debug library does not even look behind a pointer that it never gave out. */
    char memory[64] = "not a handle";
    refused(memory + 1, "message: is not a handle of this library");
    refused(memory, "message: is not a handle of this library");
    refused((void *)(uintptr_t)8, "message: is not a handle of this library");
    refused((void *)(UINTPTR_MAX - 7), "message: is not a handle of this library");
}

static void freed(void)
{
    krpc_message *message = message_of("");
    krpc_message_free(message);
    refused(message, "message: is a krpc_message that was freed before");
    krpc_message_free(message);
    krpc_metainfo *info = krpc_metainfo_new();
    krpc_metainfo_free(info);
    krpc_metainfo_free(info);
    CHECK(krpc_metainfo_count(info) == 0 && krpc_metainfo_copy(info) == NULL);

    /* What was finished is gone too, also if it failed. */
    krpc_error *error = NULL;
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_message_free(krpc_writer_finish(writer, NULL));
    CHECK(krpc_writer_finish(writer, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, "writer: is a krpc_writer that was freed before");
    writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_struct_end(writer);
    CHECK(krpc_writer_finish(writer, NULL) == NULL);
    CHECK(krpc_writer_status(writer) == KRPC_STATUS_INVALID_ARGUMENT);
    krpc_writer_free(writer);
}

static void borrowed(void)
{
    krpc_message *message = message_of("\x01");
    krpc_reader *reader = krpc_reader_new(message, NULL);
    CHECK(krpc_reader_error(reader) == NULL);
    krpc_reader_skip(reader);
    const krpc_error *error = krpc_reader_error(reader);
    size_t live = krpc_live_handles();
    krpc_error_free((krpc_error *)(uintptr_t)error);
    CHECK(krpc_live_handles() == live && krpc_error_status(error) == KRPC_STATUS_INVALID_STATE);
    CHECK(krpc_reader_error(reader) == error);
    krpc_reader_free(reader);
    CHECK(krpc_error_text(error).len == 0);
    krpc_message_free(message);

    /* Handles are found alive again where others have died. */
    for (int i = 0; i < 100; i++) {
        krpc_message *one = message_of("\x01");
        krpc_reader *two = krpc_reader_new(one, NULL);
        krpc_message_free(one);
        krpc_reader_skip(two);
        CHECK(krpc_error_status(krpc_reader_error(two)) == KRPC_STATUS_INVALID_STATE);
        krpc_reader_free(two);
    }
}

static void reports(void)
{
    krpc_error *error = NULL;
    krpc_message *text = krpc_runtime_report(KRPC_REPORT_FORMAT_TEXT, &error);
    CHECK(error == NULL && bytes_equal(krpc_message_bytes(text), "0 live handles"));
    CHECK(krpc_message_encoding(text) == KRPC_ENCODING_RAW);
    krpc_metainfo *info = krpc_metainfo_new();
    krpc_message *more = krpc_runtime_report(KRPC_REPORT_FORMAT_TEXT, NULL);
    CHECK(bytes_equal(krpc_message_bytes(more), "2 live handles: 1 message, 1 metainfo"));
    krpc_message *json = krpc_runtime_report(KRPC_REPORT_FORMAT_JSON, NULL);
    krpc_bytes bytes = krpc_message_bytes(json);
    krpc_str view = {(const char *)bytes.ptr, bytes.len};
    CHECK(krpc_message_encoding(json) == KRPC_ENCODING_JSON);
    CHECK(contains(view, "{\"live\":3,\"handles\":{") && contains(view, "\"metainfo\":{\"live\":1,"));
    krpc_message_free(json);
    krpc_message_free(more);
    krpc_message_free(text);
    krpc_metainfo_free(info);
    CHECK(krpc_runtime_report(0, NULL) == NULL && krpc_runtime_report(3, &error) == NULL);
    CHECK_ERROR(error, KRPC_STATUS_INVALID_ARGUMENT, "format: 3 is no krpc_report_format");
}

static void *share(void *message)
{
    for (int i = 0; i < 2000; i++) {
        krpc_message *mine = krpc_message_retain((krpc_message *)message);
        CHECK(krpc_message_size(mine) == 1);
        krpc_message_free(mine);
    }
    return NULL;
}

static void threads(void)
{
    krpc_message *message = message_of("");
    pthread_t running[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&running[i], NULL, share, message) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(running[i], NULL) == 0);
    CHECK(krpc_live_handles() == 1);
    krpc_message_free(message);
}

int main(void)
{
    CHECK(krpc_live_handles() == 0);
    reports();
    other_types();
    no_handles();
    freed();
    borrowed();
    threads();
    return end_of_test();
}
