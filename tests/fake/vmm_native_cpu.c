/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_native_cpu.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define ALTSTACK_SIZE 65536u

static const int trap_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
#define N_TRAPS (sizeof(trap_signals) / sizeof(trap_signals[0]))

static struct sigaction old_actions[N_TRAPS];
static stack_t old_stack;
static uint8_t altstack[ALTSTACK_SIZE] __attribute__((aligned(64)));
static CpuImage *volatile current;
static sigjmp_buf out;

void native_cpu_trapped(int sig, siginfo_t *info, void *context);
void native_cpu_handler(int sig, siginfo_t *info, void *context);

void native_cpu_trapped(int sig, siginfo_t *info, void *context) {
        static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                      REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                      REG_R12, REG_R13, REG_R14, REG_R15};
        const ucontext_t *uc = context;
        const greg_t *g = uc->uc_mcontext.gregs;
        CpuImage *image = current;

        (void) info;
        if (!image) { /* not ours: a real crash of the test */
                (void) signal(sig, SIG_DFL);
                return;
        }
        current = NULL;
        for (unsigned i = 0; i < 16; i++)
                image->r[i] = (uint64_t) g[order[i]];
        image->rip = (uint64_t) g[REG_RIP];
        image->flags = (uint64_t) g[REG_EFL];
        image->vector = (unsigned) g[REG_TRAPNO];
        image->code = (uint64_t) g[REG_ERR];
        image->cr2 = (uint64_t) g[REG_CR2];
        memcpy(image->fx, uc->uc_mcontext.fpregs, sizeof(image->fx));
        siglongjmp(out, 1);
}

/* The kernel leaves EFLAGS.AC to its handler, which was not compiled for that. */
__asm__(".text\n"
        ".type native_cpu_handler, @function\n"
        "native_cpu_handler:\n"
        "        pushfq\n"
        "        andl $~0x40000, (%rsp)\n"
        "        popfq\n"
        "        jmp native_cpu_trapped\n");

int native_cpu_open(void) {
        struct sigaction sa = {.sa_sigaction = native_cpu_handler,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
        stack_t stack = {.ss_sp = altstack, .ss_size = sizeof(altstack)};

        if (sigaltstack(&stack, &old_stack) < 0)
                return -errno;
        for (unsigned i = 0; i < N_TRAPS; i++)
                if (sigaction(trap_signals[i], &sa, &old_actions[i]) < 0)
                        return -errno;
        return 0;
}

void native_cpu_close(void) {
        for (unsigned i = 0; i < N_TRAPS; i++)
                (void) sigaction(trap_signals[i], &old_actions[i], NULL);
        (void) sigaltstack(&old_stack, NULL);
}

/* The image's registers, with rip pushed nowhere: the jump goes through memory. */
__asm__(".text\n"
        ".type native_cpu_enter, @function\n"
        "native_cpu_enter:\n"
        "        fxrstor64 192(%rdi)\n"
        "        mov 128(%rdi), %rax\n"
        "        mov %rax, native_cpu_target(%rip)\n"
        "        pushq 136(%rdi)\n"
        "        popfq\n"
        "        mov 0(%rdi), %rax\n"
        "        mov 8(%rdi), %rcx\n"
        "        mov 16(%rdi), %rdx\n"
        "        mov 24(%rdi), %rbx\n"
        "        mov 32(%rdi), %rsp\n"
        "        mov 40(%rdi), %rbp\n"
        "        mov 48(%rdi), %rsi\n"
        "        mov 64(%rdi), %r8\n"
        "        mov 72(%rdi), %r9\n"
        "        mov 80(%rdi), %r10\n"
        "        mov 88(%rdi), %r11\n"
        "        mov 96(%rdi), %r12\n"
        "        mov 104(%rdi), %r13\n"
        "        mov 112(%rdi), %r14\n"
        "        mov 120(%rdi), %r15\n"
        "        mov 56(%rdi), %rdi\n"
        "        jmp *native_cpu_target(%rip)\n"
        ".local native_cpu_target\n"
        ".comm native_cpu_target, 8, 8\n");
void native_cpu_enter(const CpuImage *image);

/* native_cpu_run() - run at @image's rip until something traps; @image becomes the state at the trap */
void native_cpu_run(CpuImage *image) {
        if (sigsetjmp(out, 0) == 0) {
                current = image;
                native_cpu_enter(image);
                abort();
        }
}
