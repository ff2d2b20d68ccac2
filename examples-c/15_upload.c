/* An upload: the client sends in batches, the server answers once, with a header before and a trailer behind.
 *
 *       struct Chunk { 1: binary bytes }    struct Stored { 1: i64 size }
 *       service Store { Stored Put(1: Chunk c) (streaming.mode="client") }
 */
#include <krpc.h>
#include <stdio.h>

enum { CHUNKS = 256, CHUNK_BYTES = 4096, BATCH = 16 };

static krpc_metainfo *pair(krpc_str key, krpc_str value)
{
    krpc_metainfo *pairs = krpc_metainfo_new();
    krpc_metainfo_set(pairs, KRPC_METAINFO_KIND_BACKWARD, key, value, NULL);
    return pairs;
}

static void print_pair(const char *where, const krpc_metainfo *pairs, krpc_str key)
{
    krpc_str value;
    if (krpc_metainfo_get(pairs, KRPC_METAINFO_KIND_BACKWARD, key, &value))
        printf("%s: %.*s = %.*s\n", where, (int)key.len, key.ptr, (int)value.len, value.ptr);
}

/* ---- the server --------------------------------------------------------------------------------------------- */

static int64_t size_of(const krpc_message *chunk)
{
    krpc_bytes bytes = {NULL, 0};
    krpc_reader *reader = krpc_reader_new(chunk, NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_binary(reader, &bytes);
    krpc_reader_free(reader);
    return (int64_t)bytes.len;
}

static void on_put(void *user_data, krpc_stream *stream)
{
    (void)user_data;
    /* What came with the opening: here who uploads, and where to. */
    krpc_str bucket = {NULL, 0};
    krpc_metainfo_get(krpc_stream_metainfo(stream), KRPC_METAINFO_KIND_UPSTREAM, KRPC_STR("BUCKET"), &bucket);
    krpc_metainfo *header = pair(KRPC_STR("bucket"), bucket);
    krpc_stream_send_header(stream, header, NULL); /* before anything else, so that the client can leave early */
    krpc_metainfo_free(header);

    krpc_message *chunks[BATCH];
    size_t count = 0;
    int64_t size = 0;
    do {
        if (krpc_stream_recv_many(stream, chunks, BATCH, &count, NULL) != KRPC_OK) {
            krpc_stream_fail(stream, 6, KRPC_STR("biz error: the upload broke off"), NULL);
            krpc_stream_free(stream);
            return;
        }
        for (size_t i = 0; i < count; i++) {
            size += size_of(chunks[i]);
            krpc_message_free(chunks[i]);
        }
    } while (count > 0);

    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_i64(writer, 1, size);
    krpc_message *stored = krpc_writer_finish(writer, NULL);
    krpc_stream_send(stream, stored, NULL);
    krpc_message_free(stored);
    krpc_metainfo *trailer = pair(KRPC_STR("checked"), KRPC_STR("yes"));
    krpc_stream_set_trailer(stream, trailer, NULL);
    krpc_metainfo_free(trailer);
    krpc_stream_finish(stream, NULL);
    krpc_stream_free(stream);
}

/* ---- the client --------------------------------------------------------------------------------------------- */

static int send_all(const krpc_stream *stream)
{
    static const char bytes[CHUNK_BYTES] = {0};
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_binary(writer, 1, KRPC_BYTES(bytes, sizeof bytes));
    krpc_message *chunk = krpc_writer_finish(writer, NULL);
    const krpc_message *batch[BATCH];
    for (int i = 0; i < BATCH; i++)
        batch[i] = chunk; /* a message may be sent as often as you like */
    krpc_status status = KRPC_OK;
    for (int i = 0; i < CHUNKS / BATCH && status == KRPC_OK; i++)
        status = krpc_stream_send_many(stream, batch, BATCH, NULL);
    krpc_message_free(chunk);
    krpc_stream_close_send(stream, NULL);
    return status != KRPC_OK;
}

static int upload(const krpc_client *client)
{
    krpc_metainfo *bucket = krpc_metainfo_new();
    krpc_metainfo_set(bucket, KRPC_METAINFO_KIND_TRANSIENT, KRPC_STR("BUCKET"), KRPC_STR("pictures"), NULL);
    krpc_stream_options options = KRPC_STREAM_OPTIONS_INIT;
    options.timeout_ms = 10000;
    options.metainfo = bucket;
    krpc_method *method = krpc_client_method(client, KRPC_STR("Store/Put"), 0, NULL);
    krpc_stream *stream = NULL;
    int failed = krpc_client_open_stream(client, method, &options, &stream, NULL) != KRPC_OK;
    krpc_method_free(method);
    krpc_metainfo_free(bucket);
    if (failed)
        return 1;

    krpc_metainfo *header = krpc_stream_header(stream, NULL);
    print_pair("header", header, KRPC_STR("bucket"));
    krpc_metainfo_free(header);
    failed = send_all(stream);
    krpc_message *answer = NULL;
    failed += krpc_stream_recv(stream, &answer, NULL) != KRPC_OK || answer == NULL;
    int64_t size = 0;
    krpc_reader *reader = krpc_reader_new(answer, NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_i64(reader, &size);
    krpc_reader_free(reader);
    krpc_message_free(answer);
    printf("stored: %d bytes\n", (int)size);
    krpc_metainfo *trailer = krpc_stream_trailer(stream, NULL); /* waits for the end */
    print_pair("trailer", trailer, KRPC_STR("checked"));
    krpc_metainfo_free(trailer);
    krpc_stream_free(stream);
    return failed;
}

int main(void)
{
    krpc_service *service = krpc_service_new(KRPC_STR("Store"), NULL);
    krpc_service_add_stream(service, KRPC_STR("Put"), KRPC_STREAMING_CLIENT, 0, on_put, NULL, NULL, NULL);
    krpc_server_options *server_options = krpc_server_options_new();
    krpc_server_options_add_service(server_options, service, false, NULL);
    krpc_server_options_add_address(server_options, KRPC_STR("127.0.0.1:0"), NULL);
    krpc_server *server = krpc_server_build(server_options, NULL);
    if (server == NULL)
        return 1;
    krpc_client_options *options = krpc_client_options_new(KRPC_STR("store"), NULL);
    krpc_client_options_add_address(options, krpc_server_address(server, 0), NULL);
    krpc_client *client = krpc_client_build(options, NULL);
    int failed = upload(client);
    krpc_client_free(client);
    krpc_server_free(server);
    printf("%zu live handles\n", krpc_live_handles());
    return failed;
}
