// What processes can do for each other at the least: measured a line of standard input at a time, by two processes.
//
//   futex COUNT LOOKS HERE THERE     a word is passed to and fro; each looks so often before it sleeps
//   socket COUNT HERE THERE          64 bytes are passed to and fro on a Unix socketpair
//   mutex COUNT HERE THERE           a robust mutex of the C library, taken and given back by both at once
//   alone COUNT HERE                 the same, by one
//
// HERE and THERE are cores, or -1. The answer is a line: the seconds of one.
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

struct line {
    _Alignas(128) _Atomic unsigned word;
    _Atomic unsigned sleeps;
};

struct shared {
    struct line there, here, ready;
    _Alignas(128) pthread_mutex_t mutex;
    _Alignas(128) volatile unsigned long value;
};

static struct shared *shared;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void place(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (core < 0 || i == core)
            CPU_SET(i, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static void look(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

static void await(struct line *line, unsigned value, long looks) {
    for (;;) {
        for (long i = 0; i < looks; i++) {
            if (atomic_load(&line->word) == value)
                return;
            look();
        }
        atomic_store(&line->sleeps, 1);
        unsigned seen = atomic_load(&line->word);
        if (seen == value) {
            atomic_store(&line->sleeps, 0);
            return;
        }
        syscall(SYS_futex, &line->word, FUTEX_WAIT, seen, NULL, NULL, 0);
    }
}

static void tell(struct line *line, unsigned value) {
    atomic_store(&line->word, value);
    if (atomic_load(&line->sleeps)) {
        atomic_store(&line->sleeps, 0);
        syscall(SYS_futex, &line->word, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

static pid_t begin(void) {
    pid_t child = fork();
    if (child < 0)
        exit(1);
    if (child == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return child;
}

static void end(pid_t child) {
    int status;
    if (waitpid(child, &status, 0) != child || status != 0)
        exit(1);
}

static double futex(unsigned count, long looks, int here, int there) {
    memset(shared, 0, sizeof *shared);
    pid_t child = begin();
    if (child == 0) {
        place(there);
        for (unsigned i = 0; i <= count; i++) {
            await(&shared->there, i + 1, looks);
            tell(&shared->here, i + 1);
        }
        _exit(0);
    }
    place(here);
    double began = 0;
    for (unsigned i = 0; i <= count; i++) {
        if (i == 1)
            began = now();
        tell(&shared->there, i + 1);
        await(&shared->here, i + 1, looks);
    }
    double took = now() - began;
    end(child);
    return took / count;
}

static double over_socket(unsigned count, int here, int there) {
    int ends[2];
    char message[64] = {7};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
        exit(1);
    pid_t child = begin();
    if (child == 0) {
        place(there);
        close(ends[0]);
        while (read(ends[1], message, sizeof message) == sizeof message)
            if (write(ends[1], message, sizeof message) != sizeof message)
                _exit(1);
        _exit(0);
    }
    place(here);
    close(ends[1]);
    double began = 0;
    for (unsigned i = 0; i <= count; i++) {
        if (i == 1)
            began = now();
        if (write(ends[0], message, sizeof message) != sizeof message ||
            read(ends[0], message, sizeof message) != sizeof message)
            exit(1);
    }
    double took = now() - began;
    close(ends[0]);
    end(child);
    return took / count;
}

static void turns(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (pthread_mutex_lock(&shared->mutex))
            _exit(1);
        shared->value++;
        pthread_mutex_unlock(&shared->mutex);
    }
}

static double mutex(unsigned count, int here, int there, int alone) {
    pthread_mutexattr_t attributes;
    memset(shared, 0, sizeof *shared);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&shared->mutex, &attributes);
    pid_t child = 0;
    if (!alone) {
        child = begin();
        if (child == 0) {
            place(there);
            tell(&shared->ready, 1);
            await(&shared->there, 1, 1000000000);
            turns(count);
            _exit(0);
        }
    }
    place(here);
    if (!alone)
        await(&shared->ready, 1, 1000);
    double began = now();
    tell(&shared->there, 1);
    turns(count);
    if (!alone) {
        end(child);
        if (shared->value != 2ul * count)
            exit(1);
    }
    return (now() - began) / (alone ? count : 2 * count);
}

int main(void) {
    char line[256];
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (fgets(line, sizeof line, stdin)) {
        unsigned count;
        long looks;
        int here, there;
        double took;
        if (sscanf(line, "futex %u %ld %d %d", &count, &looks, &here, &there) == 4)
            took = futex(count, looks, here, there);
        else if (sscanf(line, "socket %u %d %d", &count, &here, &there) == 3)
            took = over_socket(count, here, there);
        else if (sscanf(line, "mutex %u %d %d", &count, &here, &there) == 3)
            took = mutex(count, here, there, 0);
        else if (sscanf(line, "alone %u %d", &count, &here) == 2)
            took = mutex(count, here, -1, 1);
        else
            return 2;
        printf("%.12f\n", took);
        fflush(stdout);
    }
    return 0;
}
