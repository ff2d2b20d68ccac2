#ifndef SERVER_H
#define SERVER_H

/* The subcommand `server`. Returns the program's exit code. */
int server_main(int argc, char **argv);

#endif
