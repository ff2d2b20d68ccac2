/* Time and change of mind: a timeout, a cancelled call, and work whose end ends all calls made for it.
 *
 *   07_deadline_cancel
 *
 *       service Slow { string Wait(1: i64 milliseconds) }
 *
 * How each call ended is read from its handle here; callbacks and queues hear the same.
 */
#include <krpc.h>
#include <stdio.h>
#include <time.h>

/* ---- calls ------------------------------------------------------------------------------------------ */

/* Starts `Slow/Wait`. `timeout_ms` 0: as long as it takes. `parent`: the work it is for, or NULL. */
static krpc_op *start(const krpc_client *client, int64_t wait_ms, int64_t timeout_ms, const krpc_context *parent)
{
    krpc_writer *writer = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
    krpc_writer_field_i64(writer, 1, wait_ms);
    krpc_message *args = krpc_writer_finish(writer, NULL);
    krpc_method *method = krpc_client_method(client, KRPC_STR("Slow/Wait"), 0, NULL);

    krpc_call_options options = KRPC_CALL_OPTIONS_INIT;
    options.timeout_ms = timeout_ms;
    options.parent = parent;
    krpc_op *op = NULL;
    krpc_client_start(client, method, args, &options, NULL, &op, NULL);
    krpc_method_free(method);
    krpc_message_free(args);
    return op;
}

/* Waits for the end of a call and says how it was. */
static int print_end(const char *what, krpc_op *op, krpc_status expected)
{
    krpc_op_wait(op, KRPC_FOREVER);
    krpc_reply *reply = krpc_op_take_reply(op);
    krpc_status status = krpc_reply_status(reply);
    krpc_str name = krpc_status_name(status);
    printf("%-26s %.*s\n", what, (int)name.len, name.ptr);
    krpc_reply_free(reply);
    krpc_op_free(op);
    return status == expected ? 0 : 1;
}

static int run(const krpc_client *client)
{
    int failed = 0;
    failed += print_end("in time:", start(client, 1, 5000, NULL), KRPC_OK);
    failed += print_end("too slow:", start(client, 5000, 20, NULL), KRPC_STATUS_TIMEOUT);

    /* Cancel asks for the end; a result that came first would stay. */
    krpc_op *op = start(client, 5000, 0, NULL);
    krpc_op_cancel(op);
    failed += print_end("cancelled:", op, KRPC_STATUS_CANCELLED);

    /* Who only wants to look how far it is waits for no time at all. */
    op = start(client, 100, 0, NULL);
    printf("%-26s %s\n", "looked at early:", krpc_op_wait(op, 0) == KRPC_OK ? "ended" : "under way");
    failed += print_end("and later:", op, KRPC_OK);

    /* Two calls for one piece of work, which has a deadline. A handler would use the context of its request
     * (krpc_request_context), which ends when its caller leaves. */
    krpc_context *work = krpc_context_new(NULL, 800, NULL, NULL);
    krpc_op *first = start(client, 5000, 0, work), *second = start(client, 1, 0, work);
    failed += print_end("fast part of late work:", second, KRPC_OK);
    failed += print_end("slow part of late work:", first, KRPC_STATUS_TIMEOUT);
    krpc_context_free(work);

    /* What is no longer wanted ends with all its parts, also those below. */
    work = krpc_context_new(NULL, 0, NULL, NULL);
    krpc_context *part = krpc_context_new(work, 0, NULL, NULL);
    first = start(client, 5000, 0, work);
    second = start(client, 5000, 0, part);
    krpc_context_cancel(work);
    failed += print_end("part of cancelled work:", first, KRPC_STATUS_CANCELLED);
    failed += print_end("part of a part of it:", second, KRPC_STATUS_CANCELLED);
    failed += print_end("begun after that:", start(client, 1, 0, part), KRPC_STATUS_CANCELLED);
    krpc_context_free(part);
    krpc_context_free(work);

    /* Not interested any more: free does not wait, and drops whatever comes. */
    krpc_op_free(start(client, 5000, 0, NULL));
    return failed;
}

/* ---- a server whose handler gives up when nobody waits ---------------------------------------------------- */

static void on_wait(void *user_data, krpc_request *request)
{
    (void)user_data;
    int64_t left_ms = 0;
    krpc_reader *reader = krpc_reader_new(krpc_request_message(request), NULL);
    if (krpc_reader_find(reader, 1, NULL))
        krpc_reader_i64(reader, &left_ms);
    krpc_reader_free(reader);
    struct timespec step = {0, 1000000};
    for (; left_ms > 0 && !krpc_request_is_abandoned(request) && !krpc_request_is_stopping(request); left_ms--)
        nanosleep(&step, NULL);
    krpc_request_reply(request, NULL, NULL);
    krpc_request_free(request);
}

int main(void)
{
    krpc_service *service = krpc_service_new(KRPC_STR("Slow"), NULL);
    krpc_service_add_method(service, KRPC_STR("Wait"), 0, on_wait, NULL, NULL, NULL);
    krpc_server_options *options = krpc_server_options_new();
    krpc_server_options_add_service(options, service, false, NULL);
    krpc_server_options_add_address(options, KRPC_STR("127.0.0.1:0"), NULL);
    krpc_server *server = krpc_server_build(options, NULL);
    if (server == NULL)
        return 1;
    krpc_client_options *to = krpc_client_options_new(KRPC_STR("slow"), NULL);
    krpc_client_options_add_address(to, krpc_server_address(server, 0), NULL);
    krpc_client *client = krpc_client_build(to, NULL);

    int failed = run(client);
    krpc_client_free(client);
    krpc_server_stop(server, 5000, NULL, NULL);
    krpc_server_free(server);
    printf("%zu live handles\n", krpc_live_handles());
    return failed;
}
