/* Runs a program so many times, with so many at once, by posix_spawn: what a shell's jobs cost if nothing is kept of them.
 *
 * Usage: spawn_loop JOBS AT_ONCE PROGRAM
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

static void start(const char *program, long number)
{
    char text[24];
    snprintf(text, sizeof text, "%ld", number);
    char *argv[] = { (char *)program, text, NULL };
    pid_t pid;
    int error = posix_spawn(&pid, program, NULL, NULL, argv, environ);
    if (error != 0) {
        fprintf(stderr, "spawn_loop: %s: %s\n", program, strerror(error));
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: spawn_loop JOBS AT_ONCE PROGRAM\n");
        return 2;
    }
    long jobs = atol(argv[1]), at_once = atol(argv[2]);
    long started = 0, running = 0;
    while (started < jobs || running > 0) {
        while (started < jobs && running < at_once) {
            start(argv[3], ++started);
            running++;
        }
        int status;
        if (wait(&status) < 0) {
            perror("spawn_loop: wait");
            return 1;
        }
        if (status != 0) {
            fprintf(stderr, "spawn_loop: a job failed\n");
            return 1;
        }
        running--;
    }
    return 0;
}
