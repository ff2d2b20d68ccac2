#include "tap.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_unix(const char *path)
{
    struct sockaddr_un target = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof target.sun_path)
        return -1;
    memcpy(target.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&target, sizeof target) == 0)
        return fd;
    close(fd);
    return -1;
}

int connect_socket(const char *address)
{
    if (strncmp(address, "unix:", 5) == 0)
        return connect_unix(address + 5);
    char host[64];
    const char *port = strrchr(address, ':');
    if (port == NULL || (size_t)(port - address) >= sizeof host)
        return -1;
    bool bracketed = address[0] == '[';
    size_t len = (size_t)(port - address) - (bracketed ? 2 : 0);
    memcpy(host, address + (bracketed ? 1 : 0), len);
    host[len] = '\0';

    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(host, port + 1, &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

int bind_free_port(char *address, size_t size)
{
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof local;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&local, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&local, &len) != 0) {
        close(fd);
        return -1;
    }
    snprintf(address, size, "127.0.0.1:%d", ntohs(local.sin_port));
    return fd;
}

/* Moves what there is from one socket to the other. False at the end. */
static bool pump(int from, int to, struct tapped *kept)
{
    unsigned char bytes[4096];
    ssize_t count = recv(from, bytes, sizeof bytes, 0);
    if (count <= 0 || send(to, bytes, (size_t)count, MSG_NOSIGNAL) != count)
        return false;
    size_t room = sizeof kept->bytes - kept->len, len = (size_t)count < room ? (size_t)count : room;
    memcpy(kept->bytes + kept->len, bytes, len);
    kept->len += len;
    return true;
}

static void *serve(void *argument)
{
    struct tap *tap = argument;
    int down = accept(tap->listener, NULL, NULL), up = connect_socket(tap->target);
    struct pollfd ends[] = {{down, POLLIN, 0}, {up, POLLIN, 0}};
    bool open = down >= 0 && up >= 0;
    while (open && poll(ends, 2, -1) > 0) {
        if (ends[0].revents != 0)
            open = pump(down, up, &tap->request);
        if (open && ends[1].revents != 0)
            open = pump(up, down, &tap->reply);
    }
    close(down);
    close(up);
    return NULL;
}

bool tap_start(struct scope *s, struct tap *tap, const char *target)
{
    tap->target = target;
    tap->listener = bind_free_port(tap->address, sizeof tap->address);
    if (tap->listener < 0 || listen(tap->listener, 1) != 0)
        return scope_fail(s, "the tap does not listen");
    return pthread_create(&tap->thread, NULL, serve, tap) == 0 || scope_fail(s, "no thread for the tap");
}

void tap_join(struct tap *tap)
{
    pthread_join(tap->thread, NULL);
    close(tap->listener);
}
