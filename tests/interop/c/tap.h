/* A proxy for one connection that keeps the bytes of both directions. */
#ifndef TAP_H
#define TAP_H

#include <pthread.h>

#include "scope.h"

struct tap {
    char address[64]; /* where clients connect to */
    const char *target;
    int listener;
    pthread_t thread;
    struct tapped {
        size_t len;
        unsigned char bytes[4096];
    } request, reply;
};

/* False, with the reason in the scope, if it does not start. */
bool tap_start(struct scope *s, struct tap *tap, const char *target);

/* Waits for the end of the connection; afterwards `request` and `reply` can be read. */
void tap_join(struct tap *tap);

/* A socket connected to "127.0.0.1:80", "[::1]:80" or "unix:/path", or -1. */
int connect_socket(const char *address);

/* A TCP socket bound to a free port of 127.0.0.1, or -1. `address` receives where. */
int bind_free_port(char *address, size_t size);

#endif
