/* What the tests of processes share: children that run a piece of a test and say how it went. */
#ifndef PROCESS_H
#define PROCESS_H

#include "net.h"

/* A child at work. It says "ready" when it wants something of the parent, and "done" at its end. */
typedef struct {
    pid_t pid;
    int from_child;
    int to_child;
} child;

static inline char hear(int fd)
{
    char word = 0;
    struct pollfd ready = {fd, POLLIN, 0};
    CHECK(poll(&ready, 1, BOUND_MS) == 1);
    return read(fd, &word, 1) == 1 ? word : 0;
}

/* In the child: waits for the parent's `child_go`. */
static inline void child_pause(const child *self)
{
    CHECK(write(self->from_child, "r", 1) == 1);
    CHECK(hear(self->to_child) == 'g');
}

/* Starts `body` in a child. A check that fails there prints and ends it with 1. In the end it becomes another
   program: no leak checker should look for what threads that it doesn't have would have freed. */
static inline child child_start(void (*body)(const child *self, void *argument), void *argument)
{
    int up[2], down[2];
    CHECK(pipe(up) == 0 && pipe(down) == 0);
    child self = {fork(), up[0], down[1]};
    CHECK(self.pid >= 0);
    if (self.pid == 0) {
        child inside = {0, up[1], down[0]};
        close(up[0]);
        close(down[1]);
        alarm(2 * BOUND_MS / 1000);
        body(&inside, argument);
        CHECK(write(up[1], "d", 1) == 1);
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    close(up[1]);
    close(down[0]);
    return self;
}

static inline void child_await(const child *self)
{
    CHECK(hear(self->from_child) == 'r');
}

static inline void child_go(const child *self)
{
    CHECK(write(self->to_child, "g", 1) == 1);
}

/* Waits for the end, which must be a good one. */
static inline void child_end(child *self)
{
    int status = 0;
    CHECK(hear(self->from_child) == 'd');
    CHECK(waitpid(self->pid, &status, 0) == self->pid && status == 0);
    close(self->from_child);
    close(self->to_child);
}

static inline void in_child(void (*body)(const child *self, void *argument), void *argument)
{
    child one = child_start(body, argument);
    child_end(&one);
}

#endif
