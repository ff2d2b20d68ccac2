/* Makes one system call of libkrpc fail, and counts how its completions end. Preloaded into a program that uses
 * the library; the library itself is as it is shipped.
 *
 *   KRPC_FAULT=CALL:ERRNO:N    the N-th call of that kind (from 1) fails; 0: none
 *   KRPC_FAULT_REPORT=PATH     where a program that has ended leaves: calls of that kind, live handles,
 *                              completions that were asked for, heard, heard twice, and never destroyed
 *
 * Only calls that come from the library count, and of reads and writes only those of sockets.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <krpc.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static char kind[16];
static int error_number;
static unsigned long nth, calls;
static uintptr_t library_start, library_end;

static unsigned long started, heard, heard_twice, destroyed;

/* ---- which calls ------------------------------------------------------------------------------------------------ */

static int note_library(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    (void)data;
    if (info->dlpi_name == NULL || strstr(info->dlpi_name, "libkrpc.so") == NULL)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            library_start = info->dlpi_addr + part->p_vaddr;
            library_end = library_start + part->p_memsz;
        }
    }
    return 1;
}

static bool is_socket(int fd)
{
    int saved = errno, type = 0;
    socklen_t length = sizeof type;
    bool yes = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
    errno = saved;
    return yes;
}

/* Whether this call is the one; errno is set then. */
static bool fails(const char *call, const void *caller)
{
    uintptr_t from = (uintptr_t)caller;
    if (strcmp(call, kind) != 0 || from < library_start || from >= library_end)
        return false;
    if (__atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) != nth)
        return false;
    errno = error_number;
    return true;
}

#define CALLER __builtin_return_address(0)
#define REAL(name) \
    static __typeof__(&name) real; \
    if (real == NULL) \
    real = (__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name)

#define WRAP(call, name, result, parameters, arguments) \
    result name parameters \
    { \
        REAL(name); \
        return fails(call, CALLER) ? -1 : real arguments; \
    }

#define WRAP_SOCKET(call, name, parameters, arguments) \
    ssize_t name parameters \
    { \
        REAL(name); \
        return is_socket(fd) && fails(call, CALLER) ? -1 : real arguments; \
    }

WRAP("socket", socket, int, (int domain, int type, int protocol), (domain, type, protocol))
WRAP("connect", connect, int, (int fd, __CONST_SOCKADDR_ARG to, socklen_t length), (fd, to, length))
WRAP("bind", bind, int, (int fd, __CONST_SOCKADDR_ARG to, socklen_t length), (fd, to, length))
WRAP("listen", listen, int, (int fd, int backlog), (fd, backlog))
WRAP("accept", accept4, int, (int fd, __SOCKADDR_ARG from, socklen_t *length, int flags),
     (fd, from, length, flags))
WRAP("poller", epoll_create1, int, (int flags), (flags))
WRAP("poller", eventfd, int, (unsigned int value, int flags), (value, flags))
WRAP_SOCKET("read", recv, (int fd, void *to, size_t length, int flags), (fd, to, length, flags))
WRAP_SOCKET("read", read, (int fd, void *to, size_t length), (fd, to, length))
WRAP_SOCKET("read", readv, (int fd, const struct iovec *to, int count), (fd, to, count))
WRAP_SOCKET("read", recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
WRAP_SOCKET("write", send, (int fd, const void *from, size_t length, int flags), (fd, from, length, flags))
WRAP_SOCKET("write", write, (int fd, const void *from, size_t length), (fd, from, length))
WRAP_SOCKET("write", writev, (int fd, const struct iovec *from, int count), (fd, from, count))
WRAP_SOCKET("write", sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))

int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
    REAL(epoll_ctl);
    return what == EPOLL_CTL_ADD && fails("watch", CALLER) ? -1 : real(epoll, what, fd, event);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    REAL(pthread_create);
    return fails("thread", CALLER) ? error_number : real(thread, attributes, run, argument);
}

/* ---- completions ------------------------------------------------------------------------------------------------ */

typedef struct {
    krpc_completion_fn callback;
    krpc_destroy_fn destroy;
    void *user_data;
    int heard;
} watched;

static void hears(void *user_data, krpc_reply *reply)
{
    watched *self = (watched *)user_data;
    __atomic_add_fetch(&heard, 1, __ATOMIC_SEQ_CST);
    if (__atomic_add_fetch(&self->heard, 1, __ATOMIC_SEQ_CST) > 1)
        __atomic_add_fetch(&heard_twice, 1, __ATOMIC_SEQ_CST);
    self->callback(self->user_data, reply);
}

static void is_destroyed(void *user_data)
{
    watched *self = (watched *)user_data;
    __atomic_add_fetch(&destroyed, 1, __ATOMIC_SEQ_CST);
    if (self->destroy != NULL)
        self->destroy(self->user_data);
    free(self);
}

/* The same completion, watched. */
static const krpc_completion *watch(const krpc_completion *completion, krpc_completion *room)
{
    if (completion == NULL || completion->callback == NULL || completion->struct_size < sizeof *room)
        return completion;
    watched *self = (watched *)malloc(sizeof *self);
    if (self == NULL)
        return completion;
    *self = (watched){completion->callback, completion->destroy, completion->user_data, 0};
    *room = *completion;
    room->callback = hears;
    room->destroy = is_destroyed;
    room->user_data = self;
    __atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
    return room;
}

#define WATCH(name, parameters, arguments) \
    krpc_status name parameters \
    { \
        REAL(name); \
        krpc_completion room; \
        completion = watch(completion, &room); \
        return real arguments; \
    }

WATCH(krpc_client_start,
      (const krpc_client *client, const krpc_method *method, const krpc_message *request,
       const krpc_call_options *options, const krpc_completion *completion, krpc_op **op, krpc_error **error),
      (client, method, request, options, completion, op, error))
WATCH(krpc_client_start_open_stream,
      (const krpc_client *client, const krpc_method *method, const krpc_stream_options *options,
       const krpc_completion *completion, krpc_op **op, krpc_error **error),
      (client, method, options, completion, op, error))
WATCH(krpc_stream_start_recv,
      (const krpc_stream *stream, const krpc_completion *completion, krpc_op **op, krpc_error **error),
      (stream, completion, op, error))
WATCH(krpc_stream_start_send,
      (const krpc_stream *stream, const krpc_message *message, const krpc_completion *completion, krpc_op **op,
       krpc_error **error),
      (stream, message, completion, op, error))

/* ---- start and end ---------------------------------------------------------------------------------------------- */

__attribute__((constructor)) static void begin(void)
{
    const char *fault = getenv("KRPC_FAULT");
    if (fault == NULL || sscanf(fault, "%15[a-z]:%d:%lu", kind, &error_number, &nth) != 3)
        kind[0] = 0;
    dl_iterate_phdr(note_library, NULL);
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("KRPC_FAULT_REPORT");
    FILE *report = path == NULL ? NULL : fopen(path, "w");
    if (report == NULL)
        return;
    fprintf(report, "%lu %zu %lu %lu %lu %lu\n", calls, krpc_live_handles(), started, heard, heard_twice,
            started - destroyed);
    fclose(report);
}
