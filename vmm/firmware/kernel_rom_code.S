/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The code of the option ROM (kernel_rom.h), in real mode. It asks fw_cfg where each part of the kernel belongs and has it
 * copied there by DMA, above 1 MiB as well: nothing here needs protected mode. Headers: BIOS Boot Specification 1.01,
 * section 3; Plug and Play BIOS Specification 1.0A, appendix B. Entry: Linux Documentation/arch/x86/boot.rst.
 */

#include "vmm/firmware/kernel_rom.h"

/* Items and bits of fw_cfg.h and fw_cfg.c. */
#define INITRD_ADDR 0x0a
#define INITRD_SIZE 0x0b
#define INITRD_DATA 0x12
#define KERNEL_ADDR 0x07
#define KERNEL_SIZE 0x08
#define KERNEL_DATA 0x11
#define CMDLINE_ADDR 0x13
#define CMDLINE_SIZE 0x14
#define CMDLINE_DATA 0x15
#define SETUP_ADDR 0x16
#define SETUP_SIZE 0x17
#define SETUP_DATA 0x18
#define PORT_DMA 0x514
#define DMA_READ_SELECTED 0x0a
#define DMA_ERROR 0x01

/* Free memory where boot sectors are loaded usually; the stack grows down from there. */
#define STACK 0x7c00
#define ACCESS 0x7c00 /* what DMA is asked for: control, length, address; big-endian */
#define NUMBER 0x7c10

        .section .rodata.kernel_rom_code, "a", @progbits
        .code16
        .globl kernel_rom_code
        .hidden kernel_rom_code
        .type kernel_rom_code, @object
        .size kernel_rom_code, KERNEL_ROM_SIZE
kernel_rom_code:
        .word 0xaa55
        .byte KERNEL_ROM_SIZE / 512
        lret                            /* nothing to set up */

        .org kernel_rom_code + 0x18
        .word 0                         /* no PCI device */
        .word KERNEL_ROM_PNP

        .org kernel_rom_code + KERNEL_ROM_PNP
        .ascii "$PnP"
        .byte 1, 32 / 16                /* revision, length */
        .word 0                         /* no further header */
        .byte 0, 0                      /* reserved, checksum */
        .long 0                         /* no identifier */
        .word maker - kernel_rom_code
        .word product - kernel_rom_code
        .byte 0, 0, 0, 0x04             /* type; it can be booted from */
        .word 0, 0                      /* no disk to attach or detach */
        .word boot - kernel_rom_code
        .word 0, 0                      /* reserved; no resources */

maker:  .asciz "Vivarium"
product:
        .asciz "Linux kernel"

        /* Keys of where a part belongs, how long it is and what is in it. */
        .balign 2
parts:  .word SETUP_ADDR, SETUP_SIZE, SETUP_DATA
        .word CMDLINE_ADDR, CMDLINE_SIZE, CMDLINE_DATA
        .word INITRD_ADDR, INITRD_SIZE, INITRD_DATA
        .word KERNEL_ADDR, KERNEL_SIZE, KERNEL_DATA
        .word 0

boot:   cli
        cld
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %ss
        movl $STACK, %esp
        movw $(parts - kernel_rom_code), %si
1:      cmpw $0, %cs:(%si)
        je enter
        movw %cs:2(%si), %bx
        call number
        testl %eax, %eax
        jz 2f                           /* no initrd */
        pushl %eax
        movw %cs:(%si), %bx
        call number
        movl %eax, %edi
        popl %ecx
        movw %cs:4(%si), %bx
        call read
2:      addw $6, %si
        jmp 1b

enter:  movw $(KERNEL_ROM_SETUP >> 4), %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %fs
        movw %ax, %gs
        movw %ax, %ss
        movl $(KERNEL_ROM_CMDLINE - KERNEL_ROM_SETUP - 16), %esp
        ljmpw $((KERNEL_ROM_SETUP >> 4) + 0x20), $0

        /* EAX = the number in item BX; changes ECX, EDX, EDI. */
number: movl $NUMBER, %edi
        movl $4, %ecx
        call read
        movl NUMBER, %eax
        ret

        /* ECX bytes of item BX to address EDI; changes EAX, EDX. */
read:   movw %bx, %ax
        xchgb %al, %ah
        movw %ax, ACCESS
        movw $(DMA_READ_SELECTED << 8), ACCESS + 2
        movl %ecx, %eax
        bswapl %eax
        movl %eax, ACCESS + 4
        movl $0, ACCESS + 8
        movl %edi, %eax
        bswapl %eax
        movl %eax, ACCESS + 12
        movw $PORT_DMA, %dx
        xorl %eax, %eax
        outl %eax, %dx
        movl $ACCESS, %eax
        bswapl %eax
        addw $4, %dx
        outl %eax, %dx
1:      testb $DMA_ERROR, ACCESS + 3
        jnz fail
        cmpl $0, ACCESS
        jne 1b
        ret

        /* The firmware's turn again: it says that it finds nothing to boot. */
fail:   int $0x18
        jmp fail

        .org kernel_rom_code + KERNEL_ROM_SIZE

        .section .note.GNU-stack, "", @progbits
