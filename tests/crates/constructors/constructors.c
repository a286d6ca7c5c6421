/* Constructors of C code: one that the linker puts before all without a number, and one in an object file behind ours. */

static int early, late, arguments;

__attribute__((constructor(101))) static void construct_early(int argc, char **argv, char **envp) {
    early += 1;
    arguments = argc > 0 && argv[0] != 0 && argv[argc] == 0 && envp != 0;
}

__attribute__((constructor)) static void construct_late(int argc, char **argv, char **envp) {
    late += 1;
    arguments = arguments && argc > 0 && argv[0] != 0 && argv[argc] == 0 && envp != 0;
}

int c_early(void) { return early; }
int c_late(void) { return late; }
int c_arguments(void) { return arguments; }
