/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The smallest guest: an ELF kernel for the 64-bit boot protocol that does what `tiny=ACT:TEXT` on its command line
 * says, without booting anything. It writes TEXT to COM1 and COM2, byte by byte as the transmitter has room, and a newline
 * to COM1, then
 *   t  triple-faults      r  pulses the reset line of the keyboard controller      h  halts for ever
 *   n  writes 1 MiB of noise to COM2 as fast as its processor can, then does as r
 * TEXT goes to the end of the word; without `tiny=` it halts.
 */

        .set COM1_DATA, 0x3f8
        .set COM2_DATA, 0x2f8
        .set LSR_OFFSET, 5
        .set LSR_THR_EMPTY, 0x20
        .set KBD_COMMAND, 0x64
        .set KBD_PULSE_RESET, 0xfe
        .set BOOT_CMD_LINE_PTR, 0x228       /* of struct boot_params, in RSI */
        .set BOOT_EXT_CMD_LINE_PTR, 0xc8

        .set NOISE_ADDRESS, 0x2000000
        .set NOISE_BYTES, 0x100000

        .text
        .globl _start
_start:
        cli
        movl $stack_end, %esp               /* the protocol promises no stack */
        movl BOOT_CMD_LINE_PTR(%rsi), %ebx
        movl BOOT_EXT_CMD_LINE_PTR(%rsi), %eax
        shlq $32, %rax
        orq %rax, %rbx
        testq %rbx, %rbx
        jz halt

1:      cmpb $0, (%rbx)                     /* look for "tiny=" */
        je halt
        cmpl $0x796e6974, (%rbx)            /* "tiny" */
        jne 2f
        cmpb $'=', 4(%rbx)
        je 3f
2:      incq %rbx
        jmp 1b

3:      movb 5(%rbx), %r8b                  /* the act */
        addq $7, %rbx
4:      movb (%rbx), %cl
        cmpb $' ', %cl                      /* also ends at NUL and other controls */
        jbe 5f
        movw $COM1_DATA, %di
        call put
        movw $COM2_DATA, %di
        call put
        incq %rbx
        jmp 4b

5:      movb $'\n', %cl
        movw $COM1_DATA, %di
        call put
        cmpb $'n', %r8b
        je noise
        cmpb $'r', %r8b
        je reset
        cmpb $'t', %r8b
        jne halt
        lidt no_idt(%rip)
        ud2

noise:  movl $NOISE_ADDRESS, %edi           /* xorshift64 */
        movl $NOISE_BYTES / 8, %ecx
        movabsq $0x9e3779b97f4a7c15, %rax
        cld
7:      movq %rax, %rdx
        shlq $13, %rdx
        xorq %rdx, %rax
        movq %rax, %rdx
        shrq $7, %rdx
        xorq %rdx, %rax
        movq %rax, %rdx
        shlq $17, %rdx
        xorq %rdx, %rax
        stosq
        decl %ecx
        jnz 7b
        movl $NOISE_ADDRESS, %esi
        movl $NOISE_BYTES, %ecx
        movw $COM2_DATA, %dx
        rep outsb

reset:  movb $KBD_PULSE_RESET, %al
        outb %al, $KBD_COMMAND
halt:   hlt
        jmp halt

put:    leal LSR_OFFSET(%rdi), %edx         /* CL to the UART at DI */
6:      inb %dx, %al
        testb $LSR_THR_EMPTY, %al
        jz 6b
        movw %di, %dx
        movb %cl, %al
        outb %al, %dx
        ret

        .balign 8
no_idt: .word 0
        .quad 0

        .bss
        .balign 16
        .skip 256
stack_end:
        .section .note.GNU-stack, "", @progbits
